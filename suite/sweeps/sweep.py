"""Sweeps: from a YAML file to the list of its trials; impossible ones are skipped with a reason.

A file holds one experiment, or several under ``experiments:``::

    base:       a partial RunConfig
    axes:       named lists of overrides, crossed; the axis "task" names tasks, all others arms;
                ``interventions+: [...]`` in one adds to what another has set
    games:      Atari games, each a task of that name: a list of them, or a set by its name, such as
                ``games: atari57`` (`suite.atari.sets`); makes the axis "task", which is then
                ``{alien: {task.game: alien}, ...}``
    seeds:      repetitions, listed
    skip:       combinations left out, each with its reason
    reference:  the arm (or axis values) that paired differences are taken to
    gap_to:     a further arm that a gap is reported to
    search:     values drawn for each arm: grid, uniform, loguniform or choice, by key path
    samples:    number of draws of a random search

Names of experiments, axes and their values are letters, digits and a few signs
(`suite.sweeps.labels`).

``extends:`` merges this file into another one; one level only. ``include:`` lists files whose
experiments are used unchanged, in addition to or instead of the file's own. Then ``seeds:`` at the
top replaces their seeds, ``one_seed: true`` keeps the first of each, and ``changes:`` merges
partial configs into their bases by label. ``benchmark:`` names the frozen
benchmark that a file is (`suite.sweeps.benchmark`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from suite.config import merge, undot
from suite.errors import MOST_NAMES, ConfigError, listing
from suite.run_config import RunConfig
from suite.sweeps import benchmark
from suite.sweeps.experiment import ExperimentConfig
from suite.sweeps.labels import MOST_TRIALS, check_apart, join, matcher, slug
from suite.sweeps.overrides import Overrides
from suite.sweeps.search import draws
from suite.sweeps.sweep_file import benchmark_of, experiments_of, find_config


@dataclass(frozen=True)
class Trial:
    """One cell of a sweep.

    Attributes:
        task: label of the task.
        arm: label of the arm.
        config: the request; its seed is the repetition.
        skip: why it is not run, or None.
    """

    task: str
    arm: str
    config: RunConfig
    skip: str | None = None

    @property
    def run_id(self) -> str:
        """The config's run id."""
        return self.config.run_id

    @property
    def label(self) -> str:
        """``task/arm/seed``."""
        return f"{self.task}/{self.arm}/{self.config.seed}"


@dataclass(frozen=True)
class TaskPlan:
    """What a report needs to know of one task of a sweep.

    Attributes:
        arms: labels, in the order of the file.
        reference: reference arm of each arm, if any.
        gap_to: arm that each arm's gap is taken to, if any.
        description: the experiment's own words.
    """

    arms: tuple[str, ...]
    reference: dict[str, str]
    gap_to: dict[str, str]
    description: str


