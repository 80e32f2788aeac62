"""The learner, update by update, against bare PyTorch and against its own schedule."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from suite.errors import DivergedError
from suite.invariance.scale_invariance import scale_invariant
from suite.optimizers import rates
from suite.run_config import RunConfig
from suite.training.q_learning import elementwise_loss


def cartpole(**overrides: Any) -> RunConfig:
    mapping = {
        "task": {"kind": "classic_control", "learning_starts": 100},
        "model": {"kind": "mlp", "width": 16, "depth": 2, "norm": "layer"},
        "agent": {"kind": "dqn", "target_every": 7},
        "optimizer": {"kind": "adam", "lr": 0.01, "eps": 1.5e-4},
        "budget": {"agent_steps": 1100},
        "metrics": {"names": [], "every": 10},
        **overrides,
    }
    return RunConfig.from_mapping(mapping)


def breakout(**overrides: Any) -> RunConfig:
    mapping = {
        "task": {"kind": "atari", "game": "breakout", "learning_starts": 100, "utd": 1.0},
        "model": {"kind": "nature_cnn", "norm": "layer", "hidden": 64},
        "agent": {"kind": "dqn", "target_every": 3},
        "optimizer": {"kind": "adam", "lr": 1e-4, "eps": 1.5e-4},
        "budget": {"agent_steps": 1100},
        **overrides,
    }
    return RunConfig.from_mapping(mapping)


def batches(
    shape: tuple[int, ...], size: int, number: int, dtype: torch.dtype = torch.float32
) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(number):
        if len(shape) == 3:
            s_tm1, s_t = torch.randint(
                0, 256, (2, size, *shape), generator=generator, dtype=torch.uint8
            )
        else:
            s_tm1, s_t = torch.randn(2, size, *shape, generator=generator, dtype=dtype)
        yield {
            "s_tm1": s_tm1,
            "a_tm1": torch.randint(0, 3, (size,), generator=generator),
            "r_t": 3 * torch.randn(size, generator=generator).to(dtype),
            "discount_t": 0.99 * (torch.rand(size, generator=generator) < 0.8).to(dtype),
            "s_t": s_t,
        }


def begin(learner: Any) -> None:
    learner.start(next(batches(learner.net.observation_space.shape, 4, 1))["s_tm1"])


@contextmanager
def float64() -> Iterator[None]:
    """Build networks in double precision while inside."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CASES = {
    "plain": {},
    "double": {"agent": {"kind": "dqn", "target_every": 7, "double": True}},
    "mse, clipped": {"agent": {"kind": "dqn", "target_every": 7, "loss": "mse", "grad_clip": 0.5}},
    "cyclic": {"schedule": {"kind": "cyclic", "period": 20, "warmup": 3, "floor": 0.1}},
}


@pytest.mark.parametrize("nap", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_fifty_updates_equal_bare_pytorch(
    make_learner: Callable[..., Any], case: str, nap: bool
) -> None:
    from plain_dqn import PlainDqn

    run = cartpole(**CASES[case], interventions=["nap"] if nap else [])
    with float64():
        learner = make_learner(run)
    net = learner.net.q
    assert learner.closed_form
    assert next(net.parameters()).dtype == torch.float64
    projected = scale_invariant(net).names if nap else ()
    reference = PlainDqn(
        copy.deepcopy(net), 0.01, run.build_schedule(), run.agent, 1.5e-4, projected
    )
    begin(learner)
    for batch in batches((4,), 32, 50, torch.float64):
        expected = reference.update(**batch)
        learner.learn(batch)
        assert learner.losses.values()[-1].item() == pytest.approx(expected, rel=1e-9)
        for name, p in net.named_parameters():
            assert torch.allclose(p, reference.parameters[name], rtol=1e-9, atol=1e-11), name
        for mine, theirs in zip(
            learner.net.target.parameters(), reference.target.parameters(), strict=True
        ):
            assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-11)
    assert learner.step == 50
    for name in projected:
        norm = reference.parameters[name].norm().item()
        assert norm == pytest.approx(reference.norms[name].item(), rel=1e-9)


