"""Reads a results folder: the request, how each run ended, and all rows as one table.

A folder can be read while its sweep is finished, running or killed: missing files count as empty,
and an incomplete last line of ``rows.jsonl`` is ignored. Only ``sweep.json`` is required, because
it lists the runs.
"""

from __future__ import annotations

import re
import reprlib
import shlex
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pandas as pd
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from suite.errors import ConfigError, nearest
from suite.ranges import ANY, SHARE, Range
from suite.records.asked import ConfigShape, ProvenanceShape
from suite.records.json_file import read_bytes, read_json
from suite.records.layout import CONFIG, PROVENANCE, ROWS, RUNS, STATUS, SWEEP
from suite.records.rows_table import read_rows
from suite.rows import RECORDED
from suite.sweeps.labels import MOST_ARMS, MOST_TRIALS
from suite.sweeps.yaml_file import parse_yaml
from suite.text.terminal import visible

TABLE_COLUMNS = (
    *("task", "arm", "seed", "state", "run_id"),
    *("step", "frames", "wall_s", "metric", "layer", "value"),
)
"""Columns of `load_results`, in order."""

TrialState = Literal["skipped", "not started", "running", "complete", "diverged", "failed"]
"""State of a trial. A killed one stays "running"."""

RUN_ID = r"[0-9A-Za-z_][\w.,=+-]{0,199}"
"""What an id of a run may be: the name of a folder, in ASCII. The suite's own are hex digits."""

LONGEST_LABEL = 1_000
"""Characters of a label: more is none."""

