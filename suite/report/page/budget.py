"""The budget of each arm: a comparison means little if readers cannot see different budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suite.report.statistics.summary import ArmResult, TaskResult

UNITS = {
    "steps": "gradient steps",
    "epochs": "epochs",
    "frames": "environment frames",
    "agent_steps": "agent steps",
}


def budget_line(task: TaskResult, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one sentence: the budget that all arms share, or which arm had which.

    Args:
        task: the task.
        configs: contents of ``config.yaml`` by run id; runs without one may be missing.
    """
    groups, unknown = _groups(task, configs)
    if not groups:
        return "Budget: not known until a run has started."
    waiting = f" Not known yet: {'; '.join(unknown)}." if unknown else ""
    early = _ended_early(task, configs)
    if len(groups) == 1:
        same = "" if unknown else "the same for every arm, "
        return f"Budget: {same}{next(iter(groups))}.{waiting}{early}"
    most = max(groups, key=lambda budget: len(groups[budget]))
    others = "every other arm" if len(groups[most]) > 2 and not unknown else None
    parts = [
        f"{(others if budget == most else None) or ' and '.join(labels)}: {budget}"
        for budget, labels in sorted(groups.items(), key=lambda item: item[0] == most)
    ]
    return f"Budgets differ. {'; '.join(parts)}.{waiting}{early}"


def _groups(
    task: TaskResult, configs: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the arms by budget, and those of which it is not known yet.

    An arm that has no complete run counts by what its configs ask for, as far as that tells it from
    others.
    """
    arms = [arm for arm in task.arms if arm.count("skipped") < len(arm.runs)]
    asked = {arm.label: _asked_of(arm, configs) for arm in arms}
    known = {arm.label: budget for arm in arms if (budget := arm_budget(arm, configs))}
    groups: dict[str, list[str]] = {}
    unknown = []
    for label, words in asked.items():
        if label in known:
            groups.setdefault(known[label], []).append(label)
            continue
        alike = {budget for other, budget in known.items() if asked[other] == words}
        if not words or len(alike) > 1:
            unknown.append(label)
        else:
            groups.setdefault(alike.pop() if alike else words, []).append(label)
    return groups, unknown


def _ended_early(task: TaskResult, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a sentence on the runs that a ``stop`` ended before their budget was spent."""
    runs = [run for arm in task.arms for run in arm.runs if run.status.state == "complete"]
    early = [run for run in runs if run.status.step < run.status.total]
    stops = [configs.get(run.trial.run_id, {}).get("stop") for run in early]
    rules = [_rule(stop) for stop in stops if isinstance(stop, Mapping)]
    if not rules:
        return ""
    words = " or ".join(sorted(set(rules)))
    return f" {len(rules)} of {len(runs)} runs ended before their budget was spent, at {words}."


def _rule(stop: Mapping[str, Any]) -> str:
    """Return for instance ``accuracy test >= 0.98, 3 times in a row``."""
    side = f">= {stop['above']:g}" if stop.get("above") is not None else f"<= {stop['below']:g}"
    row = f", {stop['hold']} times in a row" if stop["hold"] > 1 else ""
    return f"{stop['metric']} {stop['layer']} {side}{row}"


def arm_budget(arm: ArmResult, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return an arm's budget in words, "" if none of its runs is complete.

    It is what the config asks for, followed by the length of complete runs in gradient steps.
    """
    complete = [run for run in arm.runs if run.status.state == "complete"]
    totals = {run.status.total for run in complete if run.status.total > 0}
    words = _asked_of(arm, configs)
    steps = " or ".join(_count(total, "steps") for total in sorted(totals))
    if not complete or not words or words == steps:
        return steps
    return f"{words} = {steps}" if steps else words


def _asked_of(arm: ArmResult, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the budgets that the configs of an arm's runs spell, "" if none has one."""
    found = (configs.get(run.trial.run_id) for run in arm.runs)
    return " or ".join(sorted({_asked(config) for config in found if config is not None} - {""}))


def _asked(config: Mapping[str, Any]) -> str:
    """Return the budget that a config spells, or the visits or phases of its task."""
    budget = config.get("budget")
    if isinstance(budget, int | float):
        return _count(budget, "steps")
    if isinstance(budget, Mapping) and len(budget) == 1:
        unit, value = next(iter(budget.items()))
        return _count(value, unit)
    task = config.get("task")
    if not isinstance(task, Mapping):
        return ""
    if isinstance(length := task.get("visit_length"), Mapping) and len(length) == 1:
        unit, value = next(iter(length.items()))
        what = "games" if "games" in task else "environments"
        number, visits = len(task.get(what, ())), task.get("visits")
        plural = "" if visits == 1 else "s"
        return f"{visits} visit{plural} to each of {number} {what} for {_count(value, unit)}"
    phases = task.get("phases")
    if isinstance(phases, list | tuple):
        return ", then ".join(_phase(phase) for phase in phases if isinstance(phase, Mapping))
    return ""


def _phase(phase: Mapping[str, Any]) -> str:
    """Return for instance ``10% of the data for 70 epochs``."""
    lengths = [(unit, phase[unit]) for unit in UNITS if phase.get(unit) is not None]
    share = phase.get("fraction")
    parts = [f"{100 * share:.4g}% of the data"] if isinstance(share, int | float) else []
    parts += [_count(value, unit) for unit, value in lengths]
    return " for ".join(parts)


def _count(value: Any, unit: str) -> str:
    """Return for instance ``5,000 gradient steps``.

    >>> _count(5000, "steps")
    '5,000 gradient steps'
    """
    number = f"{value:,}" if isinstance(value, int | float) else str(value)
    words = UNITS.get(unit, unit.replace("_", " "))
    return f"{number} {words.removesuffix('s') if value == 1 else words}"