@pytest.mark.parametrize("nap", [False, True])
def test_updates_of_the_convolutional_network_equal_bare_pytorch(
    make_learner: Callable[..., Any], nap: bool
) -> None:
    from plain_dqn import PlainDqn

    run = breakout(interventions=["nap"] if nap else [])
    with float64():
        learner = make_learner(run)
    projected = scale_invariant(learner.net.q).names if nap else ()
    reference = PlainDqn(
        copy.deepcopy(learner.net.q), 1e-4, run.build_schedule(), run.agent, 1.5e-4, projected
    )
    begin(learner)
    for batch in batches((4, 84, 84), 4, 4, torch.float64):
        reference.update(**batch)
        learner.learn(batch)
    for name, p in learner.net.q.named_parameters():
        assert torch.allclose(p, reference.parameters[name], rtol=1e-9, atol=1e-11), name


def test_rates_and_target_copies_come_at_exact_gradient_steps(
    make_learner: Callable[..., Any],
) -> None:
    run = cartpole(
        schedule={"kind": "cyclic", "period": 9, "warmup": 2, "floor": 0.1},
        optimizer={"kind": "adam", "lr": 0.01, "rate_by_role": {"output": 0.1}},
        interventions=["nap"],
    )
    learner = make_learner(run)
    begin(learner)
    schedule, net = run.build_schedule(), learner.net
    targets = [p.clone() for p in net.target.parameters()]
    for step, batch in enumerate(batches((4,), 8, 30)):
        learner.learn(batch)
        for name, rate in rates(learner.optimizer).items():
            factor = 0.1 if name == "7.weight" else 1.0
            assert rate == pytest.approx(0.01 * schedule(step) * factor, rel=1e-12), name
        if (step + 1) % 7 == 0:
            targets = [p.clone() for p in net.q.parameters()]
        for mine, expected in zip(net.target.parameters(), targets, strict=True):
            assert torch.equal(mine, expected)
        # What the target copies is projected.
        nap = learner.stack.members[0].projection
        for name, norm in nap.targets.items():
            found = net.q.get_parameter(name).norm().item()
            assert found == pytest.approx(norm.item(), rel=1e-5)


