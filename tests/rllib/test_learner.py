"""RLlib's learners under control: rates, norms, parity with the stock ones, resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from suite.clock import Clock
from suite.errors import ConfigError
from suite.schedules.cyclic import CyclicConfig

CYCLIC = {"kind": "cyclic", "period": 7, "floor": 0.1}
ID = "default_policy"


def watch(learner: Any) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """Return lists that fill at every update: rates by optimizer, norms of what is projected."""
    rates: dict[str, list[float]] = {}
    norms: list[dict[str, float]] = []
    for name, optimizer in learner.get_optimizers_for_module(ID):
        kept = rates.setdefault(name.removeprefix(f"{ID}_"), [])
        optimizer.register_step_pre_hook(
            lambda optimizer, *_, kept=kept: kept.append(optimizer.param_groups[0]["lr"])
        )
    network = learner.module[ID].unwrapped()
    apply = learner.apply_gradients

    def applied(gradients: Any) -> None:
        apply(gradients)
        named = dict(network.named_parameters())
        names = network.scale_invariant_weights
        norms.append({name: named[name].detach().double().norm().item() for name in names})

    learner.apply_gradients = applied
    return rates, norms


def check(learner: Any, rates: Any, norms: Any, lr: dict[str, float], start: Any) -> None:
    schedule = CyclicConfig.from_mapping(CYCLIC).build(Clock(1000))
    steps = len(norms)
    assert steps > 7
    for name, base in lr.items():
        assert rates[name] == [base * schedule(t) for t in range(steps)]
    assert len({round(rate, 9) for rate in rates[next(iter(lr))]}) > 3
    for sizes in norms:
        assert sizes == pytest.approx(start, rel=1e-5)
    assert learner.controls[ID].step == steps


def initial_norms(learner: Any) -> dict[str, float]:
    network = learner.module[ID].unwrapped()
    named = dict(network.named_parameters())
    return {n: named[n].detach().double().norm().item() for n in network.scale_invariant_weights}


@pytest.mark.ray
def test_rates_and_norms_at_every_step(stock: Any, build: Callable[[Any], Any]) -> None:
    from suite.rllib import nap_learner, nap_module

    learner_class = nap_learner(
        stock.learner, total=1000, schedule=CYCLIC, interventions=["nap"], metrics={"every": 5}
    )
    algorithm, learner = build(stock.config(learner_class, nap_module(stock.module)))
    start = initial_norms(learner)
    rates, norms = watch(learner)
    for _ in range(2):
        result = algorithm.train()
    check(learner, rates, norms, stock.lr, start)
    shown = result["learners"][ID]["nap"]
    assert shown["gradient_steps"] == len(norms)
    for name in stock.lr:
        assert shown[name]["learning_rate"] == rates[name][-1]
        assert shown[name]["measured_at"] == len(norms) // 5 * 5
        control = learner.controls[ID].parts[name]
        for weight in control.part.scale_invariant_weights:
            norm = shown[name][f"parameter_norm/{weight}"]
            assert norm == pytest.approx(start[weight], rel=1e-5)
            measured = rates[name][len(norms) // 5 * 5 - 1]
            assert shown[name][f"effective_lr/{weight}"] == pytest.approx(measured / norm)
    if stock.name.startswith("sac"):
        assert set(rates["alpha"]) == {0.004}
        alpha = learner.curr_log_alpha[ID]
        assert not any(
            alpha is p for c in learner.controls[ID].parts.values() for p in c.part.parameters()
        )
        assert learner.get_optimizer(ID, "alpha").state[alpha]["step"] == len(norms)


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray Data, which IMPALA imports
def test_impala_learns_in_its_thread_at_the_same_rates(
    impala: Any, build: Callable[[Any], Any]
) -> None:
    from suite.rllib import nap_learner, nap_module

    learner_class = nap_learner(impala.learner, total=1000, schedule=CYCLIC, interventions=["nap"])
    algorithm, learner = build(impala.config(learner_class, nap_module(impala.module)))
    start = initial_norms(learner)
    rates, norms = watch(learner)
    while len(norms) < 12:
        algorithm.train()
    learner.shutdown()
    check(learner, rates, norms, impala.lr, start)


@pytest.mark.ray
def test_constant_and_without_interventions_it_is_the_stock_learner_bit_for_bit(
    stock: Any, build: Callable[[Any], Any], batches: Callable[[Any], list[Any]]
) -> None:
    from suite.rllib import nap_learner

    algorithm, learner = build(stock.config(stock.learner, grad_clip=0.5))
    begun = learner.get_state()
    seen = batches(learner)
    algorithm.train()
    seen = list(seen)
    assert len(seen) > 7
    found = []
    for cls in (stock.learner, nap_learner(stock.learner, total=1000)):
        again = stock.learner_of(stock.config(cls, grad_clip=0.5))
        again.set_state(begun)
        torch.manual_seed(3)
        for batch in seen:
            again._update({name: part.copy() for name, part in batch.items()})
        found.append(again)
    first, second = (dict(f.module[ID].named_parameters()) for f in found)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    before = begun["rl_module"][ID]
    assert any((first[n].detach().numpy() != before[n]).any() for n in first if n in before)


@pytest.mark.ray
def test_resumed_it_continues_bit_for_bit(
    stock: Any,
    build: Callable[[Any], Any],
    batches: Callable[[Any], list[Any]],
    tmp_path: Path,
) -> None:
    from ray.rllib.algorithms.algorithm import Algorithm

    from suite.rllib import nap_learner, nap_module

    learner_class = nap_learner(
        stock.learner,
        total=300,
        schedule=CYCLIC,
        interventions=[
            "nap",
            {"kind": "l2_init", "coefficient": 0.01},
            {"kind": "shrink_perturb", "every": 6, "shrink": 0.8, "perturb": 0.1},
        ],
        metrics=["parameter_norm", "relative_update", "distance_from_init"],
    )
    algorithm, learner = build(stock.config(learner_class, nap_module(stock.module)))
    seen = batches(learner)
    algorithm.train()
    seen = list(seen)
    saved = algorithm.save_to_path(tmp_path / "checkpoint")
    restored: Any = Algorithm.from_checkpoint(saved)
    other = restored.learner_group._learner
    assert other.controls[ID].step == learner.controls[ID].step == len(seen)
    ends = []
    for each in (learner, other):
        torch.manual_seed(5)
        for batch in seen[-8:]:
            each._update({name: part.copy() for name, part in batch.items()})
        ends.append(each)
    restored.stop()
    assert ends[0].controls[ID].step == len(seen) + 8
    for one, two in zip(*(e.module[ID].parameters() for e in ends), strict=True):
        assert torch.equal(one, two)
    if stock.name.startswith("sac"):
        assert torch.equal(*(e.curr_log_alpha[ID] for e in ends))
    one, two = (dict(e.controls[ID].values()) for e in ends)
    assert one == two
    happened = "shrink_perturb" in " ".join(key for path in one for key in path)
    assert happened


def test_a_state_older_than_the_learner_takes_it_back(ppo: Any) -> None:
    from suite.rllib import nap_learner

    learner = ppo.learner_of(ppo.config(nap_learner(ppo.learner, total=9)))
    begun = learner.get_state()
    before = [p.detach().clone() for p in learner.module[ID].parameters()]
    learner._weights_seq_no = 4
    with torch.no_grad():
        for parameter in learner.module[ID].parameters():
            parameter.add_(1.0)
    learner.set_state(begun)
    for one, two in zip(before, learner.module[ID].parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"schedule": "cyclicc", "total": 5}, "schedule"),
        ({"schedule": {"kind": "cyclic", "period": {"frames": 4}}, "total": 5}, "schedule.period"),
        ({"interventions": ["redo"], "total": 5}, r"interventions.\[0\]: got 'redo'"),
        ({"metrics": ["accuracy"], "total": 5}, r"metrics.names\[0\]: got 'accuracy'"),
        ({"total": 0}, "total: got 0"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_built(
    ppo: Any, asked: dict[str, Any], message: str
) -> None:
    from suite.rllib import nap_learner

    with pytest.raises(ConfigError, match=message):
        nap_learner(ppo.learner, **asked)


def test_wrong_bases_are_refused(ppo: Any) -> None:
    from suite.rllib import nap_learner, nap_module

    with pytest.raises(ConfigError, match="TorchLearner"):
        nap_learner(ppo.module, total=5)
    with pytest.raises(ConfigError, match="not of nap_learner yet"):
        nap_learner(nap_learner(ppo.learner, total=5), total=5)
    with pytest.raises(ConfigError, match="TorchRLModule"):
        nap_module(ppo.learner)
    with pytest.raises(ConfigError, match="no norm layers of nap_module yet"):
        nap_module(nap_module(ppo.module))


def test_what_cannot_be_combined_is_refused_when_built(ppo: Any) -> None:
    from suite.rllib import nap_learner

    plain = nap_learner(ppo.learner, total=5)
    with pytest.raises(ConfigError, match=r"lr: got .* expected one number"):
        ppo.learner_of(ppo.config(plain, lr=[[0, 0.1], [10, 0.01]]))
    with pytest.raises(ConfigError, match="optimizers: got 'critic'"):
        ppo.learner_of(ppo.config(nap_learner(ppo.learner, total=5, optimizers=["critic"])))
    with pytest.raises(ConfigError, match=r"interventions\.nap"):
        ppo.learner_of(ppo.config(nap_learner(ppo.learner, total=5, interventions=["nap"])))
