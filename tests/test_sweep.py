from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from suite.atari.sets import GAME_SETS
from suite.errors import ConfigError
from suite.sweeps.sweep import Sweep, load_sweep
from suite.sweeps.sweep_file import experiments_of
from suite.sweeps.yaml_file import parse_yaml

BODY: dict[str, Any] = {
    "base": {
        "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
        "model": {"kind": "transformer", "width": 8, "heads": 2, "hidden": 8},
        "budget": 10,
    },
    "seeds": [0, 1],
    "reference": "nap",
    "axes": {
        "arm": {"plain": {}, "nap": {"interventions": [{"kind": "nap", "which": "matrices"}]}},
    },
}


def _write(folder: Path, name: str, **changes: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**BODY, **changes}, sort_keys=False))
    return path


def _load(path: Path, *overrides: str) -> Sweep:
    return load_sweep([str(path)], [path.parent], overrides)


def test_axes_are_crossed_and_named(tmp_path: Path) -> None:
    axes = {
        "task": {"small": {"task.modulus": 7}, "large": {"task.modulus": 13}},
        "projection": {
            "free": {},
            "nap": {"interventions": [{"kind": "nap", "which": "matrices"}]},
        },
        "lr": {"low": {"optimizer.lr": 1e-4}, "high": {"optimizer.lr": 1e-2}},
    }
    sweep = _load(_write(tmp_path, "s", axes=axes, reference={"projection": "nap"}))
    assert len(sweep.trials) == 16
    assert list(sweep.tasks) == ["small", "large"]
    plan = sweep.tasks["small"]
    assert plan.arms == ("free,low", "free,high", "nap,low", "nap,high")
    assert plan.reference["free,low"] == "nap,low"
    assert plan.reference["nap,high"] == "nap,high"
    trial = next(t for t in sweep.trials if t.label == "large/nap,high/1")
    assert trial.config.task.modulus == 13  # type: ignore[attr-defined]
    assert trial.config.optimizer.lr == 0.01
    assert trial.config.seed == 1


def test_equal_requests_are_one_run(tmp_path: Path) -> None:
    axes = {"arm": {"a": {}, "b": None, "c": {"budget": 12}}}
    sweep = _load(_write(tmp_path, "s", axes=axes, reference="a"))
    assert len(sweep.trials) == 6
    assert len(sweep.runs) == 4


def test_impossible_pairs_and_rules_are_skipped_with_reasons(tmp_path: Path) -> None:
    axes = {
        "norm": {"none": {"model.norm": "none"}, "rms": {"model.norm": "rms"}},
        "arm": {"decay": {"interventions": ["scale_decay"]}, "plain": {}},
    }
    rules = [{"when": {"norm": "rms", "arm": "plain"}, "reason": "measured elsewhere"}]
    sweep = _load(_write(tmp_path, "s", axes=axes, skip=rules, reference=None, seeds=[0]))
    assert {t.arm: t.skip for t in sweep.trials} == {
        "none,decay": "scale_decay on a network without norm layers",
        "none,plain": None,
        "rms,decay": None,
        "rms,plain": "measured elsewhere",
    }


def test_extends_one_level(tmp_path: Path) -> None:
    _write(tmp_path, "ground")
    (tmp_path / "small.yaml").write_text("extends: ground\nbase: {budget: 5}\nseeds: [3]\n")
    sweep = _load(tmp_path / "small.yaml")
    assert {t.config.clock().total for t in sweep.trials} == {5}
    assert {t.config.seed for t in sweep.trials} == {3}
    (tmp_path / "third.yaml").write_text("extends: small\n")
    with pytest.raises(ConfigError, match="extends"):
        _load(tmp_path / "third.yaml")


def test_keys_at_the_top_go_into_the_only_experiment_of_the_extended_file(tmp_path: Path) -> None:
    ground = {"experiments": {"one": {**BODY, "description": "Of 10 updates."}}}
    (tmp_path / "ground.yaml").write_text(yaml.safe_dump(ground, sort_keys=False))
    path = tmp_path / "mine.yaml"
    path.write_text("extends: ground\nseeds: [3]\nbase.budget: 5\n")
    sweep = _load(path)
    assert list(sweep.tasks) == ["one"]
    assert {(t.config.seed, t.config.clock().total) for t in sweep.trials} == {(3, 5)}
    assert sweep.tasks["one"].description == "Of 10 updates. (changed by mine.yaml)"
    path.write_text("extends: ground\nseeds: [3]\ndescription: Of seed 3.\n")
    assert _load(path).tasks["one"].description == "Of seed 3."
    path.write_text(f"extends: ground\nexperiments: {{two: {json.dumps(BODY)}}}\n")
    assert list(_load(path).tasks) == ["one", "two"]
    path.write_text("extends: ground\nseeds: [3]\nexperiments: {one: {base: {budget: 4}}}\n")
    written = r"mine\.yaml: seeds: got \[3\]; expected the key in an experiment, "
    with pytest.raises(ConfigError, match=written + r"\{experiments: \{one: \{seeds: "):
        _load(path)