@dataclass(frozen=True)
class Sweep:
    """A sweep ready to run.

    Attributes:
        name: of its files.
        tasks: the tasks by label.
        trials: all trials.
        overrides: changes by ``--set``.
        benchmark: the frozen benchmark that it is; "" if it is none, or was changed.
    """

    name: str
    tasks: dict[str, TaskPlan]
    trials: tuple[Trial, ...]
    overrides: tuple[str, ...] = ()
    benchmark: str = ""

    @property
    def runs(self) -> dict[str, RunConfig]:
        """The distinct runs, by id; trials that ask for the same run share it."""
        return {t.run_id: t.config for t in self.trials if t.skip is None}

    def check_apart(self) -> None:
        """Check that arms with different names are different runs.

        Raises:
            ConfigError: if two arms of a task ask for the same run, as they do once ``--set`` has
                changed what they differ in.
        """
        seen: dict[tuple[str, str], str] = {}
        for trial in self.trials:
            if trial.skip is None:
                other = seen.setdefault((trial.task, trial.run_id), trial.arm)
                if other != trial.arm:
                    wanted = "changes that keep arms different, or --only to choose one of them"
                    arms = f"{trial.task}: {other!r} and {trial.arm!r} are now the same run"
                    raise ConfigError("--set", arms, wanted)

    def only(self, *patterns: str) -> Sweep:
        """Return the sweep with the trials whose ``task/arm/seed`` matches any of the globs.

        Raises:
            ConfigError: if one of them matches none that is to be run.
        """
        kept: set[str] = set()
        for pattern in patterns:
            matches = matcher(pattern, "--only")
            found = [t for t in self.trials if matches(t.label)]
            if not any(t.skip is None for t in found):
                reasons = sorted({t.skip for t in found if t.skip})
                why = f" that is not skipped ({'; '.join(reasons)})" if reasons else ""
                wanted = f"a glob over task/arm/seed that fits a trial{why}; {self._listing()}"
                raise ConfigError("--only", pattern, wanted)
            kept |= {t.label for t in found}
        return replace(self, trials=tuple(t for t in self.trials if t.label in kept))

    def _listing(self) -> str:
        """Return the arms of each task, and the seeds, for a message."""
        seeds = sorted({t.config.seed for t in self.trials})
        parts = [f"arms of {task}: {listing(plan.arms)}" for task, plan in self.tasks.items()]
        if len(parts) > MOST_NAMES:
            parts[MOST_NAMES:] = [f"and {len(parts) - MOST_NAMES:,} more tasks"]
        return f"{'; '.join(parts)}; seeds: {listing(seeds)}"


def load_sweep(
    names: Sequence[str], folders: Sequence[Path], overrides: Sequence[str] = ()
) -> Sweep:
    """Read one or more sweep files into one sweep.

    Args:
        names: paths, or bare names looked up in `folders`.
        folders: where bare names are looked up, in order.
        overrides: ``[TASK:]key.path=value``, changes of every run (of the tasks that match the
            glob); ``seeds=[...]`` replaces the seeds.

    Raises:
        ConfigError: for anything that is wrong, before anything is made.
    """
    changes = Overrides(overrides)
    trials: list[Trial] = []
    tasks: dict[str, TaskPlan] = {}
    homes: dict[str, str] = {}
    versions: set[str] = set()
    for name in names:
        path, before = find_config(name, folders), len(trials)
        version = benchmark_of(path)
        for label, body in experiments_of(path, folders).items():
            where = f"{path.name}: " + (f"experiments.{label}." if label else "")
            experiment = ExperimentConfig.from_mapping(changes.seeds(body, label), where)
            found, plans = _expand(experiment, label, where, changes)
            for task in plans:
                if task in tasks:
                    theirs = f"tasks of other names than {task!r}, which {homes[task]} has"
                    raise ConfigError(f"{where}{task}", task, theirs)
            homes |= dict.fromkeys(plans, f"{path.name}{label and f': experiments.{label}'}")
            trials += found
            tasks |= plans
        if version:
            frozen = benchmark.read(version, f"{path.name}: ")
            if not changes:
                runs = ((t.task, f"{t.arm}/{t.config.seed}", t.run_id) for t in trials[before:])
                benchmark.check(benchmark.digests(runs), frozen, version, f"{path.name}: ")
        versions.add("" if changes else version)
    if len(trials) > MOST_TRIALS:
        raise ConfigError("config", len(trials), f"at most {MOST_TRIALS:,} trials in a sweep")
    check_apart("config", tasks, slug)
    changes.check_used(tasks)
    if not any(trial.skip is None for trial in trials):
        reasons = "; ".join(sorted({t.skip for t in trials if t.skip})) or "no seeds"
        raise ConfigError("config", list(names), f"at least one run to do ({reasons})")
    joined = "+".join(Path(n).stem for n in names)
    version = versions.pop() if len(versions) == 1 else ""
    return Sweep(joined, tasks, tuple(trials), tuple(overrides), version)


@dataclass(frozen=True)
class _Arm:
    """The position of an arm: its value on each axis, and the name of its search point."""

    cell: Mapping[str, str]
    point: str

    def label(self, axes: Iterable[str]) -> str:
        """Return what it is called."""
        return join((self.cell[axis] for axis in axes), self.point)


