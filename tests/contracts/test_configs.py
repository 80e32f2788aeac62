"""Every sweep file of the suite: it loads, it can be planned, and its comparisons are paired."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from suite.launch import plan as planning
from suite.launch.catalogue import config_folders
from suite.launch.plan import print_plan
from suite.sweeps.sweep import Sweep, load_sweep
from suite.sweeps.yaml_file import read_yaml

FILES = {path.stem: path for folder in config_folders() for path in sorted(folder.glob("*.yaml"))}


@cache
def _load(name: str) -> Sweep:
    return load_sweep([name], config_folders())


def test_there_are_files() -> None:
    assert "quick" in FILES


@pytest.mark.parametrize("name", FILES, scope="module")  # each file is loaded once
def test_it_begins_with_a_comment_that_says_what_it_is(name: str) -> None:
    first = FILES[name].read_text(encoding="utf-8").split("\n", 1)[0]
    assert first.startswith("# ")
    assert len(first.removeprefix("#").split()) >= 3


@pytest.mark.parametrize("name", FILES, scope="module")  # each file is loaded once
def test_it_loads_and_plans(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a bare name is found from anywhere
    monkeypatch.setattr(planning, "MEASURED_S", 0.0)  # tests/launch/test_estimate.py does
    sweep = _load(name)
    assert sweep.runs
    page = io.StringIO()
    print_plan(sweep, 2, Console(file=page, width=1000))
    text = page.getvalue()
    for trial in sweep.trials:
        assert trial.task in text
        assert trial.skip is None or trial.skip in text
    assert f"{len(sweep.runs)} runs" in text


@pytest.mark.parametrize("name", FILES, scope="module")  # each file is loaded once
def test_seeds_are_listed_and_arms_share_them(name: str) -> None:
    document = read_yaml(FILES[name])
    bodies = {} if "include" in document else {"": document}
    for body in document.get("experiments", bodies).values():
        assert isinstance(body.get("seeds", [0] if "extends" in document else None), list)
    sweep = _load(name)
    seeds: dict[str, dict[str, list[int]]] = {}
    for trial in sweep.trials:
        seeds.setdefault(trial.task, {}).setdefault(trial.arm, []).append(trial.config.seed)
    for task, arms in seeds.items():
        assert len({tuple(found) for found in arms.values()}) == 1, task


@pytest.mark.parametrize("name", FILES, scope="module")  # each file is loaded once
def test_a_task_with_several_arms_has_a_reference(name: str) -> None:
    for task, plan in _load(name).tasks.items():
        if len(plan.arms) > 1:
            assert set(plan.reference) == set(plan.arms), f"{task}: name its reference"
            assert set(plan.reference.values()) <= set(plan.arms)