def test_keys_at_the_top_over_several_experiments_are_told_where_to_go(tmp_path: Path) -> None:
    ground = {"experiments": {"one": {**BODY, "description": "A."}, "two": BODY}}
    ground["experiments"]["two"] = {**BODY, "description": "B."}
    (tmp_path / "ground.yaml").write_text(yaml.safe_dump(ground, sort_keys=False))
    path = tmp_path / "mine.yaml"
    path.write_text("extends: ground\naxes: {}\n")
    with pytest.raises(
        ConfigError, match=r"NAME: \{axes: \.\.\.\}\}\}, with NAME one of one, two$"
    ):
        _load(path)
    path.write_text("extends: ground\nexperiments: {one: {seeds: [3]}}\n")
    plans = _load(path).tasks
    assert [plan.description for plan in plans.values()] == ["A. (changed by mine.yaml)", "B."]


def test_several_experiments_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump({"experiments": {"one": BODY, "two": BODY}}, sort_keys=False))
    sweep = _load(path)
    assert list(sweep.tasks) == ["one", "two"]
    assert sweep.only("two/*/0").trials[0].label == "two/plain/0"
    with pytest.raises(ConfigError, match="--only: got 'three/"):
        sweep.only("three/*")
    labels = [t.label for t in sweep.trials if t.label in ("one/plain/0", "two/plain/0")]
    assert [t.label for t in sweep.only("two/plain/0", "*/plain/0").trials] == labels
    left_out = replace(sweep, trials=tuple(replace(t, skip="too dear") for t in sweep.trials))
    with pytest.raises(
        ConfigError, match=r"fits a trial that is not skipped \(too dear\); arms of one"
    ):
        left_out.only("two/*")


def test_set_lays_values_over_runs_with_their_types(tmp_path: Path) -> None:
    path = _write(tmp_path, "s")
    sweep = _load(path, "optimizer.lr=3e-4", "seeds=[7]", "task.batch_size=null")
    assert {t.config.optimizer.lr for t in sweep.trials} == {3e-4}
    assert {t.config.seed for t in sweep.trials} == {7}
    assert _load(path, "modular_addition_11:budget=3").trials[0].config.clock().total == 3
    for text, key in (
        ("budget", "--set"),
        ("nowhere:budget=3", "--set"),
        ("budgt=3", "s.yaml: [plain] budgt"),
    ):
        with pytest.raises(ConfigError) as error:
            _load(path, text)
        assert error.value.key == key


def test_search_draws_the_same_settings_for_every_arm(tmp_path: Path) -> None:
    search = {
        "optimizer.lr": {"loguniform": [1e-4, 1e-2]},
        "task.batch_size": {"grid": [4, 8]},
        "model.hidden": {"choice": [8, 16]},
    }
    path = _write(tmp_path, "s", search=search, samples=3)
    sweep = _load(path)
    assert len(sweep.trials) == 2 * 2 * 3 * 2
    by_arm: dict[str, set[float]] = {}
    for trial in sweep.trials:
        by_arm.setdefault(trial.arm.split(",")[0], set()).add(trial.config.optimizer.lr)
        assert 1e-4 <= trial.config.optimizer.lr <= 1e-2
    assert by_arm["plain"] == by_arm["nap"]
    assert len(by_arm["nap"]) == 3
    assert [t.run_id for t in _load(path).trials] == [t.run_id for t in sweep.trials]
    (plan,) = sweep.tasks.values()
    for arm, reference in plan.reference.items():
        assert reference.split(",")[1] == arm.split(",")[1]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sedds": [1]}, "s.yaml: sedds"),
        ({"seeds": []}, "config"),
        ({"seeds": [1, 1]}, "s.yaml: seeds"),
        ({"reference": "nope"}, "s.yaml: reference"),
        ({"gap_to": {"axis": "a"}}, "s.yaml: gap_to.axis"),
        ({"search": {"a": {"uniform": [2, 1]}}}, "s.yaml: search.a.uniform"),
        ({"search": {"a": {"grid": [1], "choice": [1]}}}, "s.yaml: search.a"),
        ({"skip": [{"when": {"arm": "nope"}, "reason": "x"}]}, "s.yaml: skip[0].when"),
        ({"extends": "nowhere"}, "config"),
        ({"base": {**BODY["base"], "task": {"kind": "x"}}}, "s.yaml: [plain] task.kind"),
    ],
)
def test_bad_files_name_their_key(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        _load(_write(tmp_path, "s", **changes))
    assert error.value.key == key


def test_a_sweep_of_skips_alone_has_no_runs(tmp_path: Path) -> None:
    base = {**BODY["base"], "interventions": ["nap"]}
    with pytest.raises(ConfigError, match="at least one run"):
        _load(_write(tmp_path, "s", base=base, axes={}, reference=None))


def test_missing_files_and_names(tmp_path: Path) -> None:
    _write(tmp_path, "present")
    with pytest.raises(ConfigError, match="'present'"):
        load_sweep(["presnt"], [tmp_path])
    with pytest.raises(ConfigError, match="a file that exists"):
        load_sweep([str(tmp_path / "no.yaml")], [tmp_path])
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="a mapping"):
        load_sweep(["list"], [tmp_path])


