"""Groups of Atari games in a sweep: human-normalised scores, aggregated over games by arm.

Tasks form a group if each is one Atari game, their labels differ only in its name, and arms and
primary metric are the same. A game counts if it has a human score and a complete run of every arm
that has any result, so all arms are measured on the same games. Each game of an arm has as many
runs as the arm's game with the fewest: the first seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from suite.atari.protocols import PROTOCOLS
from suite.atari.scores import REFERENCES, STARTS, human_normalised
from suite.report.page.wording import decimals, interval, metric_label
from suite.report.statistics.aggregate import aggregate
from suite.report.statistics.statistics import Estimate
from suite.report.statistics.summary import ArmResult, TaskResult

Configs = Mapping[str, Mapping[str, Any]]
"""Contents of ``config.yaml`` by run id."""

FEWEST_GAMES = 2
"""Least number of games that are aggregated."""
NAMELESS = "atari"
"""Label of a group if the labels of its tasks are only the games."""


@dataclass(frozen=True)
class GamesArm:
    """One arm over all games.

    Attributes:
        label: the arm.
        scores: mean normalised score over the runs that count, by game.
        aggregates: the numbers of `suite.report.statistics.aggregate`, by key.
        runs: runs of each game that count.
        left_out: complete runs that do not, for other games have fewer.
    """

    label: str
    scores: dict[str, float]
    aggregates: dict[str, Estimate]
    runs: int
    left_out: int = 0


@dataclass(frozen=True)
class GamesResult:
    """A group of games.

    Attributes:
        label: what their tasks' labels have in common, `NAMELESS` if nothing.
        tasks: all tasks of the group.
        games: those that count, in the order of the sweep.
        left_out: why others do not, by game.
        arms: in the order of the sweep.
        protocols: how the games were played, in words; several if runs differ.
    """

    label: str
    tasks: tuple[TaskResult, ...]
    games: tuple[str, ...]
    left_out: dict[str, str]
    arms: tuple[GamesArm, ...]
    protocols: tuple[str, ...]

    @property
    def name(self) -> str:
        """For instance ``Atari games of fig6``."""
        return "Atari games" if self.label == NAMELESS else f"Atari games of {self.label}"


def with_games(tasks: Sequence[TaskResult], configs: Configs) -> list[TaskResult]:
    """Return the tasks, those that are one Atari game marked with its name."""
    return [replace(task, game=_game(task, configs)) for task in tasks]


def normalised(task: TaskResult, arm: ArmResult) -> Estimate | None:
    """Return an arm's score on the human scale, None if the task is no game with a human score."""
    if task.game not in REFERENCES or task.game is None:
        return None
    game = task.game
    score, lo, hi = (None if x is None else human_normalised(game, x) for x in arm.score[:3])
    return Estimate(score, lo, hi, arm.score.n)


def games_results(tasks: Sequence[TaskResult], configs: Configs) -> list[GamesResult]:
    """Return the groups of games of a sweep that have at least `FEWEST_GAMES` to aggregate.

    Args:
        tasks: results, as `with_games` returns them.
        configs: contents of ``config.yaml`` by run id.
    """
    groups: dict[tuple[Any, ...], list[TaskResult]] = {}
    for task in tasks:
        if task.game is not None:
            arms = tuple(arm.label for arm in task.arms)
            shared = task.label.replace(task.game, "", 1)
            groups.setdefault((shared, arms, task.record.primary_metric), []).append(task)
    found: dict[str, GamesResult] = {}
    for (shared, *_), members in groups.items():
        name = label = shared.strip("-_ ") or NAMELESS
        while label in found:
            label = f"{name}-{len(found) + 1}"
        group = _group(label, members, configs)
        if len(group.games) >= FEWEST_GAMES:
            found[label] = group
    return list(found.values())


def _game(task: TaskResult, configs: Configs) -> str | None:
    """Return the game of all runs of a task, None if they have none or several."""
    games = {a.get("game") if a.get("kind") == "atari" else None for a in _asked(task, configs)}
    game = games.pop() if len(games) == 1 else None
    return game if isinstance(game, str) else None


def _asked(task: TaskResult, configs: Configs) -> list[Mapping[str, Any]]:
    """Return the task's own part of its runs' configs, of those that have one."""
    found = (configs.get(run.trial.run_id, {}).get("task") for run in task.runs)
    return [asked for asked in found if isinstance(asked, Mapping)]


def _group(label: str, tasks: Sequence[TaskResult], configs: Configs) -> GamesResult:
    by_game = {task.game: task for task in tasks if task.game is not None}
    arms = [arm.label for arm in tasks[0].arms]
    values = {
        arm.label: {game: _values(task, index) for game, task in by_game.items()}
        for index, arm in enumerate(tasks[0].arms)
    }
    begun = [arm for arm in arms if any(values[arm].values())]
    left_out = {}
    for game in by_game:
        lacking = [arm for arm in begun if not values[arm][game]]
        if game not in REFERENCES:
            left_out[game] = "no human score"
        elif lacking or not begun:
            left_out[game] = f"no complete run of {', '.join(lacking) or 'any arm'}"
    games = tuple(game for game in by_game if game not in left_out)
    return GamesResult(
        label,
        tuple(tasks),
        games,
        left_out,
        tuple(_arm(arm, games, values[arm]) for arm in arms) if games else (),
        _protocols(tasks, configs),
    )


