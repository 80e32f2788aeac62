"""Labels: names that may stand in them, and that no two things are called the same."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import ConfigError
from suite.sweeps.labels import SIGNS, check_apart, check_name, folded, is_name, join, matcher
from suite.sweeps.search import SearchConfig, draws
from suite.sweeps.sweep import Sweep, load_sweep
from suite.sweeps.yaml_file import to_yaml

BASE: dict[str, Any] = {
    "task": {"kind": "modular_addition", "modulus": 7, "fraction": 0.5},
    "model": {"kind": "transformer", "width": 8, "heads": 2, "hidden": 8},
    "budget": 10,
}


def load(folder: Path, *overrides: str, **body: Any) -> Sweep:
    document = body if "experiments" in body else {"base": BASE, "seeds": [0, 1], **body}
    (folder / "s.yaml").write_text(to_yaml(document), encoding="utf-8")
    return load_sweep([str(folder / "s.yaml")], [folder], overrides)


def rates(*names: str) -> dict[str, Any]:
    return {name: {"optimizer.lr": 10.0**-index} for index, name in enumerate(names, 1)}


GOOD = (
    "nap",
    "0.3",
    "1e-3",
    "a=b",
    "x" * 100,
    "größe",
    "β",
    "...a",
    *(f"a{sign}b" for sign in SIGNS),
)
BAD = (
    *(
        "",
        ".",
        "..",
        "...",
        "a,b",
        "a;b",
        "a b",
        " a",
        "a ",
        "a\tb",
        "a\n",
        "a\x00",
        "\x1b[31m",
        "a/b",
    ),
    *("a\\b", "a*", "a?", "[a]", "{a}", "'a'", '"', "x" * 101, "e\u0301", "\u200b", "a\u202eb"),
)


@pytest.mark.parametrize("name", GOOD)
def test_names(name: str, tmp_path: Path) -> None:
    assert check_name(name) == name
    sweep = load(tmp_path, axes={"arm": rates(name)})
    assert list(sweep.tasks["modular_addition_7"].arms) == [name]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_wherever_it_stands(name: str, tmp_path: Path) -> None:
    places = [
        {"axes": {"arm": rates(name)}},
        {"axes": {"task": {name: {}}}},
        {"axes": {name: rates("a")}},
        {"experiments": {name: {"base": BASE, "seeds": [0]}}},
    ]
    for body in places:
        with pytest.raises(ConfigError, match="a name of at most 100 letters") as caught:
            load(tmp_path, **body)
        assert caught.value.value == name
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"), [("NaP", "nap"), ("straße", "STRASSE"), ("\u212b", "å"), ("ﬁt", "fit")]
)
def test_arms_that_differ_in_the_form_of_letters_are_refused(
    one: str, other: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, axes={"arm": rates(one, other)})
    assert caught.value.key.startswith("s.yaml: axes.arm")
    assert folded(one) == folded(other)


def test_two_axes_cannot_make_one_label_of_different_values(tmp_path: Path) -> None:
    first = {"a": {}, "a,b": {"optimizer.lr": 0.1}}
    second = {"c": {}, "b,c": {"model.hidden": 4}}
    with pytest.raises(ConfigError, match="a name of at most"):
        load(tmp_path, axes={"one": first, "two": second})


@given(st.lists(st.lists(st.text(f"ab{SIGNS}", min_size=1, max_size=3), min_size=2, max_size=2)))
def test_labels_of_names_are_apart(pairs: list[list[str]]) -> None:
    pairs = [pair for pair in pairs if all(map(is_name, pair))]
    assert len({join(pair) for pair in pairs}) == len({tuple(pair) for pair in pairs})


def test_labels_have_a_length(tmp_path: Path) -> None:
    axes = {axis: rates(axis * 70) for axis in "abc"}
    with pytest.raises(ConfigError, match="at most 200 characters"):
        load(tmp_path, axes=axes)


def test_tasks_that_would_be_called_the_same_are_refused(tmp_path: Path) -> None:
    def body(task: str) -> dict[str, Any]:
        return {"base": BASE, "seeds": [0], "axes": {"task": {task: {}}}}

    with pytest.raises(ConfigError, match=r"'a-b-c', which .*experiments.a-b has"):
        load(tmp_path, experiments={"a-b": body("c"), "a": body("b-c")})
    with pytest.raises(ConfigError, match="differ in more than case and signs"):
        load(tmp_path, experiments={"a.b": body("c"), "a": body("b-c")})
    assert list(load(tmp_path, experiments={"a_b": body("c"), "a": body("b-c")}).tasks) == [
        "a_b-c",
        "a-b-c",
    ]


SEARCHES: list[dict[str, Any]] = [
    {"optimizer.lr": {"grid": [0.1, 0.2]}},
    {"optimizer": {"grid": [{"kind": "sgd", "lr": 0.1}, {"kind": "adam", "lr": 0.1}]}},
    {"metrics.names": {"grid": [["loss"], ["loss", "accuracy"], ["accuracy", "loss"]]}},
    {"interventions": {"choice": [[], [{"kind": "nap", "which": "matrices", "every": 2}]]}},
    {"model.hidden": {"choice": [4, 8]}, "optimizer.lr": {"grid": [0.1, 0.1 + 1e-16]}},
    {"budget": {"grid": [10, {"epochs": 12}, {"steps": 11}]}},
]


@pytest.mark.parametrize("search", SEARCHES, ids=range(len(SEARCHES)))
def test_arms_are_compared_at_the_same_point_of_a_search(
    search: dict[str, Any], tmp_path: Path
) -> None:
    axes = {"norm": {"rms": {"model.norm": "rms"}, "none": {}}, "b": rates("low")}
    if "optimizer" in str(list(search)):
        axes["b"] = {"low": {"task.fraction": 0.4}}
    samples = {"samples": 4} if "choice" in str(search) else {}
    other = {"norm": "none"}
    sweep = load(tmp_path, axes=axes, search=search, reference=other, gap_to=other, **samples)
    (plan,) = sweep.tasks.values()
    assert len(plan.arms) == 2 * len(set(_points(search, samples)))
    assert set(plan.reference) == set(plan.gap_to) == set(plan.arms)
    runs = {trial.arm: trial.config for trial in sweep.trials if trial.config.seed == 0}
    for arm, reference in plan.reference.items():
        norm = runs[reference].model
        assert norm.norm == "none"  # type: ignore[attr-defined]
        same = runs[arm].model_copy(
            update={"model": runs[arm].model.model_copy(update={"norm": "none"})}
        )
        assert same == runs[reference], "the same but for the axis"


def _points(search: dict[str, Any], samples: dict[str, int]) -> list[str]:
    configs = {key: SearchConfig.from_mapping(how) for key, how in search.items()}
    return [str(drawn) for _, drawn in draws(configs, samples.get("samples", 1), "")]


HOSTILE = st.sampled_from(
    [1, 1.0, "1", True, "True", None, "None", [1], "[1]", "1;b=2", 2, 1 + 1e-15]
)


@given(
    st.lists(HOSTILE, min_size=1, max_size=5, unique_by=repr),
    st.lists(HOSTILE, min_size=1, max_size=5, unique_by=repr),
    st.integers(1, 8),
)
def test_every_point_of_a_search_has_a_name_of_its_own(
    grid: list[Any], choice: list[Any], samples: int
) -> None:
    search = {
        "x.a": SearchConfig.from_mapping({"grid": grid}),
        "x.b": SearchConfig.from_mapping({"grid": choice}),
        "y.b": SearchConfig.from_mapping({"choice": choice}),
    }
    found = draws(search, samples, "label")
    assert (
        len({name for name, _ in found}) == len({repr(drawn) for _, drawn in found}) == len(found)
    )
    for name, _ in found:
        assert name.isprintable()


@pytest.mark.parametrize(
    ("search", "samples", "key"),
    [
        ({"a": {"grid": [1, 2, 1]}}, 1, "search.a.grid"),
        ({"a": {"choice": [0.1, 0.1]}}, 1, "search.a.choice"),
        ({"a": {"grid": []}}, 1, "search.a.grid"),
        ({"a": {"uniform": [-1.7e308, 1.7e308]}}, 1, "search.a.uniform"),
        ({"a": {"uniform": [0.0, float("inf")]}}, 1, "search.a.uniform[1]"),
        ({"a": {"loguniform": [0, 1]}}, 1, "search.a.loguniform"),
        ({"a": {"grid": [1, 2]}}, 5, "samples"),
        ({}, 5, "samples"),
        ({"optimizer.lr": {"uniform": [0.1, 0.2]}}, 10**9, "samples"),
        ({f"a{i}": {"grid": list(range(10))} for i in range(12)}, 1, "search"),
        ({"seed": {"grid": [1, 2]}}, 1, "[] search.seed"),
        ({"optimizer..lr": {"grid": [0.1]}}, 1, "search.optimizer..lr"),
        ({"seeds.": {"grid": [1]}}, 1, "search.seeds."),
        ([1], 1, "search"),
    ],
)
def test_searches_that_are_refused(search: Any, samples: int, key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, search=search, samples=samples)
    assert caught.value.key == f"s.yaml: {key.removeprefix('[] ')}"


def test_axes_that_explode_are_refused_before_they_are_crossed(tmp_path: Path) -> None:
    axes = {f"a{i}": {str(v): None for v in range(20)} for i in range(20)}
    with pytest.raises(ConfigError, match="at most 50,000 trials") as caught:
        load(tmp_path, axes=axes)
    assert caught.value.key == "s.yaml: axes"


def test_a_seed_is_not_set_but_listed(tmp_path: Path) -> None:
    for body in ({"base": {**BASE, "seed": 3}}, {"axes": {"arm": {"a": {"seed": 3}}}}):
        with pytest.raises(ConfigError, match="`seeds` lists") as caught:
            load(tmp_path, **body)
        assert caught.value.key.endswith("seed")
    with pytest.raises(ConfigError, match="seeds="):
        load(tmp_path, "seed=3")


@pytest.mark.parametrize(
    "pattern", ["*", "[", "[!", "[z-a]", "a" * 200, "*a" * 99, "?\x00", "(", "\\"]
)
def test_globs_are_globs_or_refused(pattern: str) -> None:
    assert matcher(pattern, "--only")("x" * 300) is (pattern == "*")
    with pytest.raises(ConfigError, match="a glob of at most 200"):
        matcher(pattern * 201, "--only")


def test_labels_are_checked_in_every_form() -> None:
    check_apart("key", ["a", "b"])
    with pytest.raises(ConfigError, match="'ab' exists"):
        check_apart("key", ["ab", "ac"], lambda label: label[0])
    assert len(set(map(join, itertools.permutations("abc")))) == 6
