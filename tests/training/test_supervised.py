from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import Continued
from torch import nn

from suite.errors import ConfigError, DivergedError
from suite.interventions.base import INTERVENTIONS
from suite.optimizers import rates
from suite.rows import Row
from suite.run_config import RunConfig
from suite.schedules.base import SCHEDULES, AdaptiveSchedule
from suite.tasks.base import TASKS
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

Smoke = Callable[..., RunConfig]

SUPERVISED = [kind for kind, task in TASKS.entries().items() if task.engine == "supervised"]

SCHEDULE_SETTINGS: dict[str, dict[str, Any]] = {
    "adaptive_stop": {"period": 2, "floor": 0.5, "final": 0.1, "k": 0.0, "patience": 1},
    "cyclic_then_anneal": {"period": 3, "cycles": 2},
    "delayed": {"offset": 4, "low": 0.1},
    "triggered": {"trigger": {"kind": "cusum", "window": 2, "lag": 1, "h": 0.1, "k": 0.0}},
}

INTERVENTION_SETTINGS: dict[str, dict[str, Any]] = {
    "nap": {"which": "matrices", "every": 3},
    "redo": {"every": 2, "tau": 1.0},
    "reset": {"every": 4},
    "shrink_perturb": {"every": 3},
}

METRICS = ["accuracy", "loss", "relative_update", "activation_pattern_change", "distance_from_init"]


def _train(config: RunConfig) -> tuple[SupervisedRun, list[Row]]:
    session = MemorySession()
    run = SupervisedRun(config)
    run.train(session)
    return run, session.rows


