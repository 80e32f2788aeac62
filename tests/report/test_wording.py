from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from suite.records.reader import load_results, read_config, read_sweep, status_of
from suite.report.page.budget import budget_line
from suite.report.page.tables import plain_text, renderables
from suite.report.page.wording import (
    decimals,
    impossible,
    interval,
    reading,
    run_counts,
    troubles,
    verdict,
)
from suite.report.statistics.statistics import Estimate
from suite.report.statistics.summary import TaskResult, summarise


def read(path: Any) -> tuple[list[TaskResult], dict[str, dict[str, Any]]]:
    sweep = read_sweep(path)
    statuses = {trial: status_of(path, trial) for trial in sweep.trials}
    configs = {t.run_id: read_config(path, t.run_id) for t in sweep.trials}
    return summarise(sweep, statuses, load_results(path)), {k: c for k, c in configs.items() if c}


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Estimate(0.5, 0.1, 0.9, 3), "higher"),
        (Estimate(-0.5, -0.9, -0.1, 3), "lower"),
        (Estimate(0.5, 0.0, 1.0, 3), "includes 0"),
        (Estimate(0.0, 0.0, 0.0, 3), "includes 0"),
        (Estimate(0.5, None, None, 2), "no interval"),
        (Estimate(None, None, None, 0), "none"),
        (None, "none"),
    ],
)
def test_a_difference_is_named_only_if_its_interval_leaves_out_0(
    difference: Estimate | None, words: str
) -> None:
    assert verdict(difference) == words


def test_numbers_show_what_can_be_told() -> None:
    assert decimals([0.0, None, float("nan")]) == 3
    assert [decimals([x]) for x in (0.2, 3.0, 42.0, 195.0, 2000.0)] == [3, 3, 2, 1, 0]
    assert interval(Estimate(195.34, 180.0, 210.06, 5), 1) == "195.3 [180.0, 210.1]"
    assert interval(Estimate(-0.5, None, None, 2), 2, sign=True) == "-0.50"
    assert interval(None, 2) == "-"


def test_reading_claims_no_more_than_the_intervals(results: Any) -> None:
    sums, game = read(results)[0]
    lead, clauses = reading(sums)
    assert lead == "Against 'constant' (0.600, n = 3)"
    found = dict(clauses)
    same = "undecided (the same difference on every seed)"
    assert found[same] == ["higher (+0.300 [+0.300, +0.300])"]
    [undecided] = found["no clear difference (the interval includes 0)"]
    assert undecided.startswith("same (0.000 [-0.")
    assert reading(game)[1] == [("undecided (no interval: fewer than 3 seeds)", ["cyclic (+25.0)"])]


def test_reading_without_results_or_reference(writer: Any) -> None:
    writer.task("new", ["a", "b"]).run("new", "a", 0, state="not started")
    writer.task("alone", ["a"], reference={}).run("alone", "a", 0, [(1, 0.5)])
    writer.task("half", ["a", "b"]).run("half", "b", 0, [(1, 0.5)])
    new, alone, half = read(writer.finish())[0]
    assert reading(new) == ("No run of this task has a result yet", [])
    assert "reference" in reading(alone)[0]
    assert reading(half) == ("No difference can be given: 'a' has no result yet", [])


def test_fewer_pairs_than_seeds_are_said(writer: Any) -> None:
    writer.task("t", ["a", "b"])
    for seed in range(4):
        writer.run("t", "a", seed, [(1, 0.5 + 0.01 * seed)])
        if seed:
            writer.run("t", "b", seed, [(1, 0.9)])
    [task] = read(writer.finish())[0]
    assert "3 paired seeds" in reading(task)[1][0][1][0]


def test_runs_that_are_not_complete_are_counted_and_explained(writer: Any) -> None:
    writer.task("t", ["a", "b"])
    writer.run("t", "a", 0, [(1, 0.5)])
    writer.run("t", "a", 1, [(1, None)])
    writer.run("t", "a", 2, state="running")
    for seed in (0, 1):
        writer.run("t", "b", seed, state="failed", reason="out of memory")
    writer.run("t", "b", 2, skip="no norm layers")
    [task] = read(writer.finish())[0]
    assert run_counts(task.arms[0]) == "2/3 (1 running, 1 without a value)"
    assert run_counts(task.arms[1]) == "0/2 (2 failed, 1 skipped)"
    assert troubles(task) == [
        ("a, seed 1", "complete", "no finite value of accuracy/test"),
        ("b, seeds 0, 1", "failed", "out of memory"),
        ("b, seed 2", "skipped", "no norm layers"),
    ]


@pytest.mark.parametrize(
    ("budgets", "line"),
    [
        ((100, 100), "Budget: the same for every arm, 100 gradient steps."),
        ((100, None), "Budget: 100 gradient steps. Not known yet: b."),
        ((None, None), "Budget: not known until a run has started."),
        (
            ({"agent_steps": 200}, {"agent_steps": 200}),
            "Budget: the same for every arm, 200 agent steps = 100 gradient steps.",
        ),
        (
            ({"agent_steps": 200}, 100),
            "Budgets differ. b: 100 gradient steps; a: 200 agent steps = 100 gradient steps.",
        ),
    ],
)
def test_budget(writer: Any, budgets: tuple[Any, Any], line: str) -> None:
    writer.task("t", ["a", "b"])
    for arm, budget in zip("ab", budgets, strict=True):
        state = "not started" if budget is None else "complete"
        writer.run("t", arm, 0, [(100, 0.5)], state=state, config={"budget": budget})
    tasks, configs = read(writer.finish())
    assert budget_line(tasks[0], configs) == line


