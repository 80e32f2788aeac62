from __future__ import annotations

import sys
from pathlib import Path

import pytest

from suite.errors import ConfigError
from suite.plugins import load_plugins, read_plugins
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
    from parts_of_mine.base import PARTS

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
    assert SCHEDULES["halved"].from_mapping({"kind": "halved"}).build(None)(7) == 0.5


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