def test_yaml_as_people_write_it() -> None:
    text = "{a: 1e-3, b: on, c: true, d: 5, e: [.5, -3e5], f: null, g: '1'}"
    assert parse_yaml(text, "t") == {
        "a": 1e-3,
        "b": "on",
        "c": True,
        "d": 5,
        "e": [0.5, -3e5],
        "f": None,
        "g": "1",
    }
    for bad in ("{a: 1, a: 2}", "[1", "a: b: c"):
        with pytest.raises(ConfigError, match="YAML"):
            parse_yaml(bad, "t")


def test_a_file_that_extends_takes_rungs_out_with_null(tmp_path: Path) -> None:
    axes = {"width": {"4": {"model.width": 4}, "8": {"model.width": 8}}, "rate": {"a": {}, "b": {}}}
    ground = {**BODY, "axes": axes}
    (tmp_path / "ground.yaml").write_text(yaml.safe_dump(ground))
    mine = {"width": {"8": None, "16": {"model.width": 16}}, "rate": None}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"extends": "ground", "axes": mine}))
    found = experiments_of(tmp_path / "mine.yaml", [tmp_path])[""]
    assert {axis: list(values) for axis, values in found["axes"].items()} == {"width": ["4", "16"]}
    (tmp_path / "mine.yaml").write_text("extends: ground\naxes: {width: {'9': null}}\n")
    with pytest.raises(ConfigError, match=r"axes\.width.*'9'.*4, 8"):
        experiments_of(tmp_path / "mine.yaml", [tmp_path])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("search", {"optimizer.lr": {"grid": [0.1, 0.2]}}),
        ("skip", [{"when": {"rate": "a"}, "reason": "no"}]),
        ("gap_to", {"rate": "a"}),
        ("reference", {"rate": "b"}),
        ("axes", {"rate": {"a": {}, "b": {}}}),
    ],
)
def test_a_file_that_extends_takes_keys_out_with_null(tmp_path: Path, key: str, value: Any) -> None:
    ground = {**BODY, "axes": {"rate": {"a": {}, "b": {"budget": 7}}}, key: value}
    (tmp_path / "ground.yaml").write_text(yaml.safe_dump(ground))
    (tmp_path / "mine.yaml").write_text(f"extends: ground\n{key}: null\n")
    assert key not in experiments_of(tmp_path / "mine.yaml", [tmp_path])[""]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("axes: {rate: {'0.3': null}}", {"rate": ["1"]}),
        ("axes: {rate: {1: null}}", {"rate": ["0.3"]}),
        ("axes.rate: {0.3: {budget: 7}, '2': {}}", {"rate": ["0.3", "1", "2"]}),
        ("axes.rate: null", {}),
    ],
)
def test_names_of_arms_may_have_dots(tmp_path: Path, written: str, left: dict[str, Any]) -> None:
    ground = {**BODY, "axes": {"rate": {"0.3": {"model.width": 8, "budget": 9}, 1: {}}}}
    (tmp_path / "ground.yaml").write_text(yaml.safe_dump(ground, sort_keys=False))
    (tmp_path / "mine.yaml").write_text(f"extends: ground\n{written}\n")
    axes = experiments_of(tmp_path / "mine.yaml", [tmp_path])[""].get("axes", {})
    assert {axis: list(values) for axis, values in axes.items()} == left
    if "2" in left.get("rate", []):
        assert axes["rate"]["0.3"] == {"model": {"width": 8}, "budget": 7}


