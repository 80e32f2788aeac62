"""Sweeps: a YAML file to the list of its trials, impossible ones skipped with a reason.

A file holds one experiment, or several under ``experiments:``::

    base:       a partial RunConfig
    axes:       named lists of overrides, crossed; the axis "task" names tasks, all others arms;
                ``interventions+: [...]`` in one adds to what another has set
    games:      Atari games, each a task of that name: a list of them, or a set by its name, such as
                ``games: atari57`` (`suite.tasks.atari_sets`); makes the axis "task", which is then
                ``{alien: {task.game: alien}, ...}``
    seeds:      repetitions, listed
    skip:       combinations left out, each with its reason
    reference:  the arm (or axis values) that paired differences are taken to
    gap_to:     a further arm that a gap is reported to
    search:     values drawn for each arm: grid, uniform, loguniform or choice, by key path
    samples:    number of draws of a random search

``extends:`` takes another file as the ground that this one is laid over; one level only.
``include:`` lists files whose experiments are taken over as they are, beside or instead of a file's
own; then ``seeds:`` at the top replaces theirs, ``one_seed: true`` keeps the first of each, and
``changes:`` lays partial configs over their bases by label.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from suite.config import Config, merge, undot
from suite.errors import ConfigError, nearest
from suite.overrides import Overrides
from suite.run_config import RunConfig
from suite.search import SearchConfig, draws
from suite.sweep_file import experiments_of, find_config
from suite.tasks.atari_sets import GAME_SETS

Names = Annotated[str, Field(pattern=r"^[^/\s*?\[\]]+$")]


class SkipConfig(Config):
    """A combination that is left out: axis values that must all match, and why."""

    when: dict[str, str]
    reason: Annotated[str, Field(min_length=1)]


class ExperimentConfig(Config):
    """One experiment of a sweep, as its YAML spells it (see the module's docstring)."""

    description: str = ""
    base: dict[str, Any] = Field(default_factory=dict)
    axes: dict[Names, dict[Names, dict[str, Any] | None]] = Field(default_factory=dict)
    games: str | Annotated[tuple[str, ...], Field(strict=False)] | None = None
    seeds: Annotated[tuple[int, ...], Field(strict=False)]
    skip: Annotated[tuple[SkipConfig, ...], Field(strict=False)] = ()
    reference: str | dict[str, str] | None = None
    gap_to: str | dict[str, str] | None = None
    search: dict[str, SearchConfig] = Field(default_factory=dict)
    samples: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="before")
    @classmethod
    def _games_are_tasks(cls, data: Any) -> Any:
        """Make the axis "task" of `games`."""
        if not isinstance(data, Mapping) or data.get("games") is None:
            return data
        axes = data.get("axes") or {}
        if "task" in axes:
            raise ConfigError("games", data["games"], 'no axis "task" beside it, for it makes one')
        names = _games(data["games"])
        return {**data, "axes": {"task": {name: {"task.game": name} for name in names}, **axes}}

    @model_validator(mode="after")
    def _names_fit(self) -> ExperimentConfig:
        if len(set(self.seeds)) != len(self.seeds):
            raise ConfigError("seeds", list(self.seeds), "each seed once")
        for index, rule in enumerate(self.skip):
            self._check_choice(f"skip[{index}].when", rule.when)
        for key in ("reference", "gap_to"):
            self._check_choice(key, self.substitution(key))
        return self

    def _check_choice(self, key: str, choice: Mapping[str, str]) -> None:
        for axis, value in choice.items():
            if axis not in self.axes:
                raise ConfigError(f"{key}.{axis}", value, f"an axis: {nearest(axis, self.axes)}")
            if value not in self.axes[axis]:
                raise ConfigError(key, value, nearest(value, self.axes[axis]))

    @property
    def arm_axes(self) -> list[str]:
        """The axes whose values name an arm."""
        return [axis for axis in self.axes if axis != "task"]

    def substitution(self, key: str) -> dict[str, str]:
        """Return the axis values that `reference` or `gap_to` puts in place of an arm's own."""
        value = getattr(self, key)
        if not isinstance(value, str):
            return dict(value or {})
        if len(self.arm_axes) != 1:
            raise ConfigError(key, value, "axis values, such as {arm: constant}")
        return {self.arm_axes[0]: value}


def _games(value: Any) -> Sequence[str]:
    """Return the games of a set, or of a list."""
    if isinstance(value, str):
        if value not in GAME_SETS:
            raise ConfigError("games", value, f"a set of games: {nearest(value, GAME_SETS)}")
        return GAME_SETS[value]
    known = isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value)
    if not known or len(set(value)) != len(value):
        raise ConfigError("games", value, "the name of a set, or a list of games, each once")
    return list(value)


