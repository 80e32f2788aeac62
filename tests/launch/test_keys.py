"""Keys in MLflow: different ones for different names, and all of them taken."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_batch_log_data

from suite.launch.keys import FINAL, MAX_KEY, STEP, metric_key, param_key, summary_key

NAMES = st.text(st.sampled_from("ab#+,:/. _-\n2fé\0\ud800"), max_size=6) | st.text(max_size=300)
ORDINARY = st.from_regex(r"[A-Za-z0-9_-][\w -]{0,20}[a-z]", fullmatch=True)


def _taken(key: str) -> bool:
    try:
        _validate_batch_log_data([Metric(key, 1.0, 0, 0)], [], [])
    except MlflowException:
        return False
    return "\n" not in key


@settings(max_examples=500)
@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_different_metrics_and_layers_have_different_keys(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    keys = metric_key(*first), metric_key(*second)
    assert (keys[0] == keys[1]) == (first == second)
    assert all(map(_taken, keys))
    assert not {FINAL, STEP} & set(keys)


@settings(max_examples=300)
@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES), NAMES)
def test_different_arms_and_parameters_have_different_keys(
    first: tuple[str, str], second: tuple[str, str], name: str
) -> None:
    keys = summary_key(*first, "mean"), summary_key(*second, "mean")
    assert (keys[0] == keys[1]) == (first == second)
    assert all(map(_taken, (*keys, param_key(name))))
    assert (param_key(name) == param_key(first[0])) == (name == first[0])


PARTS = ("", "a", "/", "a/", "/a", "//", ".", "..", "a/b", "./a", "a/..", ":", "::", ",", ":2f:")


def test_names_that_look_like_paths_or_like_codes_stay_apart() -> None:
    pairs = list(itertools.product(PARTS, PARTS))
    keys = [metric_key(*pair) for pair in pairs]
    assert len(set(keys)) == len(pairs)
    assert all(map(_taken, keys))


@given(ORDINARY, st.just("") | ORDINARY, ORDINARY)
def test_ordinary_names_are_their_own_keys(metric: str, layer: str, arm: str) -> None:
    if not layer and metric in (FINAL, STEP):
        return
    assert metric_key(metric, layer) == (f"{metric}/{layer}" if layer else metric)
    assert summary_key("task", arm, "mean") == f"task/{arm}/mean"


@pytest.mark.parametrize("name", ["#", "+", ":", "%", "?", "\n", "ü#", "\U0001f600"])
def test_what_is_not_taken_can_be_read_back(name: str) -> None:
    key = metric_key(f"a{name}b", "test")
    read = re.sub(r":([0-9a-f]+):", lambda match: chr(int(match[1], 16)), key)
    assert read == f"a{name}b/test"


def test_long_names_are_cut_and_stay_apart() -> None:
    names = ["x" * 300, "x" * 301, "x" * 299 + "y", "x" * (MAX_KEY - 34) + ":" + "0" * 32 + ":"]
    keys = [metric_key(name, "test") for name in names]
    assert len({*keys, *(metric_key(key, "") for key in keys)}) == 2 * len(names)
    assert all(len(key) <= MAX_KEY and _taken(key) for key in keys)