def test_rllib_s_own_update_is_the_same_update(make_learner: Callable[..., Any]) -> None:
    from suite.launch.rllib.learner import to_batch

    run = cartpole()
    direct, through = make_learner(run), make_learner(run)
    begin(direct)
    begin(through)
    for batch in batches((4,), 8, 5):
        direct.learn(batch)
        through.update(batch=to_batch(batch))
    assert through.step == 5
    for mine, theirs in zip(direct.net.parameters(), through.net.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_arms_start_from_the_same_weights_and_seeds_from_others(
    make_learner: Callable[..., Any],
) -> None:
    one = make_learner(cartpole())
    same = make_learner(cartpole(schedule="cyclic", interventions=["nap"]))
    other = make_learner(cartpole(seed=1))
    assert torch.equal(one.net.q[1].weight, same.net.q[1].weight)
    assert not torch.equal(one.net.q[1].weight, other.net.q[1].weight)
    assert torch.equal(one.net.q[1].weight, one.net.target[1].weight)


def test_the_trigger_sees_the_td_loss(make_learner: Callable[..., Any]) -> None:
    trigger = {"kind": "cusum", "window": 10, "lag": 2, "h": 2.0}
    then = {"kind": "warmup_cosine"}
    schedule = {"kind": "triggered", "trigger": trigger, "then": then}
    learner = make_learner(cartpole(schedule=schedule))
    begin(learner)
    for step, batch in enumerate(batches((4,), 32, 40)):
        if step >= 30:
            batch["r_t"] = batch["r_t"] * 1000
        learner.learn(batch)
    alarms = [event.step for event in learner.take_events() if event.metric == "alarm"]
    assert len(alarms) == 1
    assert 30 <= alarms[0] < 40
    assert learner.take_events() == []
    assert learner.schedule.restart == alarms[0] + 1


@pytest.mark.parametrize("kind", ["dqn", "rainbow"])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_trigger_sees_the_loss_without_the_weights_of_the_replay(
    make_learner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: str, weighted: bool
) -> None:
    trigger = {"kind": "cusum", "window": 10, "lag": 2}
    agent: dict[str, Any] = {"kind": kind, "prioritized": {} if weighted else None}
    learner = make_learner(
        cartpole(agent=agent, schedule={"kind": "triggered", "trigger": trigger})
    )
    begin(learner)
    seen: list[Any] = []
    waits: list[int] = []
    expected, losses = [], []
    observe, item = learner.schedule.observe, torch.Tensor.item

    def sees(step: int, values: Any) -> Any:
        seen.extend(values)
        return observe(step, values)

    def waits_for(tensor: Tensor) -> Any:
        waits.append(1)
        return item(tensor)

    monkeypatch.setattr(learner.schedule, "observe", sees)
    monkeypatch.setattr(torch.Tensor, "item", waits_for)
    for step, batch in enumerate(batches((4,), 16, 6)):
        batch["weights"] = torch.linspace(0.1, 0.2, 16) * (step + 1)
        if not weighted:
            del batch["weights"]
        learner.learn(batch)
        each = learner.errors  # of a distribution they are its losses
        if kind == "dqn":
            each = elementwise_loss(each, learner.run.agent.loss)
        expected.append(item(each.mean()))
        losses.append((each * batch.get("weights", 1.0)).mean())
    assert seen == expected
    assert len(waits) == 6, "one wait for the device in an update"
    found = learner.losses.values()
    torch.testing.assert_close(found, torch.stack(losses), msg="what is learnt from")


def test_a_loss_that_is_not_finite_is_named_with_its_step(make_learner: Callable[..., Any]) -> None:
    learner = make_learner(cartpole())
    begin(learner)
    for step, batch in enumerate(batches((4,), 8, 9)):
        if step == 4:
            batch["r_t"][0] = float("nan")
        learner.learn(batch)
        if step < 4:
            learner.check()
    with pytest.raises(DivergedError, match="gradient step 4"):
        learner.check()


def test_state_continues_to_the_last_bit(make_learner: Callable[..., Any]) -> None:
    trigger = {"kind": "cusum", "window": 10, "lag": 2}
    run = cartpole(
        interventions=["nap"],
        schedule={"kind": "triggered", "trigger": trigger},
        metrics={"names": ["activation_pattern_change", "distance_from_init"], "every": 10},
    )
    learner, other = make_learner(run), make_learner(run)
    begin(learner)
    stream = list(batches((4,), 16, 40))
    for batch in stream[:25]:
        learner.learn(batch)
    state = copy.deepcopy(learner.get_state())
    for batch in stream[25:30]:
        learner.learn(batch)
    expected = learner.measure()
    learner.set_state(state)  # back to an older state
    other.set_state(state)
    for resumed in (learner, other):
        for batch in stream[25:30]:
            resumed.learn(batch)
        assert resumed.measure() == expected
    for mine, theirs in zip(learner.net.parameters(), other.net.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_sample_shares_memory_with_its_tensors() -> None:
    from suite.replay.frame_ring import Sample
    from suite.rl.batches import to_tensors

    ones = np.ones(3, np.float32)
    whole = ones.astype(np.int64)
    sample = Sample(np.ones((3, 4), np.float32), whole, ones, ones, ones, whole)
    tensors = to_tensors(sample)
    sample.r_t[0] = 5.0
    assert tensors["r_t"][0] == 5.0
