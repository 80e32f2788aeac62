from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from suite.records.reader import load_results, read_sweep, status_of
from suite.report.drawing.axes import later_range
from suite.report.drawing.empty import (
    ELSEWHERE,
    NO_LOGARITHM,
    NOT_MEASURED,
    explain_empty,
    why_empty,
)
from suite.report.drawing.figures import MOST_ARMS, arm_groups, caption, task_figure
from suite.report.drawing.forest import MOST_ROWS, forest_figure, pages
from suite.report.drawing.style import REFERENCE_COLOUR, arm_styles, paper_style
from suite.report.statistics.summary import TaskResult, summarise


def read(path: Path) -> tuple[list[TaskResult], Any]:
    sweep = read_sweep(path)
    statuses = {trial: status_of(path, trial) for trial in sweep.trials}
    rows = load_results(path)
    return summarise(sweep, statuses, rows), rows


def draw(path: Path, index: int = 0, *, log_x: bool = False) -> Figure | None:
    tasks, rows = read(path)
    task = tasks[index]
    styles = {
        arm: style for (label, arm), style in arm_styles(tasks).items() if label == task.label
    }
    with paper_style():
        arms = [arm.label for arm in task.arms]
        of_task = rows[rows["task"] == task.label]
        figure = task_figure(task, of_task, styles, arms, log_x=log_x)
        if figure is not None:
            figure.draw_without_rendering()
    return figure


def texts(figure: Figure) -> str:
    from matplotlib.text import Text

    return "\n".join(str(t.get_text()) for t in figure.findobj(Text))


def test_panels_share_an_axis_and_name_their_units(results: Path) -> None:
    figure = draw(results)
    assert figure is not None
    top, rate, elr, pattern = figure.axes
    assert top.get_ylabel() == "test accuracy (share)"
    assert rate.get_yscale() == elr.get_yscale() == "log"
    assert elr.get_ylabel() == "ELR (1/step)"
    assert pattern.get_xlabel() == "gradient steps"
    assert {axes.get_xlim() for axes in figure.axes} == {top.get_xlim()}


def test_the_mean_curve_and_its_runs_are_drawn_below_five_seeds(results: Path) -> None:
    figure = draw(results)
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if np.size(line.get_xdata()) == 11]
    means = [line for line in lines if line.get_linewidth() > 1]
    ends = sorted(float(np.asarray(line.get_ydata())[-1]) for line in means)
    assert ends == pytest.approx([0.6, 0.6, 0.9])
    ends = sorted(float(np.asarray(line.get_ydata())[-1]) for line in lines if line not in means)
    assert ends == pytest.approx([0.5, 0.5, 0.6, 0.6, 0.7, 0.7, 0.8, 0.9, 1.0])
    assert not figure.axes[0].collections


def test_five_seeds_have_a_band_within_what_is_possible(writer: Any) -> None:
    writer.task("t", ["a"])
    ends = (0.1, 0.9, 1.0, 1.0, 1.0)
    for seed, end in enumerate(ends):
        writer.run("t", "a", seed, [(0, 0.0), (10, end)])
    figure = draw(writer.finish())
    assert figure is not None
    [band] = figure.axes[0].collections
    assert band.get_paths()[0].get_extents().intervaly.tolist() == [0, 1]
    assert len([line for line in figure.axes[0].lines if np.size(line.get_xdata()) == 2]) == 1


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_a_metric_on_a_log_scale_has_a_log_axis_with_bands_of_logarithms(
    writer: Any, seeds: int
) -> None:
    ranges = {"loss": {"lower": 0, "scale": "log"}}
    writer.task("t", ["a"], primary_metric=["loss", "test"], unit="nat", ranges=ranges)
    for seed in range(seeds):
        points = [(step, 10.0 ** (-step / 10 - seed)) for step in range(0, 101, 10)]
        writer.run("t", "a", seed, points)
    path = writer.finish()
    figure = draw(path)
    assert figure is not None
    [axes] = figure.axes
    assert axes.get_yscale() == "log"
    heavy = max(axes.lines, key=lambda line: line.get_linewidth())
    assert float(np.asarray(heavy.get_ydata())[0]) == pytest.approx(10.0 ** (-(seeds - 1) / 2))
    assert len(axes.collections) == (seeds == 5)
    for band in axes.collections:
        assert band.get_paths()[0].get_extents().y0 > 0
    tasks, rows = read(path)
    words = caption(tasks[0], rows, log_x=False)
    assert ("Geometric means over runs" in words) == (seeds > 1)
    assert "log axis" not in words