@pytest.mark.parametrize("state", ["running", "failed", "diverged"])
@pytest.mark.parametrize("total", [0, 37, 100])
def test_budgets_of_unfinished_arms_do_not_differ(writer: Any, state: str, total: int) -> None:
    config = {"budget": {"epochs": 5}}
    writer.task("t", ["a", "b", "c"])
    writer.run("t", "a", 0, [(100, 0.5)], config=config)
    for arm in ("b", "c"):
        folder = writer.run("t", arm, 0, [(3, 0.1)], state=state, config=config)
        status = json.loads((folder / "status.json").read_text()) | {"total": total}
        (folder / "status.json").write_text(json.dumps(status))
    tasks, configs = read(writer.finish())
    shared = "Budget: the same for every arm, 5 epochs = 100 gradient steps."
    assert budget_line(tasks[0], configs) == shared


def test_an_unfinished_arm_with_another_budget_is_told(writer: Any) -> None:
    writer.task("t", ["a", "b", "c"])
    writer.run("t", "a", 0, [(100, 0.5)], config={"budget": {"epochs": 5}})
    writer.run("t", "b", 0, [(3, 0.5)], state="running", config={"budget": {"epochs": 6}})
    writer.run("t", "c", 0, [(200, 0.5)], config={"budget": {"epochs": 5}})
    tasks, configs = read(writer.finish())
    assert budget_line(tasks[0], configs) == (
        "Budgets differ. b: 6 epochs; c: 5 epochs = 200 gradient steps; a: 5 epochs = 100 "
        "gradient steps."
    )


def test_scores_outside_the_declared_range_are_told(writer: Any) -> None:
    writer.task("t", ["a"])
    for seed, value in enumerate((0.9, 1.0, 1.5)):
        writer.run("t", "a", seed, [(100, value)])
    tasks, configs = read(writer.finish())
    told = "1 score lies below 0 or above 1, outside the range that accuracy/test declares; "
    assert impossible(tasks[0]).startswith(told)
    assert told.split(";")[0] in " ".join(plain_text(tasks, configs).split())
    high = tasks[0].arms[0].score.hi
    assert high is not None
    assert high > 1.5  # not cut at 1


def test_budget_tells_of_runs_that_ended_early(writer: Any) -> None:
    writer.task("t", ["a", "b"])
    stop = {"metric": "accuracy", "layer": "test", "above": 0.98, "below": None, "hold": 3}
    for arm, end in (("a", 40), ("b", 100)):
        for seed in (0, 1):
            config = {"budget": 100, "stop": stop}
            folder = writer.run("t", arm, seed, [(end, 0.5)], config=config)
            status = json.loads((folder / "status.json").read_text()) | {"total": 100}
            (folder / "status.json").write_text(json.dumps(status))
    tasks, configs = read(writer.finish())
    assert budget_line(tasks[0], configs) == (
        "Budget: the same for every arm, 100 gradient steps. 2 of 4 runs ended before their "
        "budget was spent, at accuracy test >= 0.98, 3 times in a row."
    )


def test_budget_of_phases_names_the_odd_arm(writer: Any) -> None:
    full = {"fraction": 1.0, "epochs": 70, "steps": None}
    tenth = {"fraction": 0.1, "epochs": None, "steps": 1}
    writer.task("t", ["fresh", "b", "c", "d"])
    for arm in writer.tasks["t"]["arms"]:
        phases = [full] if arm == "fresh" else [tenth, full]
        config = {"budget": None, "task": {"phases": phases}}
        writer.run("t", arm, 0, [(70 + (arm != "fresh"), 0.5)], config=config)
    tasks, configs = read(writer.finish())
    assert budget_line(tasks[0], configs) == (
        "Budgets differ. fresh: 100% of the data for 70 epochs = 70 gradient steps; every other "
        "arm: 10% of the data for 1 gradient step, then 100% of the data for 70 epochs = 71 "
        "gradient steps."
    )


@pytest.mark.parametrize(
    ("task", "visits"),
    [
        ({"games": ["pong", "alien"], "visits": 3}, "3 visits to each of 2 games"),
        ({"environments": [{}] * 8, "visits": 1}, "1 visit to each of 8 environments"),
    ],
)
def test_budget_of_visits(writer: Any, task: dict[str, Any], visits: str) -> None:
    writer.task("t", ["a"])
    task = {**task, "visit_length": {"frames": 4000}}
    writer.run("t", "a", 0, [(100, 0.5)], config={"budget": None, "task": task})
    tasks, configs = read(writer.finish())
    assert budget_line(tasks[0], configs) == (
        f"Budget: the same for every arm, {visits} for 4,000 environment frames "
        "= 100 gradient steps."
    )


def test_plain_text_is_ascii_and_says_everything(results: Any) -> None:
    text = plain_text(*read(results))
    assert text.isascii()
    for part in (
        *("sums: test accuracy (share)", "constant (reference)", "minus reference [95%]"),
        *("minus higher [95%]", "+0.300 [+0.300, +0.300]", "fewer than 3 seeds", "Budget: "),
        *("mean return of the last 20 episodes (points)", "3/3"),
    ):
        assert part in text
    assert max(map(len, text.splitlines())) < 160


@pytest.mark.parametrize("width", [70, 100, 200])
def test_tables_fit_the_console(results: Any, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    for table in renderables(*read(results)):
        console.print(table)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "[+0.300, +0.300]" in text  # never folded
    assert "constant" in text


def test_names_with_markup_are_shown_as_they_are(writer: Any) -> None:
    writer.task("t", ["[red]a", "$b$ [/]"]).run("t", "[red]a", 0, [(1, 0.5)])
    tasks, configs = read(writer.finish())
    text = plain_text(tasks, configs)
    assert "[red]a (reference)" in text
    assert "$b$ [/]" in text