@dataclass(frozen=True)
class Trial:
    """One cell of a sweep.

    Attributes:
        task: label of the task.
        arm: label of the arm.
        config: the request; its seed is the repetition.
        skip: why it is not run, or None.
        axes: the value taken on each axis.
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
    """A sweep ready to run: its name, tasks and trials, and what was laid over them."""

    name: str
    tasks: dict[str, TaskPlan]
    trials: tuple[Trial, ...]
    overrides: tuple[str, ...] = ()

    @property
    def runs(self) -> dict[str, RunConfig]:
        """The distinct runs, by id; trials that ask for the same run share it."""
        return {t.run_id: t.config for t in self.trials if t.skip is None}

    def check_apart(self) -> None:
        """Check that arms with names of their own are runs of their own.

        Raises:
            ConfigError: if two arms of a task ask for the same run, as they do once ``--set`` has
                changed what they differ in.
        """
        seen: dict[tuple[str, str], str] = {}
        for trial in self.trials:
            if trial.skip is None:
                other = seen.setdefault((trial.task, trial.run_id), trial.arm)
                if other != trial.arm:
                    wanted = "changes that leave arms apart, or --only to choose one of them"
                    arms = f"{trial.task}: {other!r} and {trial.arm!r} are now the same run"
                    raise ConfigError("--set", arms, wanted)

    def only(self, pattern: str) -> Sweep:
        """Return the sweep with the trials whose ``task/arm/seed`` matches a glob.

        Raises:
            ConfigError: if none does.
        """
        kept = tuple(t for t in self.trials if fnmatchcase(t.label, pattern))
        if not any(t.skip is None for t in kept):
            labels = [t.label for t in self.trials]
            raise ConfigError(
                "--only", pattern, f"a glob over task/arm/seed; {nearest(pattern, labels)}"
            )
        return replace(self, trials=kept)


def load_sweep(
    names: Sequence[str], folders: Sequence[Path], overrides: Sequence[str] = ()
) -> Sweep:
    """Read one or more sweep files into one sweep.

    Args:
        names: paths, or bare names looked up in `folders`.
        folders: where bare names are looked up, in order.
        overrides: ``[TASK:]key.path=value``, laid over every run (of the tasks that match the
            glob); ``seeds=[...]`` replaces the seeds.

    Raises:
        ConfigError: for anything that is wrong, before anything is made.
    """
    changes = Overrides(overrides)
    trials: list[Trial] = []
    tasks: dict[str, TaskPlan] = {}
    for name in names:
        path = find_config(name, folders)
        for label, body in experiments_of(path, folders).items():
            where = f"{path.name}: " + (f"experiments.{label}." if label else "")
            experiment = ExperimentConfig.from_mapping(changes.seeds(body, label), where)
            found, plans = _expand(experiment, label, where, changes)
            if clash := set(plans) & set(tasks):
                raise ConfigError("config", name, f"tasks of other names than {clash.pop()!r}")
            trials += found
            tasks |= plans
    changes.check_used(tasks)
    if not any(trial.skip is None for trial in trials):
        reasons = "; ".join(sorted({t.skip for t in trials if t.skip})) or "no seeds"
        raise ConfigError("config", list(names), f"at least one run to do ({reasons})")
    joined = "+".join(Path(n).stem for n in names)
    return Sweep(joined, tasks, tuple(trials), tuple(overrides))


def _expand(
    experiment: ExperimentConfig,
    label: str,
    where: str,
    changes: Overrides,
) -> tuple[list[Trial], dict[str, TaskPlan]]:
    """Cross the axes of one experiment; return its trials and the plans of its tasks."""
    axes = {axis: list(values) for axis, values in experiment.axes.items()}
    trials: list[Trial] = []
    arms: dict[str, dict[str, dict[str, str]]] = {}
    for values in itertools.product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        mapping = undot(experiment.base)
        for axis, value in cell.items():
            try:
                mapping = merge(mapping, experiment.axes[axis][value] or {})
            except ConfigError as error:
                key = f"{where}axes.{axis}.{value}.{error.key}"
                raise ConfigError(key, error.value, error.expected) from None
        reason = _skipped(experiment, cell)
        changes.check_free(experiment.search, label)
        for suffix, drawn in draws(experiment.search, experiment.samples, label):
            for seed in experiment.seeds:
                request = merge(merge(mapping, drawn), {"seed": seed})
                here = where + (f"[{'/'.join(values)}] " if values else "")
                task = "-".join(part for part in (label, cell.get("task", "")) if part)
                if changes:
                    named = task or RunConfig.from_mapping(request, here).task.label
                    request = changes.lay_over(request, named)
                config = RunConfig.from_mapping(request, here)
                task = task or config.task.label
                arm = _arm(experiment, cell, suffix)
                try:
                    config.check()
                except ConfigError as error:
                    raise ConfigError(here + error.key, error.value, error.expected) from None
                skip = reason or config.skip_reason()
                trials.append(Trial(task, arm, config, skip))
                arms.setdefault(task, {})[arm] = cell
    return trials, {task: _plan(experiment, cells) for task, cells in arms.items()}


def _skipped(experiment: ExperimentConfig, cell: Mapping[str, str]) -> str | None:
    for rule in experiment.skip:
        if all(cell.get(axis) == value for axis, value in rule.when.items()):
            return rule.reason
    return None


def _arm(experiment: ExperimentConfig, cell: Mapping[str, str], suffix: str) -> str:
    named = [cell[axis] for axis in experiment.arm_axes]
    return ",".join([*named, *([suffix] if suffix else [])]) or "default"


def _plan(experiment: ExperimentConfig, cells: Mapping[str, Mapping[str, str]]) -> TaskPlan:
    """Return a task's plan from its arms' axis values."""

    def others(key: str) -> dict[str, str]:
        change = experiment.substitution(key)
        if not change:
            return {}
        found = {}
        for arm, cell in cells.items():
            suffix = arm.rpartition(",")[2] if experiment.search else ""
            other = _arm(experiment, {**cell, **change}, suffix)
            if other in cells:
                found[arm] = other
        return found

    return TaskPlan(tuple(cells), others("reference"), others("gap_to"), experiment.description)
