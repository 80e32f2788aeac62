"""Claims on Figs. 3 and 7, with runs made up for each verdict."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from suite.report.claims.base import Verdict

BUDGET = 10_000


def arm(
    train: float | None,
    test: float | None,
    *,
    alpha: float = 1.0,
    epsilon: float = 0.25,
    sigma: float = 1.0,
    peak: float = 1.0,
    moved: float = 1.0,
) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """Return an arm whose losses fall from 1 below 0.1 at given steps, None for never."""
    config = {
        "budget": BUDGET,
        "model": {"alpha": alpha, "inner": {"epsilon": epsilon, "init_scale": sigma}},
    }

    def falls(at: float | None, top: float = 1.0) -> list[tuple[float, float]]:
        end = [(BUDGET, 1.0)] if at is None else [(at - 1, 1.0), (at, 0.05), (BUDGET, 0.05)]
        return [(0, 1.0), (1, top), *end]

    curves = {("loss", "train"): falls(train), ("loss", "test"): falls(test, peak)}
    return config, {**curves, ("relative_movement", "all"): [(0, 0.0), (BUDGET, moved)]}


def scales(
    tests: Sequence[float | None],
    trains: Sequence[float | None] = (10, 20, 40, 80, 160),
    alphas: Sequence[float] = (0.25, 0.5, 1, 2, 4),
) -> dict[str, Any]:
    return {
        f"alpha_{a}": arm(train, test, alpha=a)
        for a, train, test in zip(alphas, trains, tests, strict=True)
    }


RISING = (30, 100, 300, 900, 2_700)


@pytest.mark.parametrize(
    ("seeds", "verdict"),
    [
        ([RISING, (40, 90, 310, 800, None), (30, 100, 300, 900, 3_000)], "holds"),
        ([RISING[::-1]] * 3, "fails"),
        ([RISING, RISING, (30, 100, 300, 200, 2_700)], "inconclusive"),
    ],
)
def test_delays_grow_with_the_scale(
    verdict_of: Callable[..., Verdict], seeds: list[Any], verdict: str
) -> None:
    assert verdict_of("kumar2024.5", *[scales(tests) for tests in seeds]).verdict == verdict


def test_scales_beyond_the_run_are_left_out(verdict_of: Callable[..., Verdict]) -> None:
    """Of two that never generalise the first counts; one that does not fit ends the ladder."""
    alphas = (0.25, 0.5, 1, 2, 4, 8, 16)
    trains = (10, 20, 40, 80, 160, 320, None)
    tests = (30, 100, 300, 900, None, None, None)
    arms = [scales(tests, trains, alphas) for _ in range(3)]
    assert verdict_of("kumar2024.5", *arms).verdict == "holds"
    short = [scales(tests, (10, 20, 40, None, None, None, None), alphas)]
    assert verdict_of("kumar2024.5", *short).verdict == "not run"


def test_the_end_of_a_run_is_no_fall_of_the_delay(verdict_of: Callable[..., Verdict]) -> None:
    """The last delay is at least 6,346 steps, which may be more than the 7,400 before it."""
    arms = scales(
        (484, 988, 2_016, 4_635, 9_000, None),
        (187, 338, 614, 1_112, 1_600, 3_654),
        (0.25, 0.5, 1, 2, 4, 8),
    )
    found = verdict_of("kumar2024.5", *[arms] * 3)
    assert (found.verdict, found.n) == ("inconclusive", 0)


def peaks(path: str, values: Sequence[Any], heights: Sequence[float]) -> dict[str, Any]:
    return {
        f"arm_{v}": arm(10, 30, peak=h, **{path: v}) for v, h in zip(values, heights, strict=True)
    }


@pytest.mark.parametrize(
    ("claim", "path", "values"),
    [("kumar2024.6", "alpha", (0.03125, 0.25, 1.0)), ("kumar2024.7b", "epsilon", (2.0, 1.0, 0.25))],
)
def test_some_arms_must_not_rise(
    verdict_of: Callable[..., Verdict], claim: str, path: str, values: tuple[float, float, float]
) -> None:
    def verdict(*heights: Any) -> str:
        return verdict_of(claim, *[peaks(path, values, of) for of in heights]).verdict

    assert verdict((1.0, 1.005, 1.3), (1.0, 1.0, 1.3), (0.9, 1.0, 1.3)) == "holds"
    assert verdict((1.0, 1.1, 1.0), (1.1, 1.0, 1.0), (1.1, 1.12, 1.0)) == "fails"
    assert verdict((1.0, 1.0, 1.0), (1.1, 1.0, 1.0), (1.0, 1.0, 1.0)) == "inconclusive"
    assert verdict_of(claim, {"arm": arm(1, 2, alpha=0.5, epsilon=0.5)}).verdict == "not run"


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([(900, 300), (800, 310), (700, 250)], "holds"),
        ([(300, 900), (310, 800), (250, 700)], "fails"),
        ([(900, 300), (300, 900), (400, 390)], "inconclusive"),
    ],
)
def test_delays_shrink_with_alignment(
    verdict_of: Callable[..., Verdict], pairs: list[tuple[int, int]], verdict: str
) -> None:
    arms = [
        {"quarter": arm(50, a, epsilon=0.25), "half": arm(50, b, epsilon=0.5)} for a, b in pairs
    ]
    assert verdict_of("kumar2024.7a", *arms).verdict == verdict
    unfit = {"quarter": arm(None, None, epsilon=0.25), "half": arm(50, 60, epsilon=0.5)}
    assert verdict_of("kumar2024.7a", unfit).verdict == "inconclusive"
    assert verdict_of("kumar2024.7a", unfit).n == 0
    never = {"quarter": arm(3_000, None, epsilon=0.25), "half": arm(1_000, None, epsilon=0.5)}
    assert verdict_of("kumar2024.7a", *[never] * 3).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("corners", "verdict"),
    [
        ([(9_000, 400), (8_000, 500), (None, 400)], "holds"),
        ([(300, 900), (310, 800), (250, 700)], "fails"),
        ([(900, 300), (300, 900), (400, 390)], "inconclusive"),
    ],
)
def test_the_longest_delay_is_in_its_corner(
    verdict_of: Callable[..., Verdict], corners: list[Any], verdict: str
) -> None:
    arms = []
    for corner, other in corners:
        cells = {(1, 0.1): other, (1, 0.5): 60, (2, 0.1): corner, (2, 0.5): 70, (1, 0.3): 9_999}
        arms.append({f"{a} {e}": arm(50, t, alpha=a, epsilon=e) for (a, e), t in cells.items()})
    assert verdict_of("kumar2024.7c", *arms).verdict == verdict
    assert verdict_of("kumar2024.7c", {"1 0.1": arms[0]["1 0.1"]}).verdict == "not run"
    endless = {**arms[0], "2 0.1": arm(50, None, alpha=2, epsilon=0.1)}
    assert verdict_of("kumar2024.7c", endless).n == 1
    endless["2 0.5"] = arm(10, None, alpha=2, epsilon=0.5)
    assert verdict_of("kumar2024.7c", endless).n == 0


@pytest.mark.parametrize(
    ("movements", "verdict"),
    [
        ([(1.0, 1.1), (2.0, 2.1), (1.0, 1.05)], "holds"),
        ([(1.0, 1.5), (2.0, 1.3), (1.0, 1.55)], "fails"),
        ([(1.0, 1.0), (2.0, 1.3), (1.0, 1.05)], "inconclusive"),
    ],
)
def test_movement_is_of_the_product(
    verdict_of: Callable[..., Verdict], movements: list[tuple[float, float]], verdict: str
) -> None:
    arms = [
        {
            "alpha": arm(1, 2, alpha=4.0, moved=a),
            "sigma": arm(1, 2, sigma=2.0, moved=b),
            "alone": arm(1, 2, alpha=8.0, moved=99.0),
        }
        for a, b in movements
    ]
    assert verdict_of("kumar2024.8", *arms).verdict == verdict
    assert verdict_of("kumar2024.8", {"alone": arms[0]["alone"]}).verdict == "not run"