def _values(task: TaskResult, index: int) -> list[float]:
    """Return the scores of an arm's complete runs, by seed."""
    return [value for _, value in sorted(task.arms[index].values.items())]


def _arm(label: str, games: Sequence[str], values: Mapping[str, Sequence[float]]) -> GamesArm:
    runs = min(len(values[game]) for game in games)
    table = np.array(
        [[human_normalised(game, x) for x in values[game][:runs]] for game in games]
    ).reshape(len(games), runs)
    return GamesArm(
        label,
        {game: float(row.mean()) for game, row in zip(games, table, strict=True) if runs},
        aggregate(table.T),
        runs,
        sum(len(values[game]) for game in games) - runs * len(games),
    )


def _protocols(tasks: Sequence[TaskResult], configs: Configs) -> tuple[str, ...]:
    """Return for instance ``dopamine, ale, sticky actions 0.25, life loss does not end ...``."""
    found: dict[str, None] = {}
    for asked in (asked for task in tasks for asked in _asked(task, configs)):
        life = "ends" if asked.get("life_loss_ends_bootstrap") else "does not end"
        words = [f"sticky actions {asked.get('sticky')}", f"life loss {life} bootstrapping"]
        named = [str(asked.get(key, f"no {key} named")) for key in ("protocol", "backend")]
        told = PROTOCOLS[named[0]].values if named[0] in PROTOCOLS else {}
        for key in sorted(told.keys() & asked.keys() - {"sticky", "life_loss_ends_bootstrap"}):
            if asked[key] != told[key]:
                words.append(f"{key} {asked[key]}")
        found[", ".join([*named, *words])] = None
    return tuple(found)


def aggregate_json(groups: Sequence[GamesResult]) -> str:
    """Return the text of ``aggregate.json``."""
    return json.dumps(as_aggregate(groups), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_aggregate(groups: Sequence[GamesResult]) -> dict[str, Any]:
    """Return what ``aggregate.json`` holds: ``{group: {...}}``, None where there is no number.

    Keys of a group: `metric`, `human_scores`, `protocols`, `games`, `left_out` (reasons by game)
    and `arms`. Keys of an arm: `runs` of each game, `iqm`, `median`, `mean` and `optimality_gap`,
    each ``{value, lo, hi}``, and `games`, its mean normalised scores.
    """
    return {
        group.label: {
            "metric": group.tasks[0].metric,
            "human_scores": STARTS,
            "protocols": list(group.protocols),
            "games": list(group.games),
            "left_out": group.left_out,
            "arms": {
                arm.label: {
                    "runs": arm.runs,
                    **{
                        name: {"value": e.mean, "lo": e.lo, "hi": e.hi}
                        for name, e in arm.aggregates.items()
                    },
                    "games": arm.scores,
                }
                for arm in group.arms
            },
        }
        for group in groups
    }


HEADINGS = ("arm", "IQM [95%]", "median [95%]", "mean [95%]", "optimality gap [95%]", "runs/game")
"""Headings of the table of a group."""


def heading(group: GamesResult) -> str:
    """Return the title of a group's table."""
    what = metric_label(*group.tasks[0].record.primary_metric)
    return f"{len(group.games)} {group.name}: human-normalised {what}"


def lines(group: GamesResult) -> list[list[str]]:
    """Return the lines of a group's table, in the order of `HEADINGS`; ASCII but for names."""
    every = [e for arm in group.arms for e in arm.aggregates.values()]
    places = decimals(end for e in every for end in e[:3])
    return [
        [arm.label, *(interval(e, places) for e in arm.aggregates.values()), str(arm.runs)]
        for arm in group.arms
    ]


def notes(group: GamesResult) -> list[str]:
    """Return the lines under a group's table."""
    found = [
        f"0 is random play, 1 a human ({STARTS}). IQM, median and mean: higher is better; the "
        "optimality gap, how far below a human runs are on average, lower. Intervals: 95% "
        "stratified bootstrap over runs, none below three of each game.",
        f"Games: {', '.join(group.games)}.",
    ]
    if group.left_out:
        reasons = (f"{game} ({reason})" for game, reason in group.left_out.items())
        found.append(f"Left out: {'; '.join(reasons)}.")
    found += [
        f"{arm.label}: {arm.left_out} complete runs do not count, because other games have fewer."
        for arm in group.arms
        if arm.left_out
    ]
    lead = "Protocol" if len(group.protocols) == 1 else "Protocols differ"
    return [*found, f"{lead}: {'; '.join(group.protocols)}."]
