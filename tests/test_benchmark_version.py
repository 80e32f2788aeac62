from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from suite.config import Config
from suite.errors import ConfigError
from suite.launch.catalogue import config_folders
from suite.sweeps import benchmark
from suite.sweeps.sweep import load_sweep
from suite.sweeps.sweep_file import benchmark_of, find_config

FILE = """
benchmark: {version}
experiments:
  a:
    base:
      task: {{kind: modular_addition, modulus: 5}}
      model: {{kind: transformer, norm: layer}}
      budget: 10
    seeds: [0, 1]
"""


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep file of the frozen version v9."""
    folder = tmp_path / "frozen"
    folder.mkdir()
    path = tmp_path / "mine.yaml"
    path.write_text(FILE.format(version="v9").replace("benchmark: v9\n", ""))
    trials = load_sweep([str(path)], []).trials
    runs = ((t.task, f"{t.arm}/{t.config.seed}", t.run_id) for t in trials)
    monkeypatch.setattr(benchmark, "FOLDER", folder)
    benchmark.freeze(benchmark.digests(runs), "v9")
    path.write_text(FILE.format(version="v9"))
    return path


def test_v1_is_what_it_was() -> None:
    """If this fails, ids of v1 have changed: see `Config.later`, or make a new version."""
    sweep = load_sweep(["benchmark_v1"], config_folders())
    assert (sweep.benchmark, len(sweep.trials), len(sweep.runs)) == ("v1", 1423, 1403)


def test_v1_has_44_tasks() -> None:
    path = find_config("benchmark_v1", config_folders())
    assert benchmark_of(path) == "v1"
    assert len(json.loads((benchmark.FOLDER / "benchmark_v1.json").read_text())) == 44


def test_a_frozen_file_says_so_and_a_changed_run_does_not(frozen: Path) -> None:
    assert load_sweep([str(frozen)], []).benchmark == "v9"
    assert load_sweep([str(frozen)], [], ["budget=11"]).benchmark == ""
    assert load_sweep([str(frozen)], []).only("*/0").benchmark == "v9"


def test_two_files_of_which_one_is_frozen_are_no_benchmark(frozen: Path) -> None:
    other = frozen.with_name("other.yaml")
    other.write_text(
        FILE.format(version="v9").replace("benchmark: v9\n", "").replace("  a:", "  b:")
    )
    assert load_sweep([str(frozen), str(other)], []).benchmark == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("budget: 10", "budget: 11", r"benchmark: got 'v9'; .*they differ in a"),
        ("[0, 1]", "[0]", "they differ in a"),
        ("  a:", "  b:", "they differ in a, b"),
        ("v9", "v8", "benchmark: got 'v8'; expected a frozen version: v9"),
        ("v9", "[v9]", "a frozen version, such as v1"),
    ],
)
def test_what_is_not_the_frozen_benchmark_is_refused(
    frozen: Path, old: str, new: str, message: str
) -> None:
    frozen.write_text(frozen.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_sweep([str(frozen)], [])


def test_a_file_that_extends_or_includes_a_frozen_one_is_not_frozen(frozen: Path) -> None:
    for line in ("extends: mine", "include: [mine]"):
        path = frozen.with_name("more.yaml")
        path.write_text(f"{line}\n")
        assert load_sweep([str(path)], []).benchmark == ""


def test_a_version_is_frozen_once(frozen: Path) -> None:
    with pytest.raises(ConfigError, match="not frozen yet"):
        benchmark.freeze({}, "v9")


class Inner(Config):
    rate: float = 0.1


class Before(Config):
    name: str = "a"
    inner: Inner = Inner()
    several: tuple[Inner, ...] = (Inner(),)
    named: dict[str, Inner] = Field({"x": Inner()})


class InnerLater(Inner):
    later: ClassVar[frozenset[str]] = frozenset({"extra", "more"})
    extra: int = 3
    more: tuple[int, ...] = ()


class After(Config):
    later: ClassVar[frozenset[str]] = frozenset({"new"})
    name: str = "a"
    inner: InnerLater = InnerLater()
    several: tuple[InnerLater, ...] = (InnerLater(),)
    named: dict[str, InnerLater] = Field({"x": InnerLater()})
    new: Inner | None = None


def test_later_keys_leave_ids_as_they_were_at_their_defaults() -> None:
    assert After().canonical() == Before().canonical()


@pytest.mark.parametrize(
    "change",
    [
        {"new": {"rate": 0.1}},
        {"inner": {"extra": 4}},
        {"several": ({"more": (1,)},)},
        {"named": {"x": {"extra": 0}}},
    ],
)
def test_later_keys_count_where_they_are_set(change: dict[str, Any]) -> None:
    assert After.model_validate(change).canonical() != Before().canonical()
    assert After.model_validate(change) != After()


class Both(InnerLater):
    later: ClassVar[frozenset[str]] = frozenset({"last"})
    last: bool | int = 0


def test_later_keys_of_a_base_are_later_keys_of_its_classes() -> None:
    assert Both().canonical() == Inner().canonical()
    assert Both(extra=5).canonical() == InnerLater(extra=5).canonical()


def test_a_default_is_told_from_a_value_that_equals_it_in_another_type() -> None:
    assert Both(last=False).canonical() != Both(last=0).canonical()


def test_a_version_that_is_misspelt_is_refused_whatever_is_changed(frozen: Path) -> None:
    frozen.write_text(frozen.read_text().replace("v9", "v99"))
    with pytest.raises(ConfigError, match="got 'v99'; expected a frozen version: v9"):
        load_sweep([str(frozen)], [], ["budget=11"])