def test_an_axis_keeps_a_value(tmp_path: Path) -> None:
    _write(tmp_path, "ground")
    (tmp_path / "mine.yaml").write_text("extends: ground\naxes: {arm: {plain: null, nap: null}}\n")
    with pytest.raises(ConfigError, match=r"axes\.arm.*null for the axis"):
        experiments_of(tmp_path / "mine.yaml", [tmp_path])


def test_a_file_that_extends_keeps_dotted_keys_of_both(tmp_path: Path) -> None:
    ground = {
        "base": {
            "task": {"kind": "modular_addition", "modulus": 7},
            "task.batch_size": 3,
            "model": "transformer",
            "budget": 5,
        },
        "seeds": [0],
    }
    (tmp_path / "ground.yaml").write_text(yaml.safe_dump(ground))
    above = {
        "extends": "ground",
        "base": {"task.batch_size": 4, "model.norm": "rms"},
        "search": {"optimizer.lr": {"grid": [0.12345, 0.12346]}},
    }
    path = tmp_path / "above.yaml"
    path.write_text(yaml.safe_dump(above))
    sweep = load_sweep([str(path)], [tmp_path])
    assert [t.arm for t in sweep.trials] == ["lr=0.12345", "lr=0.12346"]
    assert {t.config.task.batch_size for t in sweep.trials} == {4}  # type: ignore[attr-defined]
    assert {t.config.model.norm for t in sweep.trials} == {"rms"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("budget", [0, {"fraction": 0.5}])
def test_a_budget_is_a_length_of_at_least_one_update(smoke: Any, budget: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        smoke(budget=budget).check()
    assert caught.value.key == "budget"


ATARI: dict[str, Any] = {
    "base": {
        "task": {"kind": "atari", "protocol": "atari100k", "learning_starts": 1600, "utd": 1},
        "model": "nature_cnn",
        "agent": "dqn",
    },
    "seeds": [0],
    "axes": {"arm": {"constant": {}, "cyclic": {"schedule": {"kind": "cyclic", "cycles": 4}}}},
    "reference": "constant",
}


@pytest.mark.parametrize(("name", "number"), [(n, len(g)) for n, g in GAME_SETS.items()])
def test_a_set_of_games_is_an_axis_of_tasks(tmp_path: Path, name: str, number: int) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({**ATARI, "games": name}, sort_keys=False))
    sweep = _load(path)
    assert tuple(sweep.tasks) == GAME_SETS[name]
    assert len(sweep.trials) == len(sweep.runs) == 2 * number
    for trial in sweep.trials:
        assert trial.label == f"{trial.config.task.game}/{trial.arm}/0"  # type: ignore[attr-defined]
    assert sweep.tasks["pong" if "pong" in sweep.tasks else "alien"].arms == ("constant", "cyclic")


def test_games_may_be_listed_and_go_with_other_axes(tmp_path: Path) -> None:
    body = {**ATARI, "games": ["pong", "breakout"]}
    body["axes"] = {**ATARI["axes"], "utd": {"low": {"task.utd": 0.25}, "high": {}}}
    body["reference"] = {"arm": "constant"}
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({"experiments": {"e": body}}, sort_keys=False))
    sweep = _load(path, "e-pong:task.sticky=0.25")
    assert list(sweep.tasks) == ["e-pong", "e-breakout"]
    assert sweep.tasks["e-pong"].reference["cyclic,low"] == "constant,low"
    sticky = {t.task: t.config.task.sticky for t in sweep.trials}  # type: ignore[attr-defined]
    assert sticky == {"e-pong": 0.25, "e-breakout": 0.0}


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"games": "atari5"}, "s.yaml: games", "'atari57'"),
        ({"games": []}, "s.yaml: games", "the name of a set"),
        ({"games": ["pong", "pong"]}, "s.yaml: games", "each once"),
        ({"games": {"pong": {}}}, "s.yaml: games", "the name of a set"),
        ({"games": ["pong", "combat"]}, "s.yaml: [combat/constant] task.game", "one of"),
        ({"games": "atari20", "axes": {"task": {"a": {}}}}, "s.yaml: games", "no axis"),
    ],
)
def test_games_that_there_are_not_are_refused(
    tmp_path: Path, changes: dict[str, Any], key: str, expected: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({**ATARI, **changes}, sort_keys=False))
    with pytest.raises(ConfigError, match=expected) as error:
        _load(path)
    assert error.value.key == key