Label = Annotated[str, Field(max_length=LONGEST_LABEL), AfterValidator(visible)]
Words = Annotated[str, Field(max_length=100 * LONGEST_LABEL), AfterValidator(visible)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Record(BaseModel):
    """Base of what is read: frozen, and open to keys that later versions add."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TaskRecord(_Record):
    """One task of a sweep.

    Attributes:
        primary_metric: metric and layer that score a run; the last row counts.
        unit: unit of the primary metric, "" if it has none.
        ranges: values that metrics and other rows can have, by name.
        x: what learning curves are drawn over: gradient steps or emulator frames.
        arms: labels in the order of the sweep file.
        reference: for each arm the arm that it is compared with; none for a reference itself.
        gap_to: for each arm a further arm that its distance to is given as well, if any. The file
            may name one arm for all.
        seeds: repetitions.
        notes: what a reader should know, in words.
    """

    primary_metric: tuple[Label, Label]
    unit: Label = ""
    ranges: Mapping[Label, Range] = {}
    x: Literal["steps", "frames"] = "steps"
    arms: Annotated[tuple[Label, ...], Field(max_length=MOST_ARMS)]
    reference: Mapping[Label, Label | None] = {}
    gap_to: Mapping[Label, Label | None] = {}
    seeds: tuple[Whole, ...] = ()
    notes: Words = ""

    @model_validator(mode="before")
    @classmethod
    def _earlier_name(cls, data: Any) -> Any:
        """Take the primary metric from the key that versions before 0.2 wrote."""
        if isinstance(data, Mapping) and "primary_metric" not in data and "headline" in data:
            return {**data, "primary_metric": data["headline"]}
        return data

    @model_validator(mode="before")
    @classmethod
    def _one_gap_for_all(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not isinstance(data.get("gap_to", {}), Mapping):
            gap, arms = data["gap_to"], data.get("arms")
            known = isinstance(arms, list) and all(isinstance(arm, str) for arm in arms)
            if gap is None or known:
                return {**data, "gap_to": {} if gap is None else dict.fromkeys(arms or (), gap)}
        return data

    @model_validator(mode="after")
    def _arms_exist(self) -> TaskRecord:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("each arm of a task once")
        both = (self.reference, self.gap_to)
        named = {arm for others in both for pair in others.items() for arm in pair} - {None}
        if unknown := sorted(str(arm) for arm in named - set(self.arms)):
            raise ValueError(f"only arms of the task, not {', '.join(unknown)}")
        return self

    def range_of(self, metric: str) -> Range:
        """Return the values that rows of a name can have.

        Folders of earlier versions have no ranges. Of their metrics only the primary one is known
        to be a share, if that is its unit.
        """
        if metric in self.ranges:
            return self.ranges[metric]
        if metric == self.primary_metric[0] and self.unit == "share":
            return SHARE
        return RECORDED.get(metric, ANY)

    def reference_of(self, arm: str) -> str | None:
        """Return the arm that `arm` is compared with, None for a reference itself."""
        return _other(self.reference, arm)

    def gap_of(self, arm: str) -> str | None:
        """Return the arm that the gap of `arm` is to, None if it has none."""
        return _other(self.gap_to, arm)


def _other(others: Mapping[str, str | None], arm: str) -> str | None:
    other = others.get(arm)
    return None if other == arm else other


class TrialRecord(_Record):
    """One run that a sweep asked for; `skip` says why it is not made, if it is not."""

    run_id: Label
    task: Label
    arm: Label
    seed: Whole
    skip: Words | None = None

    @field_validator("run_id")
    @classmethod
    def _names_a_folder(cls, run_id: str) -> str:
        if re.fullmatch(RUN_ID, run_id, re.ASCII) is None:
            raise ValueError("the id of a run, such as 0123456789ab")
        return run_id


class SweepRecord(_Record):
    """What a sweep asked for.

    Attributes:
        name: of its files.
        command: what the user typed.
        created: when, in ISO 8601.
        overrides: changes to all runs, such as ``budget=600``.
        benchmark: the frozen benchmark that the sweep is, "" if none.
        tasks: the tasks by label.
        trials: all trials, each task, arm and seed once.
    """

    name: Label
    command: Words = ""
    created: Label = ""
    overrides: tuple[str, ...] = ()
    benchmark: Label = ""
    tasks: Mapping[Label, TaskRecord]
    trials: Annotated[tuple[TrialRecord, ...], Field(max_length=MOST_TRIALS)]

    @model_validator(mode="before")
    @classmethod
    def _set_by_the_command(cls, data: Any) -> Any:
        """Take `overrides` from the command, where an older version has not written them."""
        if not isinstance(data, Mapping) or "overrides" in data:
            return data
        return {**data, "overrides": _overrides(data.get("command"))}

    @model_validator(mode="after")
    def _trials_fit(self) -> SweepRecord:
        cells: set[tuple[str, str, int]] = set()
        seeds: dict[str, int] = {}
        for trial in self.trials:
            if trial.task not in self.tasks or trial.arm not in self.tasks[trial.task].arms:
                raise ValueError(f"a declared task and arm for {trial.task}/{trial.arm}")
            if (cell := (trial.task, trial.arm, trial.seed)) in cells:
                raise ValueError(f"{trial.task}/{trial.arm}/{trial.seed} once")
            if seeds.setdefault(trial.run_id, trial.seed) != trial.seed:
                raise ValueError(f"one seed of the run {trial.run_id}")
            cells.add(cell)
        return self


def _overrides(command: Any) -> list[str]:
    """Return the changes of ``--set`` in a typed command, such as ``budget=600``."""
    try:
        words = shlex.split(command) if isinstance(command, str) else []
    except ValueError:
        return []
    after = [word for flag, word in pairwise(words) if flag == "--set"]
    return [*after, *(w.removeprefix("--set=") for w in words if w.startswith("--set="))]


class Status(_Record):
    """How far a run has come, in gradient steps, and how it ended."""

    state: TrialState
    reason: str = ""
    step: Count = 0
    total: Count = 0
    wall_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @field_validator("reason")
    @classmethod
    def _short(cls, reason: str) -> str:
        reason = visible(reason)
        return reason if len(reason) <= LONGEST_LABEL else f"{reason[:LONGEST_LABEL]} ..."


_MOST_BYTES = 4 << 20
"""Of a run's config, status and provenance."""

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80

R = TypeVar("R", bound=_Record)


def read_sweep(folder: str | Path) -> SweepRecord:
    """Read what the sweep in a results folder asked for.

    Raises:
        ConfigError: if the folder is not a results folder.
    """
    path = Path(folder) / SWEEP
    wanted = "a results folder made by a sweep (run NAME --results DIR)"
    if not Path(folder).is_dir():
        raise ConfigError("results", str(folder), f"{wanted}; there is no such folder")
    try:
        return _parse(SweepRecord, read_json(path), path)
    except FileNotFoundError:
        raise ConfigError("results", str(folder), f"{wanted}; it has no {SWEEP}") from None
    except ConfigError:  # a ValueError too
        raise
    except (OSError, ValueError) as error:
        raise ConfigError("results", str(path), f"a readable JSON file ({error})") from None


def status_of(folder: str | Path, trial: TrialRecord) -> Status:
    """Read the state of a trial.

    A status file that cannot be read (it is replaced while the run goes on) counts as running.
    """
    if trial.skip is not None:
        return Status(state="skipped", reason=trial.skip)
    path = run_folder(folder, trial.run_id) / STATUS
    try:
        return _parse(Status, read_json(path, _MOST_BYTES), path)
    except FileNotFoundError:
        started = path.with_name(ROWS).exists()
        return Status(state="running" if started else "not started")
    except (ValueError, OSError):
        return Status(state="running", reason=f"{STATUS} cannot be read")


def read_config(folder: str | Path, run_id: str) -> dict[str, Any]:
    """Return the run's config as plain data, {} if there is none that can be read."""
    try:
        text = read_bytes(run_folder(folder, run_id) / CONFIG, _MOST_BYTES).decode()
        return _shaped(ConfigShape, parse_yaml(text, CONFIG))
    except (OSError, ValueError):
        return {}


def read_provenance(folder: str | Path, run_id: str) -> dict[str, Any]:
    """Return the run's commit, versions, hardware and command, {} if none can be read."""
    try:
        found = read_json(run_folder(folder, run_id) / PROVENANCE, _MOST_BYTES)
        return _shaped(ProvenanceShape, found)
    except (OSError, ValueError):
        return {}


def _shaped(shape: type[BaseModel], data: Any) -> dict[str, Any]:
    """Return a mapping that is what the suite writes, as far as a report looks at it.

    Raises:
        ValueError: if it is something else.
    """
    shape.model_validate(data)
    return dict(data)


def run_folder(folder: str | Path, run_id: str) -> Path:
    """Return the folder of one run."""
    return Path(folder) / RUNS / run_id


def load_results(folder: str | Path, metrics: Collection[str] | None = None) -> pd.DataFrame:
    """Return all rows of all runs of a results folder, in the order of the sweep and of time.

    Columns: `task`, `arm`, `state`, `run_id`, `metric`, `layer` (categorical; the first three with
    all of the sweep's labels in its order), `seed`, `step`, `frames` (int64), `wall_s`, `value`
    (float64; not-a-number where a measurement was). `step` counts gradient steps, `wall_s` seconds.

    Args:
        folder: the results folder.
        metrics: names of the metrics to read, by default all.

    Raises:
        ConfigError: if the folder is not a results folder, or there are rows, but none of a metric
            that was asked for. Of what happens to some runs only, such as ``alarm``, there may be
            none.
    """
    table = read_results(folder, metrics)
    there = {*table["metric"].unique()}
    for name in metrics or ():
        if name not in there and name not in RECORDED:
            known = {*read_results(folder)["metric"].unique()}
            if known:
                raise ConfigError("metrics", name, nearest(name, known | RECORDED.keys()))
    return table


def read_results(folder: str | Path, metrics: Collection[str] | None = None) -> pd.DataFrame:
    """Return the rows that `load_results` does; of metrics without any there are none.

    Raises:
        ConfigError: if the folder is not a results folder.
    """
    sweep = read_sweep(folder)
    made = [trial for trial in sweep.trials if trial.skip is None]
    tasks = list(sweep.tasks)
    arms = list(dict.fromkeys(arm for task in sweep.tasks.values() for arm in task.arms))
    states = list(TrialState.__args__)  # type: ignore[attr-defined]
    trials = pd.DataFrame(
        {
            "run_id": [trial.run_id for trial in made],
            "task": pd.Categorical([trial.task for trial in made], tasks),
            "arm": pd.Categorical([trial.arm for trial in made], arms),
            "seed": pd.Series([trial.seed for trial in made], dtype="int64"),
            "state": pd.Categorical([status_of(folder, trial).state for trial in made], states),
            "order": range(len(made)),
        }
    )
    paths = (run_folder(folder, run_id) / ROWS for run_id in dict.fromkeys(trials["run_id"]))
    rows = read_rows(paths, metrics).to_pandas()
    ids = rows["run_id"].cat.categories
    trials = trials[trials["run_id"].isin(ids)]  # a run may have no rows yet
    trials = trials.assign(run_id=pd.Categorical(trials["run_id"], ids))
    table = rows.merge(trials, on="run_id", how="inner")
    if not table["order"].is_monotonic_increasing:  # one run that stands for several trials
        table = table.sort_values("order", kind="stable", ignore_index=True)
    return table[list(TABLE_COLUMNS)]


def _parse(record: type[R], data: Any, path: Path) -> R:
    """Build a record, with the file and key of the first fault in the message.

    Raises:
        ConfigError: if the data are no such record.
    """
    try:
        return record.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "the file"
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise ConfigError(f"{path}: {key}", _brief(fault["input"]), message) from None


def _brief(value: Any) -> Any:
    """Return what a message can hold of a value."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_LABEL else f"{value[:80]} ..."
    return _BRIEF.repr(value) if isinstance(value, dict | list | tuple) else value
