"""How a grid is drawn, and what its CSV file says, from a few numbers."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from suite.ranges import SHARE, SIZE, Range
from suite.registry import Registry
from suite.report.drawing.empty import NOT_MEASURED, explain_empty
from suite.report.drawing.style import GREY, REFERENCE_COLOUR, paper_style
from suite.report.experiment import Experiment, NotMeasured, Repetition, Track
from suite.report.published.base import PUBLISHED, published
from suite.report.published.data import (
    COLUMNS,
    STEPS,
    Axis,
    Cells,
    Grid,
    Level,
    Line,
    Panel,
    Points,
)
from suite.report.published.drawing import draw as draw_on
from suite.report.published.lines import ACCURACY, look, split_look
from suite.report.published.render import AT_LEAST, render
from suite.report.statistics.censored import Censored

X = np.array([0.0, 1, 10, 100, 1000])


def line(
    *values: float, seeds: int = 5, index: int = 0, label: str = "", range: Range = SIZE
) -> Line:
    """Return a line of several seeds, a tenth apart."""
    y = np.array(values)
    tracks = {seed: Track(X, y * (1 + seed / 10)) for seed in np.arange(seeds).tolist()}
    return Line(tracks, look(index), label, range=range)


def both(label: str = "", colour: str | None = None) -> list[Line]:
    return [
        Line({0: Track(X, X / k)}, split_look(split, colour), label, name)
        for k, (split, name) in enumerate([("train", "training"), ("test", "test")], start=1)
    ]


def points(*values: Censored, label: str = "", index: int = 0, **keys: object) -> Points:
    """Return points at 1, 2, 4, ... with the values as seeds."""
    by = {seed: value for seed, value in enumerate(values)}
    return Points([(2.0**i, by) for i in range(3)], look(index), label, **keys)  # type: ignore[arg-type]


def draw(*panels: Panel | None, columns: int = 1, share_y: bool = True) -> Figure:
    with paper_style():
        return render(Grid(panels, columns, share_y=share_y))


def entries(figure: Figure) -> list[list[str]]:
    """Return the names in each legend, those of the figure first."""
    found = [*figure.legends, *(key for axes in figure.axes if (key := axes.get_legend()))]
    return [[text.get_text() for text in key.get_texts()] for key in found]


def ticks(axes: Axes) -> list[str]:
    low, high = axes.get_ylim()
    labels = zip(axes.yaxis.get_majorticklocs(), axes.get_yticklabels(), strict=True)
    return [label.get_text() for at, label in labels if low <= at <= high]


def test_log_axes_leave_out_what_has_no_place_and_have_ticks() -> None:
    wide, narrow = Axis("loss", "log"), Axis("other", "log")
    figure = draw(
        Panel(STEPS, wide, [line(1, 1, 0.1, 1e-3, 1e-5)]),
        Panel(STEPS, narrow, [line(3, 3, 2, 1, 1)]),
    )
    left, right = figure.axes
    assert left.get_xscale() == left.get_yscale() == right.get_yscale() == "log"
    for axes in figure.axes:
        assert axes.get_xlim()[0] == 1
        assert 1000 <= axes.get_xlim()[1] < 1500
        assert min(np.asarray(axes.lines[0].get_xdata())) == 1  # step 0 has no place
        (band,) = axes.collections  # of logarithms, so positive
        assert band.get_paths()[0].get_extents().y0 > 0
    assert ticks(left)[:2] == ["10⁻⁴", "10⁻³"]
    assert {"1", "2"} <= set(ticks(right))


@pytest.mark.parametrize("seeds", [1, 2, 4, 5])
def test_seeds_are_lines_below_five_and_a_band_from_five_on(seeds: int) -> None:
    (axes,) = draw(Panel(STEPS, ACCURACY, [line(0, 0.1, 0.2, 0.5, 0.6, seeds=seeds)])).axes
    assert len(axes.lines) == {1: 1, 2: 2, 4: 5, 5: 1}[seeds]  # with a mean from three on
    assert len(axes.collections) == (seeds == 5)


def test_bands_stay_within_the_possible_and_limits_are_those_asked_for() -> None:
    shown = line(0, 0.2, 0.5, 0.9, 0.6, range=SHARE)
    (axes,) = draw(Panel(STEPS, ACCURACY, [shown])).axes
    assert axes.get_ylim() == (-0.03, 1.03)
    (band,) = axes.collections
    assert band.get_paths()[0].get_extents().y1 <= 1.35  # 0.9 x 1.4 refutes the range
    log = Axis("x", "log", low=1e-2, high=10)
    assert draw(Panel(STEPS, log, [shown])).axes[0].get_ylim() == (1e-2, 10)
    linear = Axis("steps", low=0, high=50)
    assert draw(Panel(linear, ACCURACY, [shown])).axes[0].get_xlim() == (0, 50)


def test_a_legend_names_everything_once_above_all_panels() -> None:
    coloured = [*both("one", "#0072B2"), *both("two", "#D55E00")]
    level = Level(y=3.0, label="level")
    figure = draw(
        Panel(STEPS, Axis("a"), coloured, levels=[level]), Panel(STEPS, Axis("b"), coloured)
    )
    assert entries(figure) == [["one", "two", "level", "training", "test"]]
    handles = figure.legends[0].legend_handles
    assert [h.get_color() for h in handles[:2]] == ["#0072B2", "#D55E00"]  # type: ignore[union-attr]
    assert {h.get_color() for h in handles[2:]} == {GREY}  # type: ignore[union-attr]
    assert [h.is_dashed() for h in handles] == [False, False, False, True, False]  # type: ignore[union-attr]


def test_training_is_dashed_and_grey_test_solid_and_black() -> None:
    figure = draw(Panel(STEPS, ACCURACY, both()))
    assert entries(figure) == [["training", "test"]]
    for shown in (figure.axes[0].lines, figure.legends[0].legend_handles):
        train, test = shown
        assert (train.get_color(), train.is_dashed()) == (GREY, True)  # type: ignore[union-attr]
        assert (test.get_color(), test.is_dashed()) == (REFERENCE_COLOUR, False)  # type: ignore[union-attr]


def test_where_one_look_has_two_names_each_panel_has_its_legend() -> None:
    values = (1.0, 1, 2, 3, 4)
    figure = draw(
        Panel(STEPS, Axis("a"), [line(*values, label="norm 1")], title="first"),
        Panel(STEPS, Axis("b"), [line(*values, label="rate 1")]),
        Panel(STEPS, Axis("c"), [line(*values, label="rate 1")]),
        Panel(STEPS, Axis("d"), [line(*values, label="rate 1")], title="last"),
    )
    assert not figure.legends
    assert entries(figure) == [["norm 1"], ["rate 1"], ["rate 1"]]  # none at the third
    titles = [key.get_title().get_text() for a in figure.axes if (key := a.get_legend())]
    assert titles == ["first", "", "last"]
    assert not any(axes.get_title(loc="left") for axes in figure.axes)


def test_equal_axes_are_shared_and_named_once() -> None:
    short, tall = line(0, 1, 1, 1, 1), line(0, 9, 9, 9, 9)
    y = Axis("loss")
    panels = [Panel(STEPS, y, [short]), Panel(STEPS, y, [tall]), Panel(STEPS, y, [short]), None]
    first, second, third = draw(*panels, columns=2).axes
    assert first.get_ylim() == second.get_ylim() == third.get_ylim()
    assert [axes.get_ylabel() for axes in (first, second, third)] == ["loss", "", "loss"]
    names = [axes.get_xlabel() for axes in (first, second, third)]
    assert names == ["", "gradient steps", "gradient steps"]
    first, second, third = draw(*panels, columns=2, share_y=False).axes
    assert first.get_ylim()[1] < 3 < second.get_ylim()[1]
    assert second.get_ylabel() == ""


def test_references_are_grey_across_the_panel_or_curves() -> None:
    curve = Level(np.array([1.0, 10]), np.array([2.0, 1]), dotted=True)
    levels = [Level(y=0.5), Level(x=10.0, colour="#0072B2", dotted=True), curve]
    (axes,) = draw(Panel(STEPS, ACCURACY, both(), levels=levels)).axes
    across, down, bent = axes.lines[-3:]
    assert list(np.asarray(across.get_ydata())) == [0.5, 0.5]
    assert list(np.asarray(down.get_xdata())) == [10, 10]
    assert list(np.asarray(bent.get_ydata())) == [2, 1]
    assert [a.get_color() for a in (across, down, bent)] == [GREY, "#0072B2", GREY]
    assert [a.get_linestyle() for a in (across, down, bent)] == ["-", ":", ":"]


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_points_have_bars_of_at_least_five_seeds(seeds: int) -> None:
    values = [Censored.exactly(900.0 + 20 * seed) for seed in range(seeds)]
    shown = points(*values, label="norm", joined=True, range=Range(0, 1000), nudge=1.5)
    (axes,) = draw(Panel(Axis("x", "log", ticks=(1, 2, 4)), Axis("y", "log"), points=[shown])).axes
    means = [mark for mark in axes.lines if mark.get_markersize() > 4 and mark.get_marker() == "o"]
    mean = math.exp(np.mean([math.log(value.lo) for value in values]))
    assert [float(np.asarray(mark.get_ydata())[0]) for mark in means] == pytest.approx([mean] * 3)
    assert [float(np.asarray(mark.get_xdata())[0]) for mark in means] == [1.5, 3, 6]
    assert all(mark.get_markerfacecolor() == REFERENCE_COLOUR for mark in means)
    assert len(axes.collections) == (3 if seeds == 5 else 0)
    assert all(bar.get_paths()[0].get_extents().y1 <= 1000 for bar in axes.collections)
    small = [mark for mark in axes.lines if mark.get_markersize() < 3]
    assert len(small) == (9 if seeds == 3 else 0)
    (through,) = (mark for mark in axes.lines if len(np.asarray(mark.get_xdata())) == 3)
    assert list(np.asarray(through.get_ydata())) == pytest.approx([mean] * 3)
    assert not axes.texts
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4"]


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_points_that_are_not_known_are_open_with_an_arrow(seeds: int) -> None:
    values = [Censored(1000, math.inf), *(Censored.exactly(400.0),) * (seeds - 1)]
    (axes,) = draw(Panel(Axis("x", "log"), Axis("y", "log"), points=[points(*values)])).axes
    arrows = [text for text in axes.texts if isinstance(text, Annotation)]
    assert len(arrows) == 3
    assert not axes.collections  # a mean that is at least so much has no bar
    opened = [mark for mark in axes.lines if mark.get_markerfacecolor() == "white"]
    large = [float(np.asarray(mark.get_ydata())[0]) for mark in opened if mark.get_markersize() > 4]
    assert large == pytest.approx([arrow.xy[1] for arrow in arrows])
    assert max(large) == pytest.approx(1000) if seeds == 1 else max(large) < 1000
    small = [float(np.asarray(mark.get_ydata())[0]) for mark in opened if mark.get_markersize() < 4]
    assert small == [1000] * (3 if seeds > 1 else 0)


def test_hollow_points_and_values_without_a_logarithm() -> None:
    hollow = points(Censored.exactly(1.0), hollow=True)
    (axes,) = draw(Panel(Axis("x"), Axis("y"), points=[hollow])).axes
    assert [mark.get_markerfacecolor() for mark in axes.lines] == ["white"] * 3
    zero = points(Censored.exactly(0.0), joined=True)
    (axes,) = draw(Panel(Axis("x"), Axis("y", "log"), points=[zero])).axes
    assert not axes.lines


def test_a_map_marks_what_is_not_known_and_leaves_out_what_is_missing() -> None:
    values = {
        (0.5, 1.0): {0: Censored.exactly(99.0), 1: Censored.exactly(199.0)},
        (0.5, 2.0): {0: Censored(999, math.inf)},
        (4.0, 1.0): {},
    }
    cells = Cells(values, "time (steps)")
    figure = draw(Panel(Axis("a"), Axis("b"), cells=cells))
    axes, bar = figure.axes
    (mesh,) = axes.collections
    shown = np.ma.filled(mesh.get_array(), np.nan)  # type: ignore[arg-type]
    np.testing.assert_array_equal(shown, [[150, np.nan], [1000, np.nan]])
    (mark,) = axes.texts
    assert (mark.get_text(), mark.get_position()) == (AT_LEAST, (0.5, 1.5))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.5", "4"]
    assert bar.get_ylabel() == "1 + time (steps)"


def test_mathematics_is_set_and_other_dollars_are_not() -> None:
    lines = [line(1, 1, 2, 3, 4, label=r"$\alpha$ = 1")]
    figure = draw(Panel(Axis(r"a \$ or $b$"), Axis("$5"), lines, title=r"$\no$ $\such$"))
    (axes,) = figure.axes
    with paper_style():
        figure.draw_without_rendering()
    assert axes.xaxis.label.get_parse_math()
    assert figure.legends[0].get_texts()[0].get_parse_math()
    assert axes.get_ylabel() == r"\$5"  # shown as "$5"
    assert axes.get_title(loc="left") == r"\$\no\$ \$\such\$"  # shown as it was given


def test_a_panel_without_data_says_so() -> None:
    figure = draw(Panel(STEPS, ACCURACY, both()), Panel(STEPS, Axis("y"), [Line({})]))
    explain_empty(figure)
    assert [text.get_text() for text in figure.axes[1].texts] == [NOT_MEASURED]


def test_the_csv_file_has_every_value() -> None:
    bounds = {0: Censored.exactly(3.0), 1: Censored(8, math.inf)}
    cells = Cells({(0.5, 1e-5): bounds}, "time (steps)")
    grid = Grid(
        [
            Panel(
                STEPS,
                Axis(r"$|W_1|$"),
                [Line({3: Track(np.array([0.0, 10]), np.array([0.1, 0.25]))}, label="a, b")],
                levels=[Level(y=0.5), Level(y=2.0, label="level")],
                title=r"$\alpha$ = $10^{-3}$",
            ),
            None,
            Panel(Axis("x"), Axis("y"), points=[Points([(1.0, bounds)], name="p", nudge=2)]),
            Panel(Axis("x"), Axis(r"$\epsilon$"), cells=cells),
        ]
    )
    rows = list(csv.reader(io.StringIO(grid.csv())))
    assert tuple(rows[0]) == COLUMNS
    head = ["1", "alpha = 10^-3", "gradient steps", "|W_1|"]
    assert rows[1:4] == [
        [*head, "a, b", "3", "0.0", "0.1", ""],
        [*head, "a, b", "3", "10.0", "0.25", ""],
        [*head, "level", "", "", "2.0", ""],
    ]
    assert rows[4:6] == [
        ["2", "", "x", "y", "p", "0", "1.0", "3.0", ""],
        ["2", "", "x", "y", "p", "1", "1.0", "8", ">="],
    ]
    assert rows[6:] == [
        ["3", "", "x", "time (steps)", "epsilon = 1e-05", "0", "0.5", "3.0", ""],
        ["3", "", "x", "time (steps)", "epsilon = 1e-05", "1", "0.5", "8", ">="],
    ]


def test_names_of_lines_say_arm_and_split() -> None:
    assert [shown.name for shown in both("one")] == ["one, training", "one, test"]
    assert [shown.name for shown in both()] == ["training", "test"]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    """The registry, with what a test adds taken out again."""
    monkeypatch.setattr(PUBLISHED, "_entries", dict(PUBLISHED.entries()))
    return PUBLISHED  # type: ignore[return-value]


def test_a_figure_may_be_a_matplotlib_figure(registry: Registry[object]) -> None:
    @published("mine", experiment="other", caption="Words.", seeds="")
    def mine(runs: Experiment) -> Figure:
        return Figure()

    assert isinstance(PUBLISHED["mine"].of(Experiment("other", "small", [])), Figure)
    assert (PUBLISHED["mine"].experiment, PUBLISHED["mine"].caption) == ("other", "Words.")


@pytest.mark.parametrize("seeds", [1, 5])
def test_what_plugins_draw_on_axes(seeds: int) -> None:
    columns = ["metric", "layer", "step", "value"]
    rows = pd.DataFrame([("loss", "test", s, 2.0 + s) for s in (1, 2)], columns=columns)
    of = [Repetition(seed, {("t", "a"): "id"}, {"id": {}}, {"id": rows}) for seed in range(seeds)]
    runs = Experiment("x", "small", of)
    axes = Figure().subplots()
    assert draw_on(axes, runs, "a", "loss", "test", style=look(0), label="a", scale=10)
    assert list(np.asarray(axes.lines[0].get_ydata())) == [30, 40]
    assert axes.get_legend_handles_labels()[1] == ["a"]
    assert not draw_on(axes, runs, "a", "loss", "train", style=look(1))
    assert len(axes.lines) == 1


def test_a_grid_without_data_is_not_measured(registry: Registry[object]) -> None:
    @published("mine", caption="Words.")
    def mine(runs: Experiment) -> Grid:
        return Grid([Panel(STEPS, ACCURACY, [Line({})], levels=[Level(y=1.0)])])

    assert PUBLISHED["mine"].experiment == "mine"
    with pytest.raises(NotMeasured):
        PUBLISHED["mine"].of(Experiment("mine", "small", []))
