"""Every registered metric, on what a smoke run of every supervised task shows it."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
from examples import Continued, Interrupted, equal, facts, tasks
from rich.console import Console
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.launch.plan import print_plan
from suite.metrics.base import METRICS, Need, Observation, StatefulMetric, metric
from suite.ranges import ANY, MAGNITUDE, SHARE
from suite.rows import RECORDED
from suite.run_config import RunConfig
from suite.sweeps.sweep import Sweep, Trial
from suite.tasks.base import TASKS
from suite.training.batched import BatchedRun, batch_key
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

Look = tuple[Observation, nn.Module]


@pytest.fixture(scope="module")
def looks() -> dict[str, Look]:
    """What metrics have been shown, by task; each is checked to leave it as it was."""
    return {}


@pytest.fixture
def look(
    smoke: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, looks: dict[str, Look]
) -> Callable[..., Look]:
    """Return a function that gives the last observation and the model of a task's smoke run."""
    seen: list[Observation] = []

    def keep(**fields: Any) -> Observation:
        seen.append(Observation(**fields))
        return seen[-1]

    def train(task: str) -> Look:
        if task in looks:
            return looks[task]
        metrics = {"names": sorted(METRICS.entries()), "every": 3}
        run = SupervisedRun(smoke(task, metrics=metrics))
        run.train(MemorySession())
        assert seen[-1].step == run.clock.total
        looks[task] = seen[-1], run.model
        return looks[task]

    monkeypatch.setattr("suite.training.observer.Observation", keep)
    return train


def _plain(seen: Observation) -> dict[str, Any]:
    """Return all of an observation but the problem; of the network what it holds."""
    values = {k: v for k, v in vars(seen).items() if k != "task"}
    return {**values, "model": seen.model.state_dict() if seen.model else None}


def test_names_units_and_needs() -> None:
    for name, one in METRICS.entries().items():
        assert one.name == name
        assert one.unit.strip()
        assert one.needs
        assert one.needs <= set(get_args(Need))
        assert one.unit != "share" or one.range == SHARE
        assert (one.function.__doc__ or "").strip(), f"{name} does not say what it is"


@pytest.mark.parametrize("name", sorted(METRICS.entries()))
def test_values_are_finite_scalars_by_layer_of_what_is_needed_alone(
    name: str, look: Callable[..., Look]
) -> None:
    needs, measured = METRICS[name].needs, 0
    for task in tasks("supervised"):
        seen, model = look(task)
        kept = copy.deepcopy(_plain(seen))
        gradients = {n: cast(Tensor, p.grad).clone() for n, p in model.named_parameters()}
        generator = torch.get_rng_state()
        with torch.no_grad():
            values = METRICS[name].build()(seen)
            again = METRICS[name].build()(seen)
        assert equal(again, values)
        assert torch.equal(torch.get_rng_state(), generator)
        assert equal(_plain(seen), kept)  # whose parameters are the model's own
        assert equal({n: p.grad for n, p in model.named_parameters()}, gradients)
        possible = TASKS[task].model_validate(TASKS[task].smoke["task"]).ranges
        for layer, value in values.items():
            assert isinstance(layer, str)
            assert value.ndim == 0
            assert torch.isfinite(value), layer
            assert not possible.get(name, METRICS[name].range).outside([float(value)]), (
                task,
                layer,
            )
        always = {"step", "parameters", "roles", "rates", "interval", "criterion"}
        always |= {"model", "task", "splits"}
        bare = Observation(**{key: getattr(seen, key) for key in always | needs})
        assert equal(METRICS[name].build()(bare), values)
        measured += len(values)
    # A metric that remembers may have nothing to say of the first thing that it sees.
    remembers = not METRICS[name].is_function
    assert measured or remembers, f"no smoke run shows {name!r} anything to measure"


@pytest.mark.parametrize("task", tasks("supervised"))
def test_rows_beside_metrics_are_declared_and_in_range(
    task: str, smoke: Callable[..., RunConfig]
) -> None:
    run = smoke(task)
    session = MemorySession()
    SupervisedRun(run).train(session)
    for row in session.rows:
        possible = run.ranges.get(row.metric) or RECORDED[row.metric]
        assert math.isnan(row.value) or not possible.outside([row.value]), row


def test_the_logarithm_of_a_loss_may_be_negative(smoke: Callable[..., RunConfig]) -> None:
    assert smoke("modular_addition").ranges["loss"] == MAGNITUDE
    assert smoke("modular_log_loss").ranges["loss"] == ANY


AT_ENDS = ("task_online_accuracy", "task_accuracy", "forgetting", "backward_transfer")
"""Metrics that are measured where a task of a stream ends."""


