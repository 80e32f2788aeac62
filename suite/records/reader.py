"""Reading a results folder back: what was asked, how each run ended, and every row as one table.

A folder is read as it lies there, whether its sweep is finished, running or was killed: files that
are not there yet count as empty, and a torn last line of ``rows.jsonl`` is ignored. Only
``sweep.json`` must be there, for it says what the runs are.
"""

from __future__ import annotations

import io
import json
import shlex
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from suite.errors import ConfigError
from suite.ranges import ANY, SHARE, Range
from suite.records.layout import CONFIG, PROVENANCE, ROWS, RUNS, STATUS, SWEEP
from suite.rows import RECORDED

COLUMNS = (
    *("task", "arm", "seed", "state", "run_id"),
    *("step", "frames", "wall_s", "metric", "layer", "value"),
)
"""Columns of `load_results`, in order."""

State = Literal["skipped", "not started", "running", "complete", "diverged", "failed"]
"""How a trial stands. One that was killed without a word stays "running"."""

_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("step", pa.int64()),
        ("frames", pa.int64()),
        ("wall_s", pa.float64()),
        ("metric", pa.string()),
        ("layer", pa.string()),
        ("value", pa.float64()),
    ]
)
_LABELS = ("run_id", "metric", "layer")
_CHUNK = 32 << 20
"""Bytes of rows parsed at once."""

_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Record(BaseModel):
    """Base of what is read: frozen, and open to keys that later versions add."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TaskRecord(_Record):
    """One task of a sweep.

    Attributes:
        headline: metric and layer that score a run; the last row counts.
        unit: unit of the headline metric, "" if it has none.
        ranges: values that metrics and other rows can have, by name.
        x: what learning curves are drawn over: gradient steps or emulator frames.
        arms: labels in the order of the sweep file.
        reference: for each arm the arm that it is compared with; none for a reference itself.
        gap_to: for each arm a further arm that its distance to is given as well, if any. The file
            may name one arm for all.
        seeds: repetitions.
        notes: what a reader should know, in words.
    """

    headline: tuple[str, str]
    unit: str = ""
    ranges: Mapping[str, Range] = {}
    x: Literal["steps", "frames"] = "steps"
    arms: tuple[str, ...]
    reference: Mapping[str, str | None] = {}
    gap_to: Mapping[str, str | None] = {}
    seeds: tuple[int, ...] = ()
    notes: str = ""

    @model_validator(mode="before")
    @classmethod
    def _one_gap_for_all(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not isinstance(data.get("gap_to", {}), Mapping):
            gap = data["gap_to"]
            return {**data, "gap_to": {} if gap is None else dict.fromkeys(data["arms"], gap)}
        return data

    @model_validator(mode="after")
    def _arms_exist(self) -> TaskRecord:
        both = (self.reference, self.gap_to)
        named = {arm for others in both for pair in others.items() for arm in pair} - {None}
        if unknown := sorted(str(arm) for arm in named - set(self.arms)):
            raise ValueError(f"only arms of the task, not {', '.join(unknown)}")
        return self

    def range_of(self, metric: str) -> Range:
        """Return the values that rows of a name can have.

        Folders of earlier versions do not say; of their metrics only the headline is known to be a
        share if that is its unit.
        """
        if metric in self.ranges:
            return self.ranges[metric]
        if metric == self.headline[0] and self.unit == "share":
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


class Trial(_Record):
    """One run that a sweep asked for; `skip` says why it is not made, if it is not."""

    run_id: str
    task: str
    arm: str
    seed: int
    skip: str | None = None


class Sweep(_Record):
    """What a sweep asked for."""

    name: str
    command: str = ""
    created: str = ""
    tasks: Mapping[str, TaskRecord]
    trials: tuple[Trial, ...]

    @property
    def overrides(self) -> tuple[str, ...]:
        """What ``--set`` laid over the runs, such as ``budget=600``, read from the command."""
        try:
            words = shlex.split(self.command)
        except ValueError:
            return ()
        after = [word for flag, word in pairwise(words) if flag == "--set"]
        return (*after, *(w.removeprefix("--set=") for w in words if w.startswith("--set=")))

    @model_validator(mode="after")
    def _trials_fit(self) -> Sweep:
        for trial in self.trials:
            if trial.task not in self.tasks or trial.arm not in self.tasks[trial.task].arms:
                raise ValueError(f"a declared task and arm for {trial.task}/{trial.arm}")
        return self


class Status(_Record):
    """How far a run has come, in gradient steps, and how it ended."""

    state: State
    reason: str = ""
    step: int = 0
    total: int = 0
    wall_s: float = 0.0


R = TypeVar("R", bound=_Record)


def read_sweep(folder: str | Path) -> Sweep:
    """Read what the sweep in a results folder asked for.

    Raises:
        ConfigError: if the folder is not a results folder.
    """
    path = Path(folder) / SWEEP
    wanted = "a results folder, which a sweep makes (run NAME --results DIR)"
    if not Path(folder).is_dir():
        raise ConfigError("results", str(folder), f"{wanted}; there is no such folder")
    try:
        return _parse(Sweep, json.loads(path.read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        raise ConfigError("results", str(folder), f"{wanted}; it has no {SWEEP}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError("results", str(path), f"a readable JSON file ({error})") from None


def read_status(folder: str | Path, trial: Trial) -> Status:
    """Read how a trial stands.

    A status file that cannot be read (it is replaced while the run goes on) counts as running.
    """
    if trial.skip is not None:
        return Status(state="skipped", reason=trial.skip)
    path = run_folder(folder, trial.run_id) / STATUS
    try:
        return _parse(Status, json.loads(path.read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        started = path.with_name(ROWS).exists()
        return Status(state="running" if started else "not started")
    except (ValueError, OSError):
        return Status(state="running", reason=f"{STATUS} cannot be read")


def read_config(folder: str | Path, run_id: str) -> dict[str, Any]:
    """Return the run's config as plain data, {} if there is none that can be read."""
    try:
        text = (run_folder(folder, run_id) / CONFIG).read_text(encoding="utf-8")
        return _mapping(yaml.load(text, Loader=_YAML_LOADER))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}


