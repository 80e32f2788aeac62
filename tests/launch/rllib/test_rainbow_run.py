"""A run of Rainbow: repeatable, explored by noise, and its noise goes on where it stopped."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from suite.run_config import RunConfig

RAINBOW = {
    "kind": "rainbow",
    "batch_size": 8,
    "replay_capacity": 300,
    "target_every": 7,
    "distribution": {"atoms": 11, "v_min": 0.0, "v_max": 40.0},
    "noisy": 0.5,
    "prioritized": None,
}


def cartpole(seed: int = 0, **task: Any) -> RunConfig:
    return RunConfig.from_mapping(
        {
            "task": {"kind": "classic_control", "learning_starts": 100, "utd": 0.5, **task},
            "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
            "agent": RAINBOW,
            "optimizer": {"kind": "adam", "lr": 0.01},
            "interventions": ["nap"],
            "budget": {"agent_steps": 300},
            "metrics": {"names": ["parameter_norm"], "every": 20},
            "seed": seed,
        }
    )


@pytest.fixture
def finish(started_ray: None) -> Callable[[RunConfig], dict[str, Tensor]]:
    """Return a function that makes a run and returns its weights and latest returns."""
    from suite.launch.rllib.config import algorithm_config

    def make(run: RunConfig) -> dict[str, Tensor]:
        algorithm: Any = algorithm_config(run).build_algo()
        try:
            while not algorithm.finished:
                algorithm.advance()
            assert (algorithm.agent_steps, algorithm.learner.step) == (300, 100)
            returns = torch.tensor([float(score) for score in algorithm.recorder.returns])
            return {**algorithm.learner.net.state_dict(), "returns": returns}
        finally:
            algorithm.stop()

    return make


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.ray
def test_a_run_is_repeatable_and_other_seeds_differ(
    finish: Callable[[RunConfig], dict[str, Tensor]],
) -> None:
    first = finish(cartpole())
    assert all(values.isfinite().all() for values in first.values())
    assert len(first["returns"]) > 2
    assert same(first, finish(cartpole()))
    assert not same(first, finish(cartpole(seed=1)))


@pytest.mark.ray
def test_evaluations_leave_training_as_it_is_with_noise_too(
    finish: Callable[[RunConfig], dict[str, Tensor]],
) -> None:
    with_noise = {"episodes": 1, "every": 50, "noise": True}
    evaluated = cartpole(max_episode_steps=50, evaluation=with_noise)
    assert same(finish(cartpole(max_episode_steps=50)), finish(evaluated))


def noise_of(module: Any) -> Tensor:
    layers = [m for m in module.q.modules() if hasattr(m, "eps_in")]
    assert len(layers) == 4
    return torch.cat([eps for m in layers for eps in (m.eps_in, m.eps_out)])


def test_every_step_acts_with_new_noise_and_it_explores(make_runner: Callable[..., Any]) -> None:
    runner = make_runner(cartpole())
    observations = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    drawn, values = [], []
    for _ in range(20):
        runner.sample(steps=1)
        drawn.append(noise_of(runner.module).clone())
        with torch.no_grad():
            values.append(runner.module.values(runner.module.q(observations)))
    for k in range(1, 20):
        assert (drawn[k] != drawn[k - 1]).all()
        assert not torch.allclose(values[k], values[k - 1], rtol=1e-3)
    block = runner.sample(steps=300).block
    runner.module.silence()
    mean = runner.module.greedy(torch.from_numpy(block.frames[:, 0]))
    agreed = (mean.numpy() == block.actions[:, 0]).mean()
    assert 0.5 < agreed < 1  # there are no random actions, only noise


def test_learner_and_runners_have_noise_of_their_own(make_learner: Callable[..., Any]) -> None:
    from suite.launch.rllib.config import algorithm_config
    from suite.launch.rllib.runner import EnvPoolRunner

    run = cartpole(runners=2)
    config = algorithm_config(run)
    runners = [EnvPoolRunner(config=config, worker_index=i) for i in range(3)]
    draws = []
    for module in [make_learner(run).net, *(runner.module for runner in runners)]:
        module.draw_noise()
        draws.append(noise_of(module))
    assert len(torch.cat(draws).unique()) == sum(map(len, draws))


@pytest.mark.parametrize("resume_env", ["replay", "fresh"])
def test_a_runner_s_noise_goes_on_where_it_was_saved(
    make_runner: Callable[..., Any], resume_env: str
) -> None:
    run = cartpole(resume_env=resume_env)
    runner, other = make_runner(run), make_runner(run)
    runner.sample(steps=50)
    state = copy.deepcopy(runner.get_state())
    expected = runner.sample(steps=30).block
    after = noise_of(runner.module)
    other.sample(steps=7)
    other.set_state(state)
    found = other.sample(steps=30).block
    assert torch.equal(noise_of(other.module), after)
    assert (found.actions == expected.actions).all() == (resume_env == "replay")
    assert (found.frames == expected.frames).all() == (resume_env == "replay")


def transitions(number: int) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(number):
        s_tm1, s_t = torch.randn(2, 8, 4, generator=generator)
        yield {
            "s_tm1": s_tm1,
            "a_tm1": torch.randint(0, 3, (8,), generator=generator),
            "r_t": torch.rand(8, generator=generator),
            "discount_t": torch.full((8,), 0.97),
            "s_t": s_t,
        }


def test_a_learner_s_noise_goes_on_where_it_was_saved(make_learner: Callable[..., Any]) -> None:
    learner, other = make_learner(cartpole()), make_learner(cartpole())
    stream = list(transitions(20))
    learner.start(stream[0]["s_tm1"])
    for batch in stream[:10]:
        learner.learn(batch)
    state = copy.deepcopy(learner.get_state())
    for batch in stream[10:]:
        learner.learn(batch)
    expected = {name: value.clone() for name, value in learner.net.state_dict().items()}
    other.set_state(state)
    learner.set_state(state)  # back to an older state
    for resumed in (other, learner):
        for batch in stream[10:]:
            resumed.learn(batch)
        assert same(resumed.net.state_dict(), expected)
    # Without the noise it would be another continuation.
    other.set_state(state)
    other.net.draw_noise()
    for batch in stream[10:]:
        other.learn(batch)
    assert not same(other.net.state_dict(), expected)