def test_values_without_a_logarithm_are_said_to_have_no_place(writer: Any) -> None:
    ranges = {"loss": {"lower": 0, "scale": "log"}}
    writer.task("t", ["a"], primary_metric=["loss", "test"], unit="nat", ranges=ranges)
    for seed in range(5):
        writer.run("t", "a", seed, [(0, 1.0), (10, 0.1), (20, 0.01 * seed)])
    path = writer.finish()
    figure = draw(path)
    assert figure is not None
    [line] = figure.axes[0].lines
    assert np.asarray(line.get_xdata()).tolist() == [0, 10]
    tasks, rows = read(path)
    assert "A log axis cannot show values of 0 or less" in caption(tasks[0], rows, log_x=False)


def test_a_loss_of_zero_throughout_has_a_linear_axis(writer: Any) -> None:
    ranges = {"loss": {"lower": 0, "scale": "log"}}
    writer.task("t", ["a"], primary_metric=["loss", "test"], unit="nat", ranges=ranges)
    writer.run("t", "a", 0, [(0, 0.0), (10, 0.0)], extra=[(0, "learning_rate", "", 0.0)])
    figure = draw(writer.finish())
    assert figure is not None
    assert {axes.get_yscale() for axes in figure.axes} == {"linear"}
    assert not any(map(why_empty, figure.axes))


@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 12])
def test_what_was_measured_once_is_marked(writer: Any, seeds: int) -> None:
    """As the return of an evaluation at the end, beside rates that have a course."""
    ranges = {"evaluation_return": {"lower": 0, "upper": 500}}
    arms = ["a", "b", "c"]
    writer.task("t", arms, primary_metric=["evaluation_return", ""], unit="return", ranges=ranges)
    for arm in arms:
        for seed in range(seeds):
            extra = [(step, "learning_rate", "", 1e-3) for step in (0, 50, 100)]
            writer.run("t", arm, seed, [(100, 500.0 - 90 * (seed % 3))], extra=extra)
        broken = writer.run("t", arm, 99, [(80, 100.0)], state="running")
        assert broken.is_dir()
    figure = draw(writer.finish())
    assert figure is not None
    top = figure.axes[0]
    marked = [line for line in top.lines if line.get_marker() not in ("None", "", None)]
    assert all(line.get_markevery() is None for line in marked)
    at = {float(np.asarray(line.get_xdata())[0]) for line in marked}
    assert at == {80, 100}
    assert not why_empty(top)
    places = {line.get_transform().transform((0, 0))[0] for line in marked}
    assert len(places) == len(arms)  # beside one another
    assert len(top.collections) == (len(arms) if seeds >= 5 else 0)
    for bar in top.collections:
        assert bar.get_paths()[0].get_extents().y1 <= 500


def test_runs_that_share_no_steps_are_drawn_one_by_one(writer: Any) -> None:
    writer.task("t", ["a"])
    for seed in range(3):
        span = [(100 * seed, 0.1), (100 * seed + 10, 0.5)]
        extra = [(step, "relative_update", "all", 1e-3) for step, _ in span]
        writer.run("t", "a", seed, span, extra=extra)
    figure = draw(writer.finish())
    assert figure is not None
    assert [len(axes.lines) for axes in figure.axes] == [3, 3]


