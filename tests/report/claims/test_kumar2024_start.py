"""Claims on Figs. 5 and 10, with runs made up for each verdict."""

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

BUDGET = 10_000
AT_ONCE, LATE, NEVER, UNFIT = (20, 25), (20, 900), (20, None), (None, None)


def label(
    index: int, steps: tuple[int | None, ...]
) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """Return an arm whose losses halve at the given steps, None for never."""
    curves = {}
    for split, at in zip(("train", "test"), steps, strict=True):
        end = [(BUDGET, 0.005)] if at is None else [(at - 1, 0.005), (at, 0.002), (BUDGET, 0.001)]
        curves["loss", split] = [(0, 0.005), *end]
    return {"task": {"index": index}, "budget": BUDGET}, curves


@pytest.mark.parametrize(
    ("claim", "index", "right", "wrong"),
    [
        ("kumar2024.11a", 1, [AT_ONCE], [LATE, NEVER, UNFIT]),
        ("kumar2024.11b", 70, [LATE], [AT_ONCE, NEVER, UNFIT]),
        ("kumar2024.11c", 100, [NEVER], [AT_ONCE, LATE, UNFIT]),
    ],
)
def test_labels_by_eigenvector(
    verdict_of: Callable[..., Verdict], claim: str, index: int, right: list[Any], wrong: list[Any]
) -> None:
    def verdict(kinds: list[Any]) -> str:
        return verdict_of(claim, *[{"arm": label(index, kind)} for kind in kinds]).verdict

    assert verdict(right * 20) == "holds"
    assert verdict((wrong * 7)[:20]) == "fails"
    assert verdict(right * 10 + (wrong * 4)[:10]) == "inconclusive"
    assert verdict_of(claim, {"arm": label(index + 1, AT_ONCE)}).verdict == "not run"


def starts(usual: float, closer: float) -> dict[str, Any]:
    """Return arms whose test loss rises to the given heights over its start."""
    return {
        f"towards_{c}": (
            {"model": {"inner": {"towards": c}}},
            {("loss", "test"): [(0, 2.0), (10, 2.0 * height), (20, 0.1)]},
        )
        for c, height in ((0.0, usual), (0.2, closer))
    }


def test_a_closer_start_does_not_overfit(verdict_of: Callable[..., Verdict]) -> None:
    def verdict(*seeds: Any) -> str:
        return verdict_of("kumar2024.12a", *[starts(*of) for of in seeds]).verdict

    assert verdict(*[(1.3, 1.0)] * 12) == "holds"
    assert verdict(*[(1.3, 1.2)] * 12) == "fails"
    assert verdict(*[(1.3, 1.2), (1.3, 1.0)] * 6) == "inconclusive"


def test_only_seeds_with_a_rise_can_lose_it(verdict_of: Callable[..., Verdict]) -> None:
    def judged(*seeds: Any) -> Any:
        return verdict_of("kumar2024.12b", *[starts(*of) for of in seeds])

    assert judged(*[(1.3, 1.0)] * 12, (1.0, 1.2)).verdict == "holds"
    assert judged(*[(1.3, 1.2)] * 12).verdict == "fails"
    assert judged(*[(1.3, 1.2), (1.3, 1.0)] * 6).verdict == "inconclusive"
    flat = judged((1.0, 1.0), (1.005, 1.0))
    assert (flat.verdict, flat.left_out) == ("not run", (0, 1))


def test_a_closer_start_lowers_the_rise(verdict_of: Callable[..., Verdict]) -> None:
    def verdict(*seeds: Any) -> str:
        return verdict_of("kumar2024.12c", *[starts(*of) for of in seeds]).verdict

    assert verdict((1.3, 1.0), (1.2, 1.0), (1.4, 1.1)) == "holds"
    assert verdict((1.0, 1.3), (1.0, 1.2), (1.1, 1.4)) == "fails"
    assert verdict((1.3, 1.0), (1.0, 1.2), (1.4, 1.1)) == "inconclusive"


@pytest.mark.parametrize("number", ["12a", "12b", "12c"])
def test_without_the_arms_nothing_is_judged(
    verdict_of: Callable[..., Verdict], number: str
) -> None:
    assert verdict_of(f"kumar2024.{number}", {"towards_0.0": starts(1, 1)["towards_0.0"]}).n == 0
