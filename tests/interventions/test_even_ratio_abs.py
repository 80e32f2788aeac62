from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.optimizers import rates
from suite.params import classify
from suite.run_config import RunConfig
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

Make = Callable[[], nn.Module]
EVEN = {"kind": "even_ratio_abs", "every": 1}
LAYERS = ("weight", "output", "embedding")


def _means(values: dict[str, Tensor], net: nn.Module) -> dict[str, float]:
    roles = classify(net)
    return {n: v.abs().mean().item() for n, v in values.items() if roles[n] in LAYERS}


def test_every_layer_s_rate_is_in_proportion_to_its_mean_size(bench: Any, network: Make) -> None:
    run = bench(network, EVEN)
    start = _means(run.values(), run.net)
    unit = sum(start.values()) / len(start)
    for _ in range(5):
        means = _means(run.values(), run.net)
        run.update()
        expected = {name: 0.01 * means.get(name, unit) / unit for name in run.named}
        assert rates(run.optimizer) == pytest.approx(expected, rel=1e-12)
    assert len(run.optimizer.param_groups) == len(run.named)


def test_an_update_of_adam_changes_every_layer_by_the_same_share(bench: Any) -> None:
    """Adam's first update is the rate times a sign, so its L1 norm is the rate times the size."""

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)
        )

    run = bench(make, EVEN)
    before = run.values()
    after = run.update().values()
    unit = sum(_means(before, run.net).values()) / 3
    for name in ("0.weight", "2.weight", "4.weight"):
        share = (after[name] - before[name]).abs().sum() / before[name].abs().sum()
        assert share.item() == pytest.approx(0.01 / unit, rel=1e-4)  # but for Adam's epsilon


def test_it_looks_now_and_then_and_keeps_the_factors_of_roles(bench: Any, network: Make) -> None:
    factor = {"output": 0.1}
    if "bias" in classify(network()).values():
        factor["bias"] = 0.0
    run = bench(network, {**EVEN, "every": 3}, optimizer={"rate_by_role": factor})
    roles, start = classify(run.net), _means(run.values(), run.net)
    unit = sum(start.values()) / len(start)
    for step in range(7):
        if step % 3 == 0:
            means = _means(run.values(), run.net)
        run.update()
        expected = {n: means.get(n, unit) / unit * factor.get(roles[n], 1.0) for n in run.named}
        found = {g["names"][0]: g["scale"] for g in run.optimizer.param_groups}
        assert found == pytest.approx(expected, rel=1e-12)


def test_it_goes_on_from_its_state(bench: Any, network: Make) -> None:
    config = {**EVEN, "every": 4}
    whole, first, second = (bench(network, config) for _ in range(3))
    first.update(6)
    second.net.load_state_dict(first.net.state_dict())
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.stack.load_state_dict(first.stack.state_dict())
    second.step = 6
    second.update(6)
    whole.update(12)
    assert all(torch.equal(p, whole.named[name]) for name, p in second.named.items())
    assert rates(second.optimizer) == rates(whole.optimizer)


def test_a_layer_that_could_never_move_is_refused(bench: Any) -> None:
    def make() -> nn.Module:
        last = nn.Linear(6, 2)
        net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), last)
        nn.init.zeros_(last.weight)
        return net

    with pytest.raises(ConfigError, match=r"2\.weight could never move"):
        bench(make, EVEN)


def test_rows_show_the_base_rate_and_the_effective_rates_of_the_layers(
    smoke: Callable[..., RunConfig],
) -> None:
    config = smoke(
        "warm_start_images",
        interventions=[EVEN],
        schedule={"kind": "linear", "end": 0.5},
        metrics={"names": ["effective_lr"], "every": 1},
    )
    run, session = SupervisedRun(config), MemorySession()
    run.train(session)
    schedule, lr = config.build_schedule(), config.optimizer.lr
    rate = {r.step: r.value for r in session.rows if r.metric == "learning_rate"}
    assert rate == pytest.approx({t: lr * schedule(max(t - 1, 0)) for t in range(13)})
    last = {r.layer: r.value for r in session.rows if r.metric == "effective_lr" and r.step == 12}
    in_force = rates(run.optimizer)
    assert len({round(value, 12) for value in in_force.values()}) > 2
    for name, p in run.model.named_parameters():
        if name in last:
            assert last[name] == pytest.approx(in_force[name] / p.norm().item(), rel=1e-5)
