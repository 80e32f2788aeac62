from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.clock import Clock, Duration
from suite.config import RESULT_VERSION, merge, undot
from suite.errors import ConfigError
from suite.launch.catalogue import config_folders
from suite.models.mlp import MlpConfig
from suite.run_config import ResourcesConfig, RunConfig
from suite.sweeps.sweep import load_sweep
from suite.tasks.base import TASKS
from suite.tasks.permuted import PermutedConfig

BASE: dict[str, Any] = {
    "task": {"kind": "modular_addition", "modulus": 11},
    "model": "transformer",
    "budget": 10,
}


def _error(override: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        RunConfig.from_mapping(merge(BASE, override), "f.yaml: ")
    return error.value


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ({"budgett": 5}, "budgett", "'budget'"),
        ({"task.moduls": 5}, "task.moduls", "'modulus'"),
        ({"task.kind": "modular_adition"}, "task.kind", "'modular_addition'"),
        ({"task": {"modulus": 5, "kind": None}}, "task.kind", "modular_addition"),
        ({"task.modulus": "7"}, "task.modulus", "a valid integer"),
        ({"task.modulus": 7.5}, "task.modulus", "integer"),
        ({"task.modulus": True}, "task.modulus", "a valid integer"),
        ({"task.fraction": 1.5}, "task.fraction", "less than 1"),
        ({"optimizer": {"kind": "adam", "lr": -1e-3}}, "optimizer.lr", "greater than 0"),
        ({"optimizer": {"kind": "adam", "lr": float("nan")}}, "optimizer.lr", "finite"),
        (
            {"optimizer": {"kind": "adam", "rate_by_role": {"head": 1.0}}},
            "optimizer.rate_by_role.head",
            "'weight'",
        ),
        ({"schedule": {"kind": "delayed", "low": 0.1}}, "schedule.offset", "required"),
        (
            {"schedule": {"kind": "delayed", "offset": 1, "low": 0.1, "then": {"kind": "cycic"}}},
            "schedule.then.kind",
            "'cyclic'",
        ),
        ({"interventions": [{"kind": "nap", "every": 0}]}, "interventions[0].every", "equal to 1"),
        ({"interventions": ["nap", "naap"]}, "interventions[1].kind", "'nap'"),
        (
            {"interventions": [{"kind": "nap", "which": "all"}]},
            "interventions[0].which",
            "'matrices'",
        ),
        ({"metrics": {"names": ["loss", "los"]}}, "metrics.names[1]", "'loss'"),
        ({"metrics": {"every": {"step": 5}}}, "metrics.every.step", "'steps'"),
        ({"metrics": {"every": {"steps": 5, "epochs": 1}}}, "metrics.every", "one unit of time"),
        ({"resources": {"gpus": -1}}, "resources.gpus", "equal to 0"),
        (
            {"resources": {"gpus": 1.5}},
            "resources.gpus",
            "0, a fraction below 1, or a whole number",
        ),
        ({"resources": {"gpus": float("inf")}}, "resources.gpus", "finite"),
        ({"seed": -1}, "seed", "equal to 0"),
        ({"agent": "dqn"}, "agent", "no agent for this task"),
        ({"model": {"kind": "transformer", "heads": 3}}, "model.heads", "divisor"),
        ({"task": 5}, "task", "a mapping of"),
    ],
)
def test_one_message_names_key_value_and_what_is_right(
    override: dict[str, Any], key: str, said: str
) -> None:
    error = _error(override)
    assert error.key == f"f.yaml: {key}"
    assert said in error.expected
    assert "\n" not in str(error)


@pytest.mark.parametrize("gpus", [0, 0.25, 1, 2.0])
def test_gpus_are_a_fraction_of_one_or_whole(gpus: float) -> None:
    config = RunConfig.from_mapping(merge(BASE, {"resources": {"gpus": gpus}}))
    assert config.resources.gpus == gpus


def test_missing_key() -> None:
    with pytest.raises(ConfigError, match="task: got None; expected a value"):
        RunConfig.from_mapping({"model": "mlp"})


def test_round_trip_and_run_id() -> None:
    config = RunConfig.from_mapping(
        merge(BASE, {"schedule": {"kind": "delayed", "offset": {"fraction": 0.5}, "low": 0.1}})
    )
    again = RunConfig.from_mapping(json.loads(config.canonical()))
    assert again == config
    assert again.run_id == config.run_id
    assert hash(config.task) == hash(again.task)


def test_run_id_follows_what_is_computed_and_not_where() -> None:
    config = RunConfig.from_mapping(BASE)
    elsewhere = config.model_copy(update={"resources": ResourcesConfig(gpus=1.0)})
    assert elsewhere.run_id == config.run_id
    spelled = RunConfig.from_mapping(merge(BASE, {"schedule": {"kind": "constant", "value": 1.0}}))
    assert spelled.run_id == config.run_id
    for override in ({"seed": 1}, {"budget": 11}, {"optimizer": {"kind": "adam", "lr": 2e-3}}):
        assert RunConfig.from_mapping(merge(BASE, override)).run_id != config.run_id


