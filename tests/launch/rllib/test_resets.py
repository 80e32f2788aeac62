"""Interventions and schedules that change the network or themselves, in the learner."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.models.units import hidden_layers
from suite.run_config import RunConfig


def cartpole(*interventions: Any, **overrides: Any) -> RunConfig:
    mapping = {
        "task": {"kind": "classic_control", "learning_starts": 100},
        "model": {"kind": "mlp", "width": 16, "depth": 2, "norm": "layer"},
        "agent": {"kind": "dqn", "target_every": 7},
        "optimizer": {"kind": "adam", "lr": 0.01},
        "budget": {"agent_steps": 140},
        "metrics": {"names": [], "every": 10},
        "interventions": list(interventions),
        **overrides,
    }
    return RunConfig.from_mapping(mapping)


def batches(size: int, number: int) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(number):
        s_tm1, s_t = torch.randn(2, size, 4, generator=generator)
        yield {
            "s_tm1": s_tm1,
            "a_tm1": torch.randint(0, 3, (size,), generator=generator),
            "r_t": torch.randn(size, generator=generator),
            "discount_t": torch.full((size,), 0.99),
            "s_t": s_t,
        }


def weights(network: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in network.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


RESETS = [
    {"kind": "reset", "layers": "all"},
    {"kind": "reset", "layers": "head"},
    {"kind": "shrink_perturb"},
]


@pytest.mark.parametrize("reset", RESETS, ids=["all", "head", "shrink_perturb"])
def test_the_target_network_is_copied_with_every_reset(
    make_learner: Callable[..., Any], reset: dict[str, Any]
) -> None:
    learner = make_learner(cartpole({**reset, "every": 10}))
    learner.start(torch.zeros(4, 4))
    target = weights(learner.net.target)
    for step, batch in enumerate(batches(8, 12), start=1):
        learner.learn(batch)
        if step in (7, 10):
            target = weights(learner.net.q)
        assert same(weights(learner.net.target), target)
    if reset.get("layers") == "all":
        assert same(target, weights(learner._fresh(10)))
    assert [event.step for event in learner.take_events()] == [10]


def test_recycling_leaves_the_target_network_alone_and_looks_at_the_batch(
    make_learner: Callable[..., Any],
) -> None:
    learner = make_learner(cartpole({"kind": "redo", "every": 10, "tau": 0.7}))
    learner.start(torch.zeros(4, 4))
    for step, batch in enumerate(batches(8, 10), start=1):
        if step == 10:
            twin = copy.deepcopy(learner.net.q)
        learner.learn(batch)
        if step == 7:
            target = weights(learner.net.target)
    assert same(weights(learner.net.target), target)
    events = learner.take_events()
    assert [(e.step, e.metric, e.layer) for e in events] == [
        (10, "recycled_units", name) for name in ("3", "6")
    ]
    # The same count as from the batch of the update, up to that update's own small change.
    layers = hidden_layers(twin, lambda: twin(batch["s_tm1"]))
    counts = [(x.activity / x.activity.mean() <= 0.7).sum().item() for x in layers]
    assert [e.value for e in events] == pytest.approx(counts, abs=1)
    assert 0 < sum(counts) < 32


def test_fresh_networks_have_the_shapes_of_the_environment_and_follow_the_seed(
    make_learner: Callable[..., Any],
) -> None:
    rainbow = {"agent": {"kind": "rainbow", "target_every": 7}}
    learner = make_learner(cartpole({"kind": "reset", "every": 5, "layers": "head"}, **rainbow))
    other = make_learner(cartpole(**rainbow))
    seeded = make_learner(cartpole(seed=1, **rainbow))
    fresh = learner._fresh(5)
    shapes = {name: p.shape for name, p in fresh.named_parameters()}
    assert shapes == {name: p.shape for name, p in learner.net.q.named_parameters()}
    assert same(weights(fresh), weights(other._fresh(5)))
    assert not same(weights(fresh), weights(seeded._fresh(5)))
    assert not same(weights(fresh), weights(learner._fresh(6)))


def test_what_happened_is_told_once_and_saved_until_then(make_learner: Callable[..., Any]) -> None:
    stop = {"kind": "adaptive_stop", "period": 3, "k": 0.0, "patience": 1, "scale_floor": 1e-6}
    run = cartpole({"kind": "reset", "every": 4}, schedule={**stop, "floor": 0.1, "final": 0.01})
    first, second = make_learner(run), make_learner(run)
    first.start(torch.zeros(4, 4))
    for step, batch in enumerate(batches(8, 12)):
        batch["r_t"] *= 1 + 10 * step
        first.learn(batch)
    assert first.schedule.stopped in (6, 9, 12)
    assert first.events
    second.set_state(first.get_state())
    assert second.events == first.events
    assert second.schedule(13) == first.schedule(13) == 0.01
    told = [(event.metric, event.layer, event.value) for event in first.take_events()]
    assert sorted(told) == [("cycling_stopped", "", 1.0), *[("reset", "last", 1.0)] * 3]
    assert not first.events


def test_layers_have_rates_of_their_own(make_learner: Callable[..., Any]) -> None:
    learner = make_learner(cartpole({"kind": "even_ratio_abs", "every": 1}))
    learner.start(torch.zeros(4, 4))
    for batch in batches(8, 3):
        means = {
            n: p.abs().mean().item() for n, p in learner.net.q.named_parameters() if p.ndim > 1
        }
        learner.learn(batch)
    scales = {g["names"][0]: g["scale"] for g in learner.optimizer.param_groups}
    ratios = [scales[name] / mean for name, mean in means.items()]
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-5)