def test_an_empty_panel_says_why() -> None:
    figure = Figure()
    bare, zeros, outside, unmarked, fine, off, unknown = figure.subplots(1, 7)
    bare.axvline(3)
    bare.annotate("phase 2", (3, 0))
    zeros.set_yscale("log")
    zeros.plot([1, 2], [0, 0])
    outside.plot([0, 0], [1, 2])
    outside.set_xlim(1, 10)
    unmarked.plot([1], [1])
    fine.plot([1], [1], "o")
    off.set_axis_off()
    unknown.pcolormesh(np.full((2, 2), np.nan))
    explain_empty(figure)
    shown = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert shown == [
        ["phase 2", NOT_MEASURED],
        [NO_LOGARITHM],
        [ELSEWHERE],
        [NOT_MEASURED],
        [],
        [],
        [NOT_MEASURED],
    ]


def test_a_report_without_pairs_says_so_in_the_summary_figure(writer: Any) -> None:
    writer.task("t", ["a", "b"]).run("t", "a", 0, [(10, 0.5)])
    writer.run("t", "b", 1, [(10, 0.7)])
    tasks, _ = read(writer.finish())
    with paper_style():
        figure = forest_figure(tasks, arm_styles(tasks))
    assert figure is not None
    assert "no seed in common yet" in texts(figure)


def test_two_seeds_are_drawn_one_by_one_over_frames(results: Path) -> None:
    figure = draw(results, 1)
    assert figure is not None
    [axes] = figure.axes
    assert axes.get_xlabel() == "environment frames"
    assert len(axes.lines) == 4
    assert not axes.collections
    assert np.asarray(axes.lines[0].get_xdata())[-1] == 400  # the null at 0 is left out
    assert np.size(axes.lines[0].get_xdata()) == 10


def test_alarms_and_phases_are_marked_and_explained(results: Path) -> None:
    figure = draw(results)
    assert figure is not None
    shown = texts(figure)
    assert "phase 2" in shown
    assert "alarm" in shown
    rate = figure.axes[1]
    pointing = [line for line in rate.lines if line.get_marker() == "v"]
    [marks] = [line for line in pointing if line.get_linestyle() == "None"]
    assert sorted(np.asarray(marks.get_xdata())) == [55, 56, 57]
    for axes in figure.axes:  # a vertical line through every panel
        ups = {float(np.asarray(n.get_xdata())[0]) for n in axes.lines if n.get_linewidth() == 0.5}
        assert ups >= {55, 56, 57}


def test_many_alarms_have_triangles_and_no_lines(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vertical() -> int:
        figure = draw(results)
        assert figure is not None
        return sum(
            np.ptp(np.asarray(n.get_xdata())) == 0 and n.get_linewidth() == 0.5
            for axes in figure.axes
            for n in axes.lines
        )

    with_lines = vertical()
    monkeypatch.setattr("suite.report.drawing.figures.MOST_ALARMS", 2)
    assert with_lines - vertical() == 3 * 4  # alarms, panels


def test_a_run_that_broke_off_ends_in_a_cross(writer: Any) -> None:
    writer.task("t", ["a"])
    writer.run("t", "a", 0, [(0, 0.1), (10, 0.5)])
    writer.run("t", "a", 1, [(0, 0.1), (5, 0.2)], state="diverged", reason="loss is nan")
    figure = draw(writer.finish())
    assert figure is not None
    [cross] = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert (np.asarray(cross.get_xdata())[0], np.asarray(cross.get_ydata())[0]) == (5, 0.2)
    assert "run without a score" in texts(figure)


def test_long_and_strange_names_stay_inside_the_figure(writer: Any) -> None:
    arms = [f"normalize_project every={k} per=tensor, a very long name" for k in range(5)]
    arms += ["_hidden", "$x$ & <b>"]
    writer.task("t", arms)
    for arm in arms:
        writer.run("t", arm, 0, [(0, 0.1), (10, 0.5)])
    path = writer.finish()
    figure = draw(path)
    assert figure is not None
    legend = figure.legends[0]
    assert [t.get_text().strip() for t in legend.get_texts()][-2:] == ["_hidden", "$x$ & <b>"]
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= figure.axes[0].get_window_extent().y1  # above the curves, not over them
    tasks, _ = read(path)
    with paper_style():
        forest = forest_figure(tasks, arm_styles(tasks))
        assert forest is not None
        forest.draw_without_rendering()
    for label in forest.axes[0].get_yticklabels():
        assert label.get_window_extent().x0 >= -1


@pytest.mark.parametrize(
    "points", [[(0, 0.5)], [(0, 0.5), (1, 0.5)], [(0, 1e-9), (1, 1e9)], [(7, 0.0)]]
)
@pytest.mark.parametrize("rate", [0.0, 1e-3])
@pytest.mark.parametrize("log_x", [False, True])
def test_degenerate_curves_are_drawn_without_warnings(
    writer: Any, points: list[tuple[int, float]], rate: float, log_x: bool
) -> None:
    writer.task("t", ["a", "b"])
    extra = [(step, "learning_rate", "", rate) for step, _ in points]
    extra += [(step, "effective_lr", "all", rate) for step, _ in points]
    for seed in range(3):
        writer.run("t", "a", seed, points, extra=extra)
    assert draw(writer.finish(), log_x=log_x) is not None


def test_without_measurements_there_is_no_figure(writer: Any) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, state="not started")
    path = writer.finish()
    assert draw(path) is None
    tasks, _ = read(path)
    assert forest_figure(tasks, arm_styles(tasks)) is None