def test_a_change_may_not_be_of_what_is_searched(tmp_path: Path) -> None:
    path = _write(tmp_path, "s", search={"optimizer.lr": {"grid": [0.1, 0.2]}})
    for change in ("optimizer.lr=0.3", "optimizer={lr: 0.3}"):
        with pytest.raises(ConfigError) as caught:
            _load(path, change)
        assert caught.value.key == f"--set {change.partition('=')[0]}"


def test_arms_that_a_change_makes_the_same_run_are_pointed_out(tmp_path: Path) -> None:
    path = _write(tmp_path, "s")
    _load(path, "budget=3").check_apart()
    merged = _load(path, "interventions=[]")
    with pytest.raises(ConfigError, match="are now the same run"):
        merged.check_apart()
    merged.only("*/plain/*").check_apart()


def _experiments_file(folder: Path, name: str, *labels: str, **changes: Any) -> Path:
    path = folder / f"{name}.yaml"
    bodies = {label: {**BODY, **changes} for label in labels}
    path.write_text(yaml.safe_dump({"experiments": bodies}, sort_keys=False))
    return path


def test_a_file_takes_the_experiments_of_others(tmp_path: Path) -> None:
    _experiments_file(tmp_path, "one", "a", "b")
    _experiments_file(tmp_path, "two", "c", seeds=[5, 6])
    path = tmp_path / "all.yaml"
    path.write_text("include: [one, two]\n")
    sweep = _load(path)
    assert list(sweep.tasks) == ["a", "b", "c"]
    assert {t.config.seed for t in sweep.trials if t.task == "c"} == {5, 6}
    alone = _load(tmp_path / "one.yaml")
    assert set(alone.runs) < set(sweep.runs), "the same runs as of the file itself"
    path.write_text("include: [one, two]\none_seed: true\n")
    assert [sorted({t.config.seed for t in _load(path).trials if t.task == k}) for k in "ac"] == [
        [0],
        [5],
    ]
    again = tmp_path / "again.yaml"
    again.write_text("include: [all]\none_seed: true\n")
    assert len(_load(again).trials) == 6, "one seed of each of two arms and three experiments"
    path.write_text("include: [one, two]\nseeds: [9]\n")
    assert {t.config.seed for t in _load(path).trials} == {9}


def test_included_experiments_may_be_changed(tmp_path: Path) -> None:
    _experiments_file(tmp_path, "one", "a", "b")
    path = tmp_path / "all.yaml"
    path.write_text("include: [one]\nchanges: {b: {budget: 5, task.fraction: 0.25}}\n")
    sweep = _load(path)
    configs: dict[str, Any] = {t.task: t.config for t in sweep.trials}
    whole = {task: (c.clock().total, c.task.fraction) for task, c in configs.items()}
    assert whole == {"a": (10, 0.5), "b": (5, 0.25)}
    assert sweep.tasks["b"].description.endswith("Changed here: {budget: 5, task.fraction: 0.25}.")
    assert "Changed" not in sweep.tasks["a"].description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("include: one\n", "include.*a list of sweep files"),
        ("include: [all]\n", "a file that does not include this one"),
        ("include: [plain]\n", "a file with 'experiments'"),
        ("include: [one, one]\n", "only one file with 'a'"),
        ("include: [nowhere]\n", "config"),
        ("include: [one]\none_seed: 3\n", "one_seed.*true or false"),
        ("include: [one]\nchanges: [a]\n", "changes.*a mapping of experiments"),
        ("include: [one]\nchanges: {c: {budget: 5}}\n", "changes.*'c'.*a, b"),
        ("include: [one]\nchanges: {a: {bugdet: 5}}\n", "bugdet"),
        (
            "include: [one]\nexperiments: {a: {}}\n",
            "names that differ from those of the included files",
        ),
        ("include: [one]\nbase: {}\n", "no such key beside 'experiments'"),
        (
            "description: x\nbase: {}\nstop: {metric: loss}\nseeds: [0]\n",
            "one of base, as in base: {stop: ...}",
        ),
    ],
)
def test_what_cannot_be_included_is_refused(tmp_path: Path, text: str, message: str) -> None:
    _experiments_file(tmp_path, "one", "a", "b")
    _write(tmp_path, "plain")
    path = tmp_path / "all.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        _load(path)