def read_provenance(folder: str | Path, run_id: str) -> dict[str, Any]:
    """Return the run's commit, versions, hardware and command, {} if none can be read."""
    try:
        text = (run_folder(folder, run_id) / PROVENANCE).read_text(encoding="utf-8")
        return _mapping(json.loads(text))
    except (OSError, ValueError):
        return {}


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
        ConfigError: if the folder is not a results folder.
    """
    sweep = read_sweep(folder)
    made = [trial for trial in sweep.trials if trial.skip is None]
    tasks = list(sweep.tasks)
    arms = list(dict.fromkeys(arm for task in sweep.tasks.values() for arm in task.arms))
    states = list(State.__args__)  # type: ignore[attr-defined]
    trials = pd.DataFrame(
        {
            "run_id": [trial.run_id for trial in made],
            "task": pd.Categorical([trial.task for trial in made], tasks),
            "arm": pd.Categorical([trial.arm for trial in made], arms),
            "seed": pd.Series([trial.seed for trial in made], dtype="int64"),
            "state": pd.Categorical([read_status(folder, trial).state for trial in made], states),
            "order": range(len(made)),
        }
    )
    rows = _read_rows(folder, dict.fromkeys(trials["run_id"]), metrics).to_pandas()
    ids = rows["run_id"].cat.categories
    trials = trials[trials["run_id"].isin(ids)]  # a run may have no rows yet
    trials = trials.assign(run_id=pd.Categorical(trials["run_id"], ids))
    table = rows.merge(trials, on="run_id", how="inner")
    if not table["order"].is_monotonic_increasing:  # one run that stands for several trials
        table = table.sort_values("order", kind="stable", ignore_index=True)
    return table[list(COLUMNS)]


def _read_rows(
    folder: str | Path, run_ids: Iterable[str], metrics: Collection[str] | None
) -> pa.Table:
    """Return the rows of all runs, in order, labels dictionary-encoded."""
    encoded = pa.schema(
        [
            (f.name, pa.dictionary(pa.int32(), pa.string()) if f.name in _LABELS else f.type)
            for f in _SCHEMA
        ]
    )
    tables = [encoded.empty_table()]
    for paths in _batches(run_folder(folder, run_id) / ROWS for run_id in run_ids):
        table = _parse_rows(paths)
        if metrics is not None:
            table = table.filter(pc.is_in(table["metric"], pa.array(list(metrics), pa.string())))
        tables.append(table.cast(encoded))
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _batches(paths: Iterable[Path]) -> Iterator[dict[Path, bytes]]:
    """Yield the complete lines of the files, many small files at a time."""
    batch: dict[Path, bytes] = {}
    size = 0
    for path in paths:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        data = data[: data.rfind(b"\n") + 1]  # what follows the last line end is torn
        if not data.strip():
            continue
        batch[path] = data
        size += len(data)
        if size >= _CHUNK:
            yield batch
            batch, size = {}, 0
    if batch:
        yield batch


def _parse_rows(files: Mapping[Path, bytes]) -> pa.Table:
    """Parse lines of JSON: all files at once, one by one only if there is a fault in them."""
    options = pyarrow.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore")
    try:
        table = pyarrow.json.read_json(io.BytesIO(b"".join(files.values())), parse_options=options)
        if not any(table[name].null_count for name in _SCHEMA.names if name != "value"):
            return table
    except pa.ArrowInvalid:
        pass
    if len(files) == 1:
        return _parse_lines(*next(iter(files.items())))
    return pa.concat_tables([_parse_rows({path: data}) for path, data in files.items()])


def _parse_lines(path: Path, data: bytes) -> pa.Table:
    """Parse line by line; a line that is no row is left out, with a warning that names it."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            row = {name: row[name] for name in _SCHEMA.names}
            pa.Table.from_pylist([row], _SCHEMA)
            if any(value is None for name, value in row.items() if name != "value"):
                raise ValueError
        except (ValueError, TypeError, KeyError, pa.ArrowException):
            warnings.warn(f"{path}: line {number} is not a row; left out", stacklevel=2)
        else:
            rows.append(row)
    return pa.Table.from_pylist(rows, _SCHEMA)


def _mapping(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _parse(record: type[R], data: Any, path: Path) -> R:
    """Build a record, with the file and key of the first fault in the message."""
    try:
        return record.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "the file"
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise ConfigError(f"{path}: {key}", fault["input"], message) from None
