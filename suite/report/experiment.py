"""The runs of one published experiment, as claims and figures read them: from rows alone.

An experiment is known by the label of its task in a sweep, such as ``kumar2024_fig1``; the same at
a reduced size carries ``_small`` behind it. An axis "task" adds its values: ``growing-mnist``. A
file that is one experiment without a label, as of Atari games, goes by its name: all its tasks are
the experiment's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from suite.errors import ConfigError
from suite.ranges import ANY, Range, hull
from suite.records.reader import load_results, read_config, read_sweep, status_of
from suite.report.arms import Ambiguous as Ambiguous
from suite.report.arms import Arms as Arms
from suite.report.arms import NotMeasured as NotMeasured
from suite.report.arms import Settings as Settings
from suite.report.arms import Undetermined as Undetermined
from suite.sweeps.overrides import Overrides

Array = npt.NDArray[np.float64]
Scale = Literal["published", "small"]
SMALL = "_small"
Value = TypeVar("Value")
More = ParamSpec("More")


def task_numbers(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the numbers of tasks of a stream that rows have as their layers, (n,), from 0 on."""
    return rows["layer"].astype(str).to_numpy(dtype=np.int64)


@dataclass(frozen=True)
class Track:
    """A metric over gradient steps, over frames, or over the tasks of a stream.

    Attributes:
        steps: (n,), increasing; equal ones where nothing was learnt in between.
        values: (n,).
    """

    steps: Array
    values: Array

    @classmethod
    def over_tasks(cls, rows: pd.DataFrame) -> Track:
        """Return the finite values of a run by the number of the task, from 1 on.

        Args:
            rows: of one metric whose layers are numbers of tasks, one row for each task.
        """
        rows = rows[np.isfinite(rows["value"].to_numpy(dtype=np.float64))]
        numbers = task_numbers(rows) + 1
        order = np.argsort(numbers)
        return cls(numbers[order].astype(float), rows["value"].to_numpy(dtype=np.float64)[order])

    @property
    def first(self) -> float:
        """The first value."""
        return float(self.values[0])

    @property
    def last(self) -> float:
        """The last value."""
        return float(self.values[-1])

    def at(self, step: float) -> float:
        """Return the value measured last at or before `step`."""
        return float(self.values[max(int(np.searchsorted(self.steps, step, "right")) - 1, 0)])

    def between(self, start: float, stop: float) -> Track:
        """Return the part from step `start` to step `stop`, both included.

        Raises:
            NotMeasured: if nothing was measured there.
        """
        inside = (self.steps >= start) & (self.steps <= stop)
        if not inside.any():
            raise NotMeasured(f"steps {start:g} to {stop:g}")
        return Track(self.steps[inside], self.values[inside])


@dataclass(frozen=True)
class Repetition(Arms):
    """All arms of an experiment with one seed.

    Attributes:
        seed: the repetition.
        runs: run id by (task, arm), those that are complete.
        configs: config by run id.
        rows: rows by run id.
        lacks: (task, arm) of those that are planned and not complete, diverged ones among them.
    """

    seed: int
    runs: Mapping[tuple[str, str], str]
    configs: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, pd.DataFrame]
    lacks: frozenset[tuple[str, str]] = frozenset()

    @property
    def arms(self) -> list[str]:
        """Labels of the arms that are complete, in the order of the sweep."""
        return list(dict.fromkeys(arm for _, arm in self.runs))

    @property
    def tasks(self) -> list[str]:
        """Labels of the tasks, in the order of the sweep."""
        return list(dict.fromkeys(task for task, _ in self.runs))

    def _run(self, arm: str, task: str | None) -> str:
        found = [i for (t, a), i in self.runs.items() if a == arm and task in (None, t)]
        if len(found) != 1:
            raise NotMeasured(f"arm {arm!r} of seed {self.seed}")
        return found[0]

    def config(self, arm: str, task: str | None = None) -> Mapping[str, Any]:
        """See `Arms.config`."""
        return self.configs[self._run(arm, task)]

    def by_task(self) -> dict[str, Repetition]:
        """Return a repetition for each task, with its runs alone, in the order of the sweep."""
        return {
            task: replace(
                self,
                runs={key: run for key, run in self.runs.items() if key[0] == task},
                lacks=frozenset(key for key in self.lacks if key[0] == task),
            )
            for task in self.tasks
        }

    def track(
        self,
        arm: str,
        metric: str,
        layer: str = "",
        task: str | None = None,
        *,
        over: Literal["step", "frames"] = "step",
    ) -> Track:
        """Return a metric of an arm over gradient steps, without what is not finite.

        Args:
            arm: its label.
            metric: its name.
            layer: its layer.
            task: its task, where several have such an arm.
            over: gradient steps, or emulator frames.

        Raises:
            NotMeasured: if there are no such rows.
        """
        rows = self.rows[self._run(arm, task)]
        rows = rows[(rows["metric"] == metric) & (rows["layer"] == layer)]
        rows = rows[np.isfinite(rows["value"].to_numpy(dtype=np.float64))]
        if rows.empty:
            raise NotMeasured(f"{metric} {layer} of arm {arm!r}")
        steps = rows[over].to_numpy(dtype=np.float64)
        return Track(steps, rows["value"].to_numpy(dtype=np.float64))

    def over_tasks(self, arm: str, metric: str) -> Track:
        """Return a metric of an arm over the numbers of the tasks that are its layers, from 1 on.

        Raises:
            NotMeasured: if there are no such rows.
        """
        rows = self.rows[self._run(arm, None)]
        track = Track.over_tasks(rows[rows["metric"] == metric])
        if not len(track.steps):
            raise NotMeasured(f"{metric} of arm {arm!r}")
        return track

    def layers(self, arm: str, metric: str) -> list[str]:
        """Return the layers that a metric of an arm has rows of, in the order of the rows.

        Raises:
            NotMeasured: if there are none.
        """
        rows = self.rows[self._run(arm, None)]
        found = [str(layer) for layer in rows.loc[rows["metric"] == metric, "layer"].unique()]
        if not found:
            raise NotMeasured(f"{metric} of arm {arm!r}")
        return found