def test_many_arms_are_split_and_the_reference_is_in_every_part(writer: Any) -> None:
    arms = [f"arm {i}" for i in range(20)]
    writer.task("t", arms)
    for arm in arms:
        writer.run("t", arm, 0, [(0, 0.1)])
    [task], _ = read(writer.finish())
    groups = arm_groups(task)
    assert all(group[0] == "arm 0" and len(group) <= MOST_ARMS for group in groups)
    assert {arm for group in groups for arm in group} == set(arms)
    styles = arm_styles([task])
    assert styles["t", "arm 0"].colour == REFERENCE_COLOUR
    assert len(set(styles.values())) == len(arms)


def test_an_arm_looks_the_same_in_every_task_and_like_no_other(writer: Any) -> None:
    writer.task("t", ["ref", "a", "b"]).task("u", ["ref", "b", "c", "a"]).task("v", ["b", "ref"])
    tasks, _ = read(writer.finish())
    styles = arm_styles(tasks)
    assert styles["t", "a"] == styles["u", "a"]
    assert styles["t", "b"] == styles["u", "b"]
    assert styles["v", "b"].colour == REFERENCE_COLOUR
    for label in "tuv":
        of_task = [style for (task, _), style in styles.items() if task == label]
        assert len(set(of_task)) == len(of_task)


def test_forest_shows_scores_and_differences(results: Path) -> None:
    tasks, _ = read(results)
    with paper_style():
        figure = forest_figure(tasks, arm_styles(tasks))
    assert figure is not None
    left, right = figure.axes[:2]
    assert [t.get_text() for t in left.get_yticklabels()] == [
        "constant (reference)",
        "higher",
        "same",
    ]
    low, high = right.get_xlim()
    assert low < 0 < 0.3 < high


def test_many_tasks_take_several_pages(writer: Any) -> None:
    for index in range(30):
        writer.task(f"t{index}", ["a", "b", "c"])
    tasks, _ = read(writer.finish())
    found = pages(tasks)
    assert [task for page in found for task in page] == tasks
    assert all(sum(len(task.arms) for task in page) <= MOST_ROWS for page in found)


def test_later_range() -> None:
    x = np.arange(101.0)
    steep = np.where(x < 5, x / 5, 0.96 + x / 5000)
    limits = later_range([(x, steep)])
    assert limits is not None
    assert 0.95 < limits[0] < 0.97
    assert later_range([(x, x / 100)]) is None
    assert later_range([(x, np.ones(101))]) is None
    assert later_range([]) is None


def test_caption_says_what_is_drawn(results: Path) -> None:
    tasks, rows = read(results)
    sums, game = (caption(t, rows[rows["task"] == t.label], log_x=False) for t in tasks)
    assert "Means over runs, each run a thin line below 5 seeds (3 complete runs per arm)" in sums
    assert "Single runs (2 complete runs per arm) over environment frames" in game
    assert "learning rate" in sums
    assert "learning rate" not in game
