"""Claims on Figs. 1 and 4, with runs made up for each verdict."""

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

CONFIG = {"budget": 100_000, "model": {"alpha": 1}}
STEPS = (0, 100, 1_000, 5_000, 10_000, 100_000)


def arm(
    test: Any,
    train: Any = None,
    norm: tuple[float, float] = (1.0, 2.0),
    aligned: tuple[float, float] = (0.01, 0.02),
    total: Any = None,
) -> Any:
    curves = {("loss", "test"): test, ("loss", "train"): train or test}
    points = {key: list(zip(STEPS, values, strict=True)) for key, values in curves.items()}
    for key, ends in (
        (("parameter_norm", "all"), norm),
        (("ntk_alignment", "one_sided"), aligned),
    ):
        points[key] = [(0, ends[0]), (100_000, ends[1])]
    if total:
        points["loss_terms", "total"] = list(zip(STEPS, total, strict=True))
    return (CONFIG, points)


GROKS = (0.5, 0.6, 0.7, 0.3, 0.1, 0.01)
FITS = (0.5, 0.4, 0.3, 0.2, 0.1, 0.01)
LAZY = (0.5, 0.6, 0.7, 0.69, 0.68, 0.5)


def seeds(*, spread: float = 0.0, **changes: Any) -> list[dict[str, Any]]:
    """Three seeds, their curves scaled a little apart."""
    found = []
    for shift in (-spread, 0.0, spread):
        keys = {"test": GROKS, "twin": LAZY, **changes}
        twin = keys.pop("twin")
        keys["test"] = (keys["test"][0], *(v * (1 + shift) for v in keys["test"][1:]))
        found.append({"network": arm(**keys), "linearised": arm(twin)})
    return found


CASES = [
    ("kumar2024.1a", {}, "holds"),
    ("kumar2024.1a", {"test": (0.5, 0.5, 0.4, 0.9, 0.9, 0.1)}, "fails"),  # a late rise is none
    ("kumar2024.1a", {"test": (0.5, 0.5, 0.63, 0.5, 0.5, 0.1), "spread": 0.1}, "inconclusive"),
    ("kumar2024.1c", {"test": (0.5, 0.52, 0.53, 0.3, 0.1, 0.01), "train": FITS}, "holds"),
    ("kumar2024.1c", {"test": (0.5, 0.4, 0.3, 0.9, 0.9, 0.1), "train": FITS}, "fails"),
    ("kumar2024.1c", {"test": (0.5, 0.6, 0.7, 0.9, 2.0, 5.0), "train": FITS}, "fails"),
    ("kumar2024.1c", {"test": GROKS, "train": (0.5, 0.6, 0.7, 0.3, 0.1, 0.01)}, "fails"),
    (
        "kumar2024.1c",
        {"test": (0.5, 0.5, 0.51, 0.3, 0.1, 0.1), "train": FITS, "spread": 0.02},
        "inconclusive",
    ),
    ("kumar2024.1b", {}, "holds"),
    ("kumar2024.1b", {"test": LAZY}, "fails"),
    ("kumar2024.1b", {"test": (*GROKS[:-1], 0.05), "spread": 0.2}, "inconclusive"),
    ("kumar2024.2", {}, "holds"),
    ("kumar2024.2", {"norm": (1.0, 0.9)}, "fails"),
    ("kumar2024.3a", {}, "holds"),
    ("kumar2024.3a", {"twin": (0.5, 0.6, 0.5, 0.4, 0.4, 0.4)}, "fails"),
    ("kumar2024.3a", {"spread": 0.08}, "inconclusive"),
    ("kumar2024.3b", {}, "holds"),
    ("kumar2024.3b", {"test": LAZY}, "fails"),
    ("kumar2024.3b", {"twin": (0.5, 0.6, 0.7, 0.5, 0.21, 0.1), "spread": 0.2}, "inconclusive"),
    ("kumar2024.4", {}, "holds"),
    ("kumar2024.4", {"aligned": (0.01, 0.011)}, "fails"),
]


@pytest.mark.parametrize(("claim", "changes", "verdict"), CASES)
def test_figure_1(
    verdict_of: Callable[..., Verdict], claim: str, changes: dict[str, Any], verdict: str
) -> None:
    assert verdict_of(claim, *seeds(**changes)).verdict == verdict


@pytest.mark.parametrize(
    ("claim", "key", "ends"),
    [
        ("kumar2024.2", "norm", [(1, 0.9), (1, 1.2), (1, 1.0)]),
        ("kumar2024.4", "aligned", [(1, 1.1), (1, 1.4), (1, 1.2)]),
    ],
)
def test_seeds_that_disagree_decide_nothing(
    verdict_of: Callable[..., Verdict], claim: str, key: str, ends: list[tuple[int, float]]
) -> None:
    arms = [{"network": arm(GROKS, **{key: end}), "linearised": arm(LAZY)} for end in ends]
    assert verdict_of(claim, *arms).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [((0.98, 1.0, 1.02), "holds"), ((1.3, 1.31, 1.32), "fails"), ((0.7, 1.0, 1.4), "inconclusive")],
)
def test_the_terms_are_held_against_the_measured_loss(
    verdict_of: Callable[..., Verdict], factors: tuple[float, float, float], verdict: str
) -> None:
    totals = [(*tuple(f * v for v in GROKS[:-1]), 9.0) for f in factors]
    curve = (*GROKS[:-1], 0.001)  # of the end, below 1% of the start, nothing is asked
    arms = [{"network": arm(curve, total=total)} for total in totals]
    assert verdict_of("kumar2024.9", *arms).verdict == verdict


@pytest.mark.parametrize("number", ["1a", "1b", "1c", "2", "3a", "3b", "4", "9"])
def test_without_the_arm_nothing_is_judged(verdict_of: Callable[..., Verdict], number: str) -> None:
    assert verdict_of(f"kumar2024.{number}", {"other": (CONFIG, {})}).verdict == "not run"