def _expand(
    experiment: ExperimentConfig,
    label: str,
    where: str,
    changes: Overrides,
) -> tuple[list[Trial], dict[str, TaskPlan]]:
    """Cross the axes of one experiment; return its trials and the plans of its tasks.

    Raises:
        ConfigError: if two arms share a name, or a run cannot be made as it is written.
    """
    axes = {axis: list(values) for axis, values in experiment.axes.items()}
    trials: list[Trial] = []
    arms: dict[str, dict[str, _Arm]] = {}
    changes.check_free(experiment.search, label)
    points = draws(experiment.search, experiment.samples, label)
    for values in itertools.product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        mapping = _of_cell(experiment, cell, where)
        reason = _skipped(experiment, cell)
        here = where + (f"[{'/'.join(values)}] " if values else "")
        named = "-".join(part for part in (label, cell.get("task", "")) if part)
        for point, drawn in points:
            if not experiment.seeds:
                continue
            config = _request(mapping, drawn, experiment.seeds[0], named, here, changes)
            task, arm = named or config.task.label, _Arm(cell, point)
            name = arm.label(experiment.arm_axes)
            if arms.setdefault(task, {}).setdefault(name, arm) != arm:
                raise ConfigError(f"{where}axes", name, "a different name for each arm")
            skip = reason or config.skip_reason()
            for seed in experiment.seeds:
                run = config.model_copy(update={"seed": seed})
                trials.append(Trial(task, name, run, skip))
    for found in arms.values():
        check_apart(f"{where}axes", found)
    return trials, {task: _plan(experiment, found) for task, found in arms.items()}


def _of_cell(experiment: ExperimentConfig, cell: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the base of an experiment with the overrides of one value of each axis."""
    mapping = _merged(experiment.base, {}, f"{where}base.")
    for axis, value in cell.items():
        change = experiment.axes[axis][value] or {}
        mapping = _merged(mapping, change, f"{where}axes.{axis}.{value}.")
    return mapping


def _merged(mapping: dict[str, Any], change: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        merged: dict[str, Any] = merge(undot(mapping), change)
    except ConfigError as error:
        raise ConfigError(where + error.key, error.value, error.expected) from None
    if "seed" in merged:
        wanted = "no such key here; `seeds` lists the repetitions"
        raise ConfigError(f"{where}seed", merged["seed"], wanted)
    return merged


def _request(
    mapping: dict[str, Any],
    drawn: Mapping[str, Any],
    seed: int,
    named: str,
    here: str,
    changes: Overrides,
) -> RunConfig:
    """Return the run of a cell, a point of the search and a seed, checked.

    Raises:
        ConfigError: if it cannot be made, naming the cell.
    """
    request = {**_merged(mapping, drawn, f"{here}search."), "seed": seed}
    if changes:
        task = named or RunConfig.from_mapping(request, here).task.label
        request = changes.lay_over(request, task)
    config = RunConfig.from_mapping(request, here)
    try:
        config.check()
    except ConfigError as error:
        raise ConfigError(here + error.key, error.value, error.expected) from None
    return config


def _skipped(experiment: ExperimentConfig, cell: Mapping[str, str]) -> str | None:
    for rule in experiment.skip:
        if all(cell.get(axis) == value for axis, value in rule.when.items()):
            return rule.reason
    return None


def _plan(experiment: ExperimentConfig, arms: Mapping[str, _Arm]) -> TaskPlan:
    """Return a task's plan from where its arms stand."""

    def others(key: str) -> dict[str, str]:
        change = experiment.substitution(key)
        if not change:
            return {}
        found = {}
        for name, arm in arms.items():
            there = _Arm({**arm.cell, **change}, arm.point)
            other = there.label(experiment.arm_axes)
            if other in arms:
                found[name] = other
        return found

    return TaskPlan(tuple(arms), others("reference"), others("gap_to"), experiment.description)
