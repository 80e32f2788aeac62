"""The sweep files of published protocols: what their heads and docs/streams.md say of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from suite.run_config import RunConfig
from suite.sweeps.sweep import load_sweep
from suite.sweeps.sweep_file import experiments_of
from suite.sweeps.yaml_file import read_yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tune_configs"
SMALL = [
    name.removesuffix("_small") for name in read_yaml(FOLDER / "streams_small.yaml")["include"]
]
TUNED = ("permuted_kumar", "random_labels_kumar", "slow_regression_dohare")


def body(name: str, label: str = "") -> dict[str, Any]:
    """Return an experiment of a file, as it is written."""
    return experiments_of(FOLDER / f"{name}.yaml", [FOLDER])[label or name]


def arms(name: str) -> dict[str, list[RunConfig]]:
    """Return the runs of a file by arm, seeds in order; loading checks them."""
    found: dict[str, list[RunConfig]] = {}
    for trial in load_sweep([name], [FOLDER]).trials:
        assert trial.skip is None
        found.setdefault(trial.arm, []).append(trial.config)
    return found


def test_the_table_of_protocols_names_every_sweep() -> None:
    text = (ROOT / "docs" / "streams.md").read_text(encoding="utf-8")
    table = text.split("## Published protocols")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_both_sizes_have_the_same_arms(name: str) -> None:
    published, small = body(name), body(f"{name}_small")
    for key in ("reference", "gap_to"):
        assert published.get(key) == small.get(key)
    assert {axis: list(values) for axis, values in published["axes"].items()} == {
        axis: list(values) for axis, values in small["axes"].items()
    }
    assert published["base"]["task"]["kind"] == small["base"]["task"]["kind"]


@pytest.mark.parametrize("size", ["", "_small"])
def test_steps_of_all_sizes_have_the_same_total_of_updates(size: str) -> None:
    runs = arms(f"growing_granularity{size}")
    phases = {"five": 20, "ten": 10, "twenty": 5}
    clocks = {arm: found[0].clock() for arm, found in runs.items()}
    assert len({clock.total for clock in clocks.values()}) == 1
    for arm, clock in clocks.items():
        step, name = arm.split(",")
        assert len(clock.starts) == (1 if name == "fresh_nap" else phases[step])
    fresh = {found[0].run_id for arm, found in runs.items() if arm.endswith("fresh_nap")}
    assert len(fresh) == 1
    assert all(i.kind == "nap" for found in runs.values() for i in found[0].interventions)


@pytest.mark.parametrize("name", ["two_phase_hare_tortoise", "two_phase_fire"])
def test_both_phases_have_about_equal_updates(name: str) -> None:
    for size in ("", "_small"):
        task = body(name + size)["base"]["task"]
        model = {"kind": "cnn"}
        clock = RunConfig.from_mapping({"task": task, "model": model}).clock()
        first, second = clock.starts[1], clock.total - clock.starts[1]
        assert first == pytest.approx(second, rel=0.15 if not size else 0)


def test_half_of_the_labels_are_wrong_at_first_and_none_at_last() -> None:
    shares = [0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.0]
    task = body("label_noise_hare_tortoise")["base"]["task"]
    assert (task["chunks"], task["noise"]) == (10, shares)
    small = body("label_noise_hare_tortoise_small")["base"]["task"]
    assert [phase.get("noise", 0.0) for phase in small["phases"]] == shares
    first = body("two_phase_hare_tortoise_small")["base"]["task"]["phases"][0]
    assert first["noise"] == 0.5


def test_a_warm_up_is_followed_by_a_constant_rate() -> None:
    (run, *_) = arms("two_phase_fire_small")["warm"]
    schedule, start = run.build_schedule(), run.clock().starts[1]
    warmup = (run.clock().total - start) // 10
    for begin in (0, start):
        assert schedule(begin) == 0
        assert schedule(begin + warmup // 2) == pytest.approx(0.5)
        assert {schedule(begin + step) for step in range(warmup, start)} == {1.0}


@pytest.mark.parametrize("size", ["", "_small"])
@pytest.mark.parametrize("name", TUNED)
def test_tuning_differs_in_rates_and_seeds_alone(name: str, size: str) -> None:
    reported = arms(name + size)
    tuned = arms(f"{name}_tuning{size}")
    seeds = {run.seed for runs in tuned.values() for run in runs}
    assert seeds == {100, 101, 102}
    assert not seeds & {run.seed for runs in reported.values() for run in runs}
    for arm, (run, *_) in reported.items():
        for rate in ("3e-4", "1e-3", "3e-3", "1e-2"):
            optimizer = run.optimizer.model_copy(update={"lr": float(rate)})
            wanted = run.model_copy(update={"optimizer": optimizer, "seed": 100})
            assert tuned[f"{arm},{rate}"][0] == wanted
    strengths = {arm.split(",")[0] for arm in tuned} - reported.keys()
    assert len(strengths) == 6
    for strength in strengths:
        assert {arm.split(",")[1] for arm in tuned if arm.startswith(f"{strength},")} == {
            "1e-3",
            "3e-3",
        }


def test_a_scale_by_layer_is_compared_at_every_width() -> None:
    for name in ("perlayer_width", "perlayer_width_small"):
        for label, experiment in experiments_of(FOLDER / f"{name}.yaml", [FOLDER]).items():
            assert list(experiment["axes"]["layers"]) == [
                *("constant", "fast_features", "slow_features", "even_ratio")
            ], label
            assert experiment["reference"] == {"layers": "constant"}