@cache
def _unmeasured(task: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the model and the optimizer after a smoke run without metrics."""
    run = SupervisedRun(RunConfig.from_mapping({**TASKS[task].smoke, "metrics": {"names": []}}))
    run.train(MemorySession())
    return run.model.state_dict(), run.optimizer.state_dict()


@pytest.mark.parametrize("name", sorted(METRICS.entries()))
@pytest.mark.parametrize("task", tasks("supervised"))
def test_measuring_changes_nothing(name: str, task: str, smoke: Callable[..., RunConfig]) -> None:
    """A run with the metric ends as one without; its rows are there at every measuring step."""
    plain_model, plain_optimizer = _unmeasured(task)
    session = MemorySession()
    measured = SupervisedRun(smoke(task, metrics={"names": [name], "every": 2}))
    measured.train(session)
    assert equal(measured.model.state_dict(), plain_model)
    assert equal(measured.optimizer.state_dict(), plain_optimizer)
    steps = {row.step for row in session.rows if row.metric == name}
    last, starts = measured.clock.total, measured.clock.starts
    due = set(range(0, last + 1, 2)) | {last}
    ends = {*starts[1:], last}
    if measured.config.task.ends_phases:  # type: ignore[attr-defined]
        due |= ends
    assert steps in (set(), due, due - {0}) or (name in AT_ENDS and steps <= ends)


class Remembering(StatefulMetric):
    """How often it measured, where it began, and the path of each tensor's mean."""

    def __init__(self) -> None:
        self.calls = 0
        self.first: int | None = None
        self.path: dict[str, Tensor | float] = {}

    def __call__(self, seen: Observation) -> Mapping[str, Tensor]:
        self.calls += 1
        self.first = seen.step if self.first is None else self.first
        for name, p in seen.parameters.items():
            self.path[name] = self.path.get(name, 0.0) + p.mean()
        return {
            "calls": torch.tensor(float(self.calls)),
            "first": torch.tensor(float(self.first)),
            **{name: torch.as_tensor(path / self.calls) for name, path in self.path.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls, "first": self.first, "path": self.path}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls, self.first, self.path = state["calls"], state["first"], dict(state["path"])


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a metric with state, registered for the length of a test."""
    METRICS.entries()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    metric("remembering", "1", "parameters")(Remembering)
    return "remembering"


def _train(config: RunConfig) -> list[Any]:
    session = MemorySession()
    SupervisedRun(config).train(session)
    return facts([row for row in session.rows if row.metric == "remembering"])


def test_a_metric_with_state_begins_anew_with_every_run(
    remembering: str, smoke: Callable[..., RunConfig]
) -> None:
    config = smoke(metrics={"names": [remembering], "every": 2})
    first = _train(config)
    assert max(value for *_, layer, value in first if layer == "calls") > 3
    assert _train(config) == first


@pytest.mark.parametrize("task", tasks("supervised"))
def test_a_metric_with_state_resumes_to_the_last_bit(
    task: str, remembering: str, smoke: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = smoke(task, metrics={"names": [remembering], "every": 2})
    whole = _train(config)
    half = config.clock().total // 2
    first, second = SupervisedRun(config), SupervisedRun(config)
    rows = MemorySession()
    first.begin(rows)
    while first.step < half:
        first._update()
        if first.observer.due(first.step):
            first._measure(rows)
    first.save(tmp_path)
    second.load(tmp_path)
    assert second.step == half
    while not second.done:
        second._update()
        if second.observer.due(second.step):
            second._measure(rows)
    assert facts([row for row in rows.rows if row.metric == remembering]) == whole


def test_metrics_with_state_side_by_side(
    remembering: str, smoke: Callable[..., RunConfig], tmp_path: Path
) -> None:
    """Each of several runs remembers its own; one that is interrupted goes on where it was."""
    plain = {
        "task": {"kind": "sparse_sign", "dimension": 30, "points": 12, "test_points": 8},
        "model": {"kind": "diagonal", "initial_norm": 2.0},
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "budget": 220,
        "metrics": {"names": [remembering], "every": 20},
    }
    configs = [RunConfig.from_mapping({**plain, "seed": seed}) for seed in (0, 1, 2)]
    assert None not in {batch_key(config) for config in configs}
    sessions = [Interrupted(tmp_path, 100), MemorySession(), MemorySession()]
    with pytest.raises(KeyboardInterrupt):
        BatchedRun(configs).train(sessions)
    again = [Continued(tmp_path), MemorySession(), MemorySession()]
    assert BatchedRun(configs).train(again) == [None, None, None]
    emitted = [sessions[0].rows + again[0].rows, again[1].rows, again[2].rows]
    for config, seen in zip(configs, emitted, strict=True):
        rows = facts([row for row in seen if row.metric == remembering])
        calls = [value for *_, layer, value in rows if layer == "calls"]
        assert calls == list(range(1, 13))
        alone = _train(config)
        assert [row[:-1] for row in rows] == [row[:-1] for row in alone]
        assert [row[-1] for row in rows] == pytest.approx([row[-1] for row in alone], rel=1e-5)


def test_functions_from_outside_are_not_measured_side_by_side(
    remembering: str, smoke: Callable[..., RunConfig]
) -> None:
    """What they keep in their module would be shared by the runs."""

    @metric("counted", "1", "parameters")
    def counted(seen: Observation) -> dict[str, Tensor]:
        """A function."""
        return {}

    def key(name: str) -> Any:
        task = {"kind": "sparse_sign", "dimension": 30, "points": 12, "test_points": 8}
        mapping = {"task": task, "model": {"kind": "diagonal"}, "budget": 9}
        mapping["optimizer"] = {"kind": "sgd", "lr": 0.1}
        return batch_key(RunConfig.from_mapping({**mapping, "metrics": {"names": [name]}}))

    assert key("counted") is None
    assert key(remembering) is not None
    assert key("loss") is not None

    def plan(name: str) -> str:
        task = {"kind": "sparse_sign", "dimension": 30, "points": 12, "test_points": 8}
        mapping = {"task": task, "model": {"kind": "diagonal"}, "budget": 9}
        config = RunConfig.from_mapping({**mapping, "metrics": {"names": [name]}})
        page = io.StringIO()
        sweep = Sweep("s", {}, (Trial("task", "arm", config),))
        print_plan(sweep, 1, Console(file=page, width=1000))
        return page.getvalue()

    held = "trained alone, not side by side, as plugins may keep state between calls: counted."
    assert f"1 run is {held}" in plan("counted")
    assert "trained alone" not in plan(remembering)
    assert "trained alone" not in plan("loss")


def test_what_runs_would_share_or_lose_is_refused(
    remembering: str, smoke: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="'shared' a function, or a subclass"):
        metric("shared", "1")(Remembering())
    with pytest.raises(ConfigError, match="'shared' a function, or a subclass"):
        metric("shared", "1")(dict)  # type: ignore[type-var]

    class Forgetful(StatefulMetric):
        def __call__(self, seen: Observation) -> Mapping[str, Tensor]:
            return {}

    with pytest.raises(ConfigError, match="load_state_dict, state_dict"):
        metric("forgetful", "1")(Forgetful)

    config = smoke(metrics={"names": [remembering], "every": 2})
    run = SupervisedRun(config)
    state = run.state_dict()
    state["observer"].pop("metrics")  # saved before the metric had a state
    with pytest.raises(ConfigError, match="state of 'remembering'"):
        run.load_state_dict(state)
    remembers: Any = run.observer._stateful[remembering]
    remembers.path = {"a": {1, 2}}  # a set, which no checkpoint holds
    with pytest.raises(ConfigError, match="state of 'remembering'"):
        run.save(tmp_path)


def test_a_metric_that_says_wrong_things_of_itself_is_refused() -> None:
    def measure(seen: Observation) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}

    with pytest.raises(ConfigError, match=r"got \(0, 1\); expected for 'wrong' a range such as"):
        metric("wrong", "1", "parameters", range=(0, 1))(measure)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="got 'parameterz'; expected 'parameters'"):
        metric("wrong", "1", "parameterz")(measure)  # type: ignore[arg-type]

    class Decaying(Remembering):
        def __init__(self, decay: float) -> None:
            super().__init__()

    with pytest.raises(ConfigError, match=r"without arguments .*'decay'"):
        metric("wrong", "1", "parameters")(Decaying)
    assert "wrong" not in METRICS.entries()


@pytest.mark.parametrize(
    ("value", "said"), [(2, "got 2"), (torch.ones(3), r"got \(3,\)")], ids=["number", "vector"]
)
def test_values_that_are_no_scalars_are_refused_by_name(
    value: Any, said: str, remembering: str, smoke: Callable[..., RunConfig]
) -> None:
    @metric("odd", "1", "parameters")
    def measure(seen: Observation) -> Mapping[str, Any]:
        """Whatever is to be returned."""
        return {"test": value}

    run = SupervisedRun(smoke(metrics={"names": ["odd"], "every": 2}))
    with pytest.raises(ConfigError, match=f"metric odd: {said}; expected a scalar tensor for"):
        run.train(MemorySession())