@dataclass(frozen=True)
class Experiment(Arms):
    """One experiment at one scale.

    Attributes:
        name: without the mark of its scale.
        scale: published or small.
        repetitions: one per seed that has a complete run.
        planned: all seeds of the sweep.
        changed: what ``--set`` changed.
        ranges: values that metrics can have, by name, as far as the sweep says.
    """

    name: str
    scale: Scale
    repetitions: Sequence[Repetition]
    planned: Sequence[int] = ()
    changed: Sequence[str] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)

    @property
    def arms(self) -> list[str]:
        """Labels of the arms of any repetition, in the order of the sweep."""
        return list(dict.fromkeys(arm for seed in self.repetitions for arm in seed.arms))

    def each(
        self,
        of: Callable[Concatenate[Repetition, More], Value],
        *args: More.args,
        **keys: More.kwargs,
    ) -> dict[int, Value]:
        """Return what a function finds, by seed; seeds where it raises `NotMeasured` are left out.

        Args:
            of: called with every repetition and the further arguments.
            args: further arguments.
            keys: further arguments by name.
        """
        found = {}
        for seed in self.repetitions:
            try:
                found[seed.seed] = of(seed, *args, **keys)
            except NotMeasured:
                continue
        return found

    def tracks(self, arm: str, metric: str, layer: str = "") -> list[Track]:
        """Return a metric of an arm, one track for each seed that has it."""
        return list(self.each(Repetition.track, arm, metric, layer).values())

    def range_of(self, metric: str) -> Range:
        """Return the values that a metric can have, without bounds where that is not known."""
        return self.ranges.get(metric, ANY)

    def config(self, arm: str, task: str | None = None) -> Mapping[str, Any]:
        """Return the config of an arm, that of the first seed which has the arm.

        Raises:
            NotMeasured: if none has it, see `Arms.config`.
        """
        for seed in self.repetitions:
            if arm in seed.arms:
                return seed.config(arm, task)
        raise NotMeasured(f"arm {arm!r}")


def interventions(runs: Arms, arm: str, kind: str) -> list[Mapping[str, Any]]:
    """Return the configs of an arm's interventions of a kind."""
    return [member for member in runs.setting(arm, "interventions") if member["kind"] == kind]


def _readable(changes: Sequence[str]) -> tuple[Overrides, list[str]]:
    """Return changes made from the command line, and those that no ``--set`` may be today.

    Earlier versions took some of these; of which runs they were is not known.
    """
    readable, others = [], []
    for change in changes:
        try:
            Overrides([change])
        except ConfigError:
            others.append(change)
        else:
            readable.append(change)
    return Overrides(readable), others


class Results:
    """A results folder, by experiment.

    Args:
        folder: the results folder.

    Raises:
        ConfigError: if it is not one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        sweep = read_sweep(folder)
        self._name = sweep.name
        self._set, self._unread = _readable(sweep.overrides)
        self._tasks = sweep.tasks
        self._planned = [trial for trial in sweep.trials if trial.skip is None]
        self._complete = [t for t in self._planned if status_of(folder, t).state == "complete"]

    @cached_property
    def _rows(self) -> Mapping[str, pd.DataFrame]:
        """Rows by run; `load_results` repeats those of a run for every task and arm it serves."""
        rows = load_results(self.folder)
        columns = ["metric", "layer", "step", "frames", "value"]
        found: dict[str, pd.DataFrame] = {}
        for (run_id, *_), of in rows.groupby(["run_id", "task", "arm"], observed=True)[columns]:
            found.setdefault(str(run_id), of)
        return found

    def experiment(self, name: str, scale: Scale) -> Experiment | None:
        """Return an experiment, None if no run of it is complete."""
        label = name + (SMALL if scale == "small" else "")
        of = re.compile(rf"{re.escape(label)}(-.*)?")
        if self._name == label and not any(of.fullmatch(task) for task in self._tasks):
            of = re.compile(
                ".*"
            )  # its file is one experiment, whose tasks have no label before them
        trials = [t for t in self._complete if of.fullmatch(t.task) and t.run_id in self._rows]
        if not trials:
            return None
        configs = {t.run_id: read_config(self.folder, t.run_id) for t in trials}
        planned = [t for t in self._planned if of.fullmatch(t.task)]
        repetitions = []
        for seed in sorted({trial.seed for trial in trials}):
            runs = {(t.task, t.arm): t.run_id for t in trials if t.seed == seed}
            lacks = frozenset((t.task, t.arm) for t in planned if t.seed == seed) - runs.keys()
            repetitions.append(Repetition(seed, runs, configs, self._rows, lacks))
        seeds = sorted({t.seed for t in planned})
        labels = sorted({t.task for t in planned})
        given = (change for label in labels for change in self._set.of_runs(label))
        changed = list(dict.fromkeys((*given, *self._unread)))
        return Experiment(name, scale, repetitions, seeds, changed, self._ranges(labels))

    def _ranges(self, labels: Sequence[str]) -> dict[str, Range]:
        """Return what is true of the metrics of all of some tasks."""
        tasks = [self._tasks[label] for label in labels]
        names = dict.fromkeys(
            name for task in tasks for name in (*task.ranges, task.primary_metric[0])
        )
        return {name: hull(task.range_of(name) for task in tasks) for name in names}
