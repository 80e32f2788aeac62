from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.clock import Clock
from suite.errors import ConfigError
from suite.launch.plugins import load_plugins, read_plugins
from suite.metrics.base import METRICS, Observation
from suite.registry import Registry
from suite.schedules.base import SCHEDULES


def test_duplicates_and_unknown_names_raise() -> None:
    registry: Registry[type] = Registry("thing", "suite.optimizers")
    registry.register("a")(int)
    with pytest.raises(ConfigError, match=r"thing: got 'a'.*registered twice"):
        registry.register("a")(float)
    with pytest.raises(KeyError, match="no thing 'b'; expected"):
        registry["b"]


def test_a_dropped_file_is_discovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "parts_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text(
        "from suite.registry import Registry\nPARTS = Registry('part', 'parts_of_mine')\n"
    )
    (package / "one.py").write_text(
        "from parts_of_mine.base import PARTS\n@PARTS.register('one')\nclass One: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from parts_of_mine.base import PARTS  # type: ignore[import-not-found]

    assert list(PARTS.entries()) == ["one"]
    for name in [name for name in sys.modules if name.startswith("parts_of_mine")]:
        monkeypatch.delitem(sys.modules, name)


PLUGIN = """
from typing import Literal
from suite.schedules.base import SCHEDULES, ScheduleConfig

@SCHEDULES.register("halved")
class Halved(ScheduleConfig):
    kind: Literal["halved"] = "halved"
    def build(self, clock):
        return lambda step: 0.5
"""


def test_a_plugin_file_adds_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    SCHEDULES.entries()
    monkeypatch.setattr(SCHEDULES, "_entries", dict(SCHEDULES._entries))
    plugins = read_plugins([str(path)])
    load_plugins(plugins)
    load_plugins(plugins)
    assert SCHEDULES["halved"].from_mapping({"kind": "halved"}).build(Clock(9))(7) == 0.5


COUNTER = """
import torch
from suite.metrics.base import metric

CALLS = []

@metric("counter", "1", "parameters")
def counter(seen, called=[]):
    CALLS.append(1)
    called.append(1)
    return {"": torch.tensor(float(len(CALLS) + len(called)))}
"""


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A metric that keeps state where it should not, and how to read it."""
    METRICS.entries()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    seen = Observation(0, {}, {}, {})
    return lambda: METRICS["counter"].build()(seen)[""].item()


@pytest.mark.parametrize("form", ["file", "module"])
def test_state_of_a_plugin_ends_with_the_run(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counter: Callable[[], float]
) -> None:
    if form == "file":
        (tmp_path / "mine.py").write_text(COUNTER)
        plugins = read_plugins([str(tmp_path / "mine.py")])
    else:
        (tmp_path / "parts_of_yours").mkdir()
        (tmp_path / "parts_of_yours" / "__init__.py").write_text("from . import counting\n")
        (tmp_path / "parts_of_yours" / "counting.py").write_text(COUNTER)
        monkeypatch.syspath_prepend(str(tmp_path))
        plugins = read_plugins(["parts_of_yours"])
    load_plugins(plugins)
    assert [counter(), counter()] == [2.0, 4.0]
    load_plugins(plugins)  # as a driver does, which may have made objects of it
    assert counter() == 6.0
    load_plugins(plugins, anew=True)
    assert [counter(), counter()] == [2.0, 4.0]
    load_plugins(plugins, anew=True)
    assert counter() == 2.0


def test_a_plugin_may_come_twice_or_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counter: Callable[[], float]
) -> None:
    path, copied = tmp_path / "mine.py", tmp_path / "copied.py"
    path.write_text(COUNTER)
    copied.write_text(COUNTER)
    load_plugins(read_plugins([str(path), str(copied)]))  # the same twice: no part is doubled
    assert counter() == 2.0
    monkeypatch.chdir(tmp_path)
    load_plugins(read_plugins(["mine.py"]), anew=True)
    assert counter() == 2.0
    path.write_text(COUNTER.replace("len(CALLS) +", "100 +"))
    load_plugins(read_plugins([str(path)]))
    assert counter() == 101.0
    path.write_text(COUNTER.replace('"counter"', '"renamed"'))
    load_plugins(read_plugins([str(path)]))
    assert "renamed" in METRICS.entries()
    assert "counter" not in METRICS.entries()  # it is in no file any more
    other = tmp_path / "other.py"
    other.write_text(COUNTER.replace('"counter"', '"renamed"') + "# another\n")
    with pytest.raises(ConfigError, match="registered twice"):
        load_plugins(read_plugins([str(other)]))
    path.write_text(COUNTER + "1 / 0")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load_plugins(read_plugins([str(path)]))
    assert "counter" not in METRICS.entries()  # nothing is left of one that fails


def test_plugins_that_fail_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--plugin"):
        read_plugins([str(tmp_path / "none.py")])
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load_plugins(read_plugins([str(tmp_path / "bad.py")]))
    with pytest.raises(ConfigError, match="no_such_module"):
        load_plugins(read_plugins(["no_such_module"]))


def test_a_part_of_the_same_name_from_elsewhere_is_refused() -> None:
    registry: Registry[type] = Registry("part", "suite.schedules")

    def make(module: str) -> type:
        return type("Part", (), {"__module__": module})

    registry.register("part")(make("suite.schedules.part"))
    registry.register("part")(make("suite.schedules.part"))  # the same file, imported again
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("part")(make("plugin"))


@pytest.mark.parametrize("kind", ["latin", "pipe", "folder", "none", "null"])
def test_a_plugin_that_cannot_be_read_is_one_message(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    if kind == "latin":
        path.write_bytes("name = 'é'".encode("latin-1"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    name = f"{path.with_suffix('')}\0.py" if kind == "null" else str(path)
    with pytest.raises(ConfigError, match="--plugin"):
        read_plugins([name])