def test_an_engine_s_result_version_changes_its_run_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = {
        "supervised": RunConfig.from_mapping(BASE),
        "rl": RunConfig.from_mapping(
            {
                "task": {"kind": "classic_control"},
                "model": "mlp",
                "agent": "dqn",
                "budget": {"agent_steps": 2000},
            }
        ),
        "rllib": RunConfig.from_mapping(dict(TASKS["rllib"].smoke)),
    }

    def ids() -> dict[str, str]:  # of copies, for a config makes its id once
        return {engine: config.model_copy().run_id for engine, config in configs.items()}

    before = ids()
    assert RESULT_VERSION.keys() == configs.keys()
    for engine in configs:
        monkeypatch.setitem(RESULT_VERSION, engine, 999)
        changed = {name for name, found in ids().items() if found != before[name]}
        assert changed == {engine}
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("sweep", "trial", "run_id"),
    [
        ("lyle2025_mlp", "lyle2025_mlp/plain,free,constant/0", "ffaf49f177b6"),
        ("kumar2024_fig1", "kumar2024_fig1/linearised/4", "2d97cf92507e"),
        ("norm_or_elr", "norm_or_elr_mlp/2,2/4", "1c4d3ef9d4c1"),
    ],
)
def test_ids_of_runs_that_were_made_stay(sweep: str, trial: str, run_id: str) -> None:
    """Hours of finished runs are found again by their ids.

    Who changes what such a config computes, or adds a key with a default to it, raises the result
    version of its engine and puts the new ids here.
    """
    (found,) = [t for t in load_sweep([sweep], config_folders()).trials if t.label == trial]
    assert found.run_id == run_id


def test_merge_replaces_other_kinds_and_lists() -> None:
    base = {"schedule": {"kind": "cyclic", "period": 5}, "interventions": [1, 2], "a": {"b": 1}}
    assert merge(base, {"schedule": {"kind": "constant"}})["schedule"] == {"kind": "constant"}
    assert merge(base, {"schedule": {"floor": 0.1}})["schedule"] == {
        "kind": "cyclic",
        "period": 5,
        "floor": 0.1,
    }
    assert merge(base, {"interventions": []})["interventions"] == []
    assert merge(base, {"a.c": 2})["a"] == {"b": 1, "c": 2}
    assert base["a"] == {"b": 1}


@given(
    st.recursive(
        st.integers(),
        lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
        max_leaves=8,
    )
)
def test_merge_with_itself_changes_nothing(tree: Any) -> None:
    assert merge(tree, tree) == undot(tree)


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_durations(steps: int, total: int) -> None:
    clock = Clock(total, steps_per_epoch=(10,), agent_steps_per_step=4.0, frames_per_agent_step=4)
    assert clock.steps(Duration.model_validate(steps)) == steps
    assert clock.steps(Duration(epochs=3)) == 30
    assert clock.steps(Duration(frames=16 * 7)) == 7
    assert clock.steps(Duration(agent_steps=28)) == 7
    assert clock.steps(Duration(fraction=1.0)) == total
    bare: Any = Duration.model_validate(steps).model_dump()
    assert bare == steps
    assert Duration(fraction=0.5).model_dump() == {"fraction": 0.5}


def test_phase_clocks() -> None:
    clock = Clock(100, starts=(0, 30), steps_per_epoch=(3, 7))
    assert [clock.phase(i).total for i in (0, 1)] == [30, 70]
    assert clock.phase(1).steps(Duration(epochs=2)) == 14
    with pytest.raises(ConfigError, match="frames"):
        clock.steps(Duration(frames=5), "length")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ({"interventions.1.every": 2}, "interventions.1"),
        ({"interventions.every": 2}, "interventions.every"),
        ({"interventions+": {"kind": "nap"}}, "interventions+"),
        ({"optimizer+": [1]}, "optimizer+"),
    ],
)
def test_lists_are_picked_from_and_added_to_only_where_they_can_be(
    override: dict[str, Any], key: str
) -> None:
    base = {"interventions": ["nap"], "optimizer": {"lr": 0.1}}
    with pytest.raises(ConfigError) as caught:
        merge(base, override)
    assert caught.value.key == key
    assert merge(base, {"interventions.0.every": 3})["interventions"] == [
        {"kind": "nap", "every": 3}
    ]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"metrics": {"every": 0}}, "metrics.every"),
        ({"metrics": {"interval": 10_000}}, "metrics.interval"),
        ({"optimizer": {"rate_by_role": {"bias": 0.1}}}, "optimizer.rate_by_role.bias"),
        ({"interventions": ["weight_decay", "weight_decay"]}, "interventions"),
        ({"schedule": {"kind": "triggered", "trigger": "cusum", "limit": -3}}, "schedule.limit"),
        ({"resources": {"learners": 2}}, "resources.learners"),
    ],
)
def test_nothing_is_repaired_silently(
    smoke: Callable[..., RunConfig], changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        smoke(**changes).check()
    assert caught.value.key == key


def test_a_copy_has_an_id_of_its_own() -> None:
    config = RunConfig.from_mapping(BASE)
    before = config.run_id
    changed = config.model_copy(update={"seed": config.seed + 1})
    assert changed.run_id != before
    assert changed.run_id == RunConfig.from_mapping({**BASE, "seed": config.seed + 1}).run_id
    assert config.model_copy() == config


def test_every_part_has_a_hash_whatever_its_settings_are() -> None:
    class Settings(MlpConfig):
        options: dict[str, list[int]]

    one, same, other = (Settings(options={"a": [n]}) for n in (1, 1, 2))
    assert hash(one) == hash(same)
    assert one == same
    assert hash(one) != hash(other)


@pytest.mark.filterwarnings("ignore:Field name")
@pytest.mark.parametrize("name", ["size", "length", "phase"])
def test_a_key_that_hides_something_of_a_stream_is_refused(name: str) -> None:
    """Its value would be ignored, or called."""
    with pytest.raises(ConfigError, match=rf"{name}: got 'a key of Own'; expected another name"):
        type("Own", (PermutedConfig,), {"__annotations__": {name: float}, name: 1.0})
