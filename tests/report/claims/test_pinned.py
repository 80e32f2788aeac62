"""What claims assert is pinned: a region, a text or a source that changes must change here too.

`pinned.yaml` has, by claim, the experiment, the sentence, the statistic in words, the region and
the source, and the constants of the modules that compute statistics. Texts are built from the same
constants as the code, so that a threshold cannot move while what is said of it stays. Whoever
changes a claim on purpose changes the table by hand, after reading what the failing test shows.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import suite.report.claims
from suite.report.claims.base import CLAIMS, Region
from suite.sweeps.yaml_file import read_yaml

TABLE = Path(__file__).with_name("pinned.yaml")
MODULES = sorted(
    name
    for _, name, _ in pkgutil.iter_modules(suite.report.claims.__path__)
    if name not in ("base", "board")
)


def claims() -> dict[str, dict[str, str]]:
    """Return what the code says of each claim."""
    return {
        name: {
            "experiment": of.experiment,
            "says": of.says,
            "statistic": of.statistic,
            "holds": repr(of.holds),
            "source": of.source,
        }
        for name, of in CLAIMS.entries().items()
    }


def constants(name: str) -> dict[str, Any]:
    """Return the constants of a module that are numbers, texts, regions, or several of them."""
    module = importlib.import_module(f"suite.report.claims.{name}")
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    names = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    kinds = (int, float, str, tuple, dict, Region)
    found = {key: getattr(module, key) for key in sorted(names)}
    return {
        key: value if isinstance(value, int | float | str) else repr(value)
        for key, value in found.items()
        if isinstance(value, kinds) and not key.startswith("_")
    }


PINNED = read_yaml(TABLE)


def test_the_same_claims_are_pinned_and_registered() -> None:
    assert claims().keys() == PINNED["claims"].keys()


@pytest.mark.parametrize("name", sorted(PINNED["claims"]))
def test_a_claim_is_as_it_was_pinned(name: str) -> None:
    assert claims()[name] == PINNED["claims"][name]


@pytest.mark.parametrize("name", MODULES)
def test_constants_of_a_module_are_as_they_were_pinned(name: str) -> None:
    assert constants(name) == PINNED["constants"].get(name, {})


NEUTRAL = {0.0, 1.0, 1e-12, 1e-6, 1e-3}
"""Fractions that code may spell out: neutral elements, and guards of a division or a logarithm."""

COUNTS = range(11)
"""Whole numbers that it may: indices, numbers of arms, bases of logarithms, those of a formula."""


@pytest.mark.parametrize("name", MODULES)
def test_functions_spell_out_no_thresholds(name: str) -> None:
    """A number within a function is neutral, or has a name among the constants that are pinned."""
    module = importlib.import_module(f"suite.report.claims.{name}")
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    bodies = [s for n in tree.body if isinstance(n, ast.FunctionDef) for s in n.body]
    numbers = [
        node.value
        for body in bodies
        for node in ast.walk(body)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    ]
    spelt = [x for x in numbers if x not in (COUNTS if isinstance(x, int) else NEUTRAL)]
    assert spelt == []