def _facts(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Return rows without the wall clock."""
    return [(r.step, r.metric, r.layer, r.value) for r in rows]


def _assert_same_state(a: SupervisedRun, b: SupervisedRun) -> None:
    for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True):
        assert torch.equal(x, y)


def _resumed(config: RunConfig, folder: Path, *stops: int) -> tuple[SupervisedRun, list[Row]]:
    """Train to each stop, save, and load into a new run, of which the last one finishes."""
    rows: list[Row] = []
    saved: Path | None = None
    for stop in stops:
        piece, session = SupervisedRun(config), Continued(saved)
        piece.clock = replace(piece.clock, total=stop)
        piece.train(session)
        assert piece.step == stop
        saved = folder / str(stop)
        saved.mkdir()
        piece.save(saved)
        rows += session.rows
    last, session = SupervisedRun(config), Continued(saved)
    last.train(session)
    assert last.step == last.clock.total or config.stop
    return last, rows + session.rows


@pytest.mark.parametrize("kind", SUPERVISED)
def test_primary_metric_is_measured_at_the_end(kind: str, smoke: Smoke) -> None:
    config = smoke(kind)
    run, rows = _train(config)
    last = [r for r in rows if (r.metric, r.layer) == config.task.primary_metric][-1]
    assert last.step == run.clock.total == run.step


@pytest.mark.parametrize("kind", SUPERVISED)
@pytest.mark.parametrize("intervention", sorted(INTERVENTIONS.entries()))
def test_training_resumes_to_the_last_bit(
    kind: str, intervention: str, smoke: Smoke, tmp_path: Path
) -> None:
    config = smoke(
        kind,
        interventions=[{"kind": intervention, **INTERVENTION_SETTINGS.get(intervention, {})}],
        metrics={"names": METRICS, "every": 2, "interval": 3},
    )
    try:
        config.check()
    except ConfigError as error:
        pytest.skip(str(error))
    if reason := config.skip_reason():
        pytest.skip(reason)
    whole, rows = _train(config)
    resumed, pieces = _resumed(config, tmp_path, 2, 5, 6)
    _assert_same_state(whole, resumed)
    # Pieces that were cut short measure at their own ends, which the whole run may not do.
    known = set(_facts(rows))
    assert known <= set(_facts(pieces))


@pytest.mark.parametrize("schedule", sorted(SCHEDULES.entries()))
def test_every_schedule_resumes_and_is_in_the_groups(
    schedule: str, smoke: Smoke, tmp_path: Path
) -> None:
    config = smoke(
        "warm_start_images",
        schedule={"kind": schedule, **SCHEDULE_SETTINGS.get(schedule, {})},
        metrics={"names": ["accuracy"], "every": 1},
    )
    whole, rows = _train(config)
    resumed, pieces = _resumed(config, tmp_path, 7)
    _assert_same_state(whole, resumed)
    logged = {r.step: r.value for r in rows if r.metric == "learning_rate"}
    assert logged == {r.step: r.value for r in pieces if r.metric == "learning_rate"}
    pure = config.build_schedule()
    if not isinstance(pure, AdaptiveSchedule):
        # A row after t updates shows the rate that update t - 1 was made at.
        expected = {t: config.optimizer.lr * pure(max(t - 1, 0)) for t in logged}
        assert logged == pytest.approx(expected)


def test_arms_share_data_weights_and_order_but_not_the_rest(smoke: Smoke) -> None:
    nap = {"interventions": [{"kind": "nap", "which": "matrices"}], "schedule": "single_cycle"}
    plain, other = SupervisedRun(smoke()), SupervisedRun(smoke(**nap))
    third = SupervisedRun(smoke(seed=1))
    _assert_same_state(plain, other)
    assert all(torch.equal(plain.task.batch(t)[0], other.task.batch(t)[0]) for t in range(9))
    assert not torch.equal(plain.task.batch(0)[0], third.task.batch(0)[0])
    assert plain.config.run_id != other.config.run_id != third.config.run_id


def test_rates_by_role_reach_their_groups(smoke: Smoke) -> None:
    optimizer = {"kind": "adam", "lr": 0.01, "rate_by_role": {"output": 0.1}}
    run, rows = _train(smoke(optimizer=optimizer, schedule={"kind": "constant", "value": 0.5}))
    in_force = rates(run.optimizer)
    assert in_force["decoder.weight"] == pytest.approx(0.0005)
    assert in_force["up.weight"] == pytest.approx(0.005)
    assert {r.value for r in rows if r.metric == "learning_rate"} == {0.005}


def test_projection_pins_norms_and_measured_rate_follows_the_schedule(smoke: Smoke) -> None:
    config = smoke(
        interventions=[{"kind": "nap", "which": "matrices"}],
        schedule={"kind": "linear", "start": 1.0, "end": 0.1},
        metrics={"names": ["parameter_norm", "effective_lr"], "every": 1},
    )
    _, rows = _train(config)
    norms = [r.value for r in rows if r.metric == "parameter_norm" and r.layer == "all"]
    assert norms == pytest.approx([norms[0]] * len(norms), rel=1e-5)
    rate = {r.step: r.value for r in rows if r.metric == "learning_rate"}
    elr = {r.step: r.value for r in rows if r.metric == "effective_lr" and r.layer == "all"}
    assert elr == pytest.approx({t: lr / norms[0] for t, lr in rate.items()}, rel=1e-5)


def test_a_loss_that_is_not_finite_ends_the_run_with_its_step(
    smoke: Smoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = SupervisedRun(smoke(metrics={"names": ["parameter_norm"], "every": 12}))
    plain = run.task.loss

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        return plain(model, batch) * (math.nan if run.step == 7 else 1.0)

    monkeypatch.setattr(run.task, "loss", loss)
    with pytest.raises(DivergedError, match="gradient step 7"):
        run.train(MemorySession())


def test_phases_and_alarms_are_rows(smoke: Smoke) -> None:
    cusum = {"kind": "cusum", "window": 2, "lag": 1, "h": 0.01, "k": 0.0, "scale_floor": 1e-3}
    config = smoke("warm_start_images", schedule={"kind": "triggered", "trigger": cusum})
    run, rows = _train(config)
    assert [(r.step, r.value) for r in rows if r.metric == "phase"] == [(0, 0.0), (5, 1.0)]
    alarms = [r.step for r in rows if r.metric == "alarm"]
    assert alarms == run.schedule.alarms  # type: ignore[attr-defined]
    assert alarms


def test_the_statistic_of_a_trigger_is_a_row_of_every_measurement(smoke: Smoke) -> None:
    """Against the recursion on the run's own losses, which measuring at each update shows."""
    cusum = {"kind": "cusum", "window": 2, "lag": 1, "h": 3.0, "k": 0.0, "scale_floor": 1e-3}
    schedule = {"kind": "triggered", "trigger": cusum}
    still = {"kind": "adam", "lr": 1e-9}  # so that losses go up and down
    metrics = {"names": [], "every": 1}
    config = smoke("warm_start_images", schedule=schedule, metrics=metrics, optimizer=still)
    _, rows = _train(config)
    losses = [r.value for r in rows if r.metric == "batch_loss"]
    found = {r.step: r.value for r in rows if r.metric == "cusum_statistic"}
    assert list(found) == list(range(len(losses) + 1))
    assert found[0] == 0.0
    g, seen = 0.0, list[float]()
    for step, loss in enumerate(losses, start=1):
        log = math.log(loss + 1e-6)
        if len(seen) >= 3:
            a, b = seen[-3:-1]  # the latest one is left out
            scale = max(abs(a - b) / 2, 1e-3)
            g = max(0.0, g + min((log - (a + b) / 2) / scale, 4.0))
        seen.append(log)
        if g > 3.0:
            g, seen = 0.0, []
        assert found[step] == pytest.approx(g, abs=1e-9), step
    assert any(value > 0 for value in found.values())


def test_feature_change_is_taken_over_the_interval(smoke: Smoke) -> None:
    config = smoke(metrics={"names": ["activation_pattern_change"], "every": 4, "interval": 3})
    seen: dict[int, torch.Tensor] = {}
    run, session = SupervisedRun(config), MemorySession()
    keep = run.observer.after_update

    def after(step: int) -> None:
        stream: Any = run.model.eval()
        captured: list[torch.Tensor] = []
        handle = stream.relu.register_forward_hook(
            lambda m, i, o: captured.append(o.detach().clone())
        )
        with torch.no_grad():
            stream(run.task.probe)
        handle.remove()
        seen[step] = captured[0] > 0
        keep(step)

    run.observer.after_update = after  # type: ignore[method-assign]
    run.train(session)
    found = {r.step: r.value for r in session.rows if r.layer == "relu"}
    expected = {t: (seen[t] != seen[t - 3]).double().mean().item() for t in (4, 8, 12)}
    assert found == pytest.approx(expected, abs=1e-6)


STOP = {"metric": "loss", "layer": "test", "below": 1e9, "hold": 2}


def test_a_run_ends_when_measurements_in_a_row_say_enough(smoke: Smoke, tmp_path: Path) -> None:
    config = smoke("quadratic_regression", metrics={"names": ["loss"], "every": 2}, stop=STOP)
    run, rows = _train(config)
    assert run.step == 2, "measured at 0 and at 2"
    assert rows[-1].step == 2
    never = {**STOP, "below": -1.0}
    run, _ = _train(smoke("quadratic_regression", metrics={"names": ["loss"]}, stop=never))
    assert run.step == run.clock.total


def test_the_count_of_measurements_in_a_row_is_resumed(smoke: Smoke, tmp_path: Path) -> None:
    stop = {**STOP, "hold": 5}
    config = smoke("quadratic_regression", metrics={"names": ["loss"], "every": 2}, stop=stop)
    straight, rows = _train(config)
    again, resumed = _resumed(config, tmp_path, 4)
    assert straight.step == again.step == 8
    assert _facts(rows) == _facts(resumed)


def test_a_stop_needs_one_side_and_a_metric_that_is_measured(smoke: Smoke) -> None:
    with pytest.raises(ConfigError, match="either 'above' or 'below'"):
        smoke("quadratic_regression", stop={"metric": "loss"})
    stop = {"metric": "accuracy", "above": 0.9}
    with pytest.raises(ConfigError, match=r"stop\.metric.*loss"):
        smoke("quadratic_regression", metrics={"names": ["loss"]}, stop=stop).check()


def test_a_stop_at_a_layer_that_is_not_measured_is_an_error(smoke: Smoke) -> None:
    config = smoke(
        "quadratic_regression", metrics={"names": ["loss"]}, stop={**STOP, "layer": "tets"}
    )
    with pytest.raises(ConfigError, match=r"stop\.layer.*'tets'.*'test'"):
        config.check()
    with pytest.raises(ConfigError, match=r"stop\.layer.*'tets'.*'test'"):
        _train(config)
    stop = {**STOP, "metric": "parameter_norm", "layer": "layers.0"}
    config = smoke("quadratic_regression", metrics={"names": ["parameter_norm"]}, stop=stop)
    config.check()  # which layers there will be is not known yet
    with pytest.raises(ConfigError, match=r"stop\.layer.*'layers\.0'"):
        _train(config)


def test_float64_reaches_parameters_data_and_rows(smoke: Smoke) -> None:
    run, rows = _train(smoke("quadratic_regression", precision="float64"))
    assert {p.dtype for p in run.model.parameters()} == {torch.float64}
    assert run.task.batch(0)[0].dtype == torch.float64
    loss = next(r.value for r in reversed(rows) if r.metric == "loss" and r.layer == "test")
    assert loss != float(torch.tensor(loss, dtype=torch.float32))
    assert torch.get_default_dtype() == torch.float32


def test_bfloat16_is_of_the_passes_alone(smoke: Smoke) -> None:
    config = smoke("growing", precision="bfloat16", interventions=["nap"])
    run = SupervisedRun(config)
    seen: list[tuple[bool, torch.dtype]] = []
    linear = next(m for m in run.model.modules() if isinstance(m, nn.Linear))
    linear.register_forward_hook(lambda *a: seen.append((torch.is_grad_enabled(), a[2].dtype)))
    run.train(MemorySession())
    assert set(seen) == {(True, torch.bfloat16), (False, torch.float32)}
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    assert {v.dtype for s in run.optimizer.state.values() for v in s.values()} == {torch.float32}


@pytest.mark.parametrize("kind", ["cnn", "cnn_1d", "resnet", "vit"])
def test_bfloat16_follows_float32_to_its_own_precision(kind: str) -> None:
    data = "mnist1d" if kind == "cnn_1d" else "digits"
    model: dict[str, Any] = {"kind": kind}
    if kind == "resnet":
        model |= {"depth": 8, "width": 8}
    task = {"kind": "permuted", "dataset": data, "batch_size": 64, "tasks": 1, "steps": 8}
    optimizer = {"kind": "sgd", "lr": 0.01}
    losses = []
    for precision in ("float32", "bfloat16"):
        mapping = {"task": task, "model": model, "optimizer": optimizer, "precision": precision}
        run = SupervisedRun(RunConfig.from_mapping(mapping))
        run.updates.start()
        losses.append([run._update().item() for _ in range(8)])
    plain, half = losses
    assert plain != half
    assert half == pytest.approx(plain, rel=8 * 2**-8)


def test_bfloat16_resumes_to_the_last_bit(smoke: Smoke, tmp_path: Path) -> None:
    config = smoke("growing", precision="bfloat16")
    whole, rows = _train(config)
    resumed, later = _resumed(config, tmp_path, 6)
    _assert_same_state(whole, resumed)
    assert set(_facts(rows)) <= set(_facts(later))


def test_bfloat16_and_sample_plasticity_do_not_mix(smoke: Smoke) -> None:
    config = smoke("growing", precision="bfloat16", metrics={"names": ["sample_plasticity"]})
    with pytest.raises(ConfigError, match=r"precision.*'bfloat16'.*float32"):
        config.check()
