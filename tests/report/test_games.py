"""Atari games of a sweep taken together: which count, and where their numbers appear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import trim_mean

from suite.atari.scores import human_normalised
from suite.report.build import Report, build_report

ARMS = ["constant", "cyclic"]
KEYS = {"kind": "atari", "protocol": "rainbow2018", "backend": "envpool", "sticky": 0.0}
GAMES = {"pong": 5.0, "breakout": 30.0, "krull": 1000.0}


def write(
    writer: Any,
    games: dict[str, float],
    *,
    seeds: int = 3,
    prefix: str = "",
    arms: list[str] = ARMS,
    lost: tuple[tuple[str, str, int], ...] = (),
    **keys: Any,
) -> None:
    """Write tasks of games: seed s scores (1 + s) times the unit; ``cyclic`` twice as much."""
    for game, unit in games.items():
        label = f"{prefix}{game}"
        writer.task(label, arms, primary_metric=["mean_return_20", ""], unit="return", x="frames")
        for arm in arms:
            for seed in range(seeds):
                value = unit * (1 + seed) * (2 if arm == "cyclic" else 1)
                state = "failed" if (game, arm, seed) in lost else "complete"
                config = {"budget": 9, "task": {**KEYS, "game": game, **keys}}
                writer.run(label, arm, seed, [(9, value)], state=state, config=config)


def expected(games: dict[str, float], factor: float, seeds: int = 3) -> np.ndarray:
    return np.array(
        [
            [human_normalised(g, factor * unit * (1 + s)) for g, unit in games.items()]
            for s in range(seeds)
        ]
    )


def build(writer: Any) -> Report:
    return build_report(writer.finish())


@pytest.mark.usefixtures("undrawn")
def test_numbers_by_hand(writer: Any) -> None:
    write(writer, GAMES)
    report = build(writer)
    assert list(report.aggregate) == ["atari"]
    group = report.aggregate["atari"]
    assert group["games"] == list(GAMES)
    assert (group["human_scores"], group["metric"]) == ("no-op starts", "mean_return_20")
    for arm, factor in (("constant", 1), ("cyclic", 2)):
        scores, found = expected(GAMES, factor), group["arms"][arm]
        assert found["runs"] == 3
        assert found["iqm"]["value"] == pytest.approx(trim_mean(scores.ravel(), 0.25))
        assert found["median"]["value"] == pytest.approx(np.median(scores.mean(axis=0)))
        assert found["mean"]["value"] == pytest.approx(scores.mean())
        assert found["mean"]["lo"] < scores.mean() < found["mean"]["hi"]
        assert found["optimality_gap"]["value"] == pytest.approx(1 - np.minimum(scores, 1).mean())
        assert found["games"] == pytest.approx(dict(zip(GAMES, scores.mean(axis=0), strict=True)))


def test_they_appear_in_every_part_of_the_report_and_not_in_the_summary(writer: Any) -> None:
    write(writer, GAMES)
    report = build(writer)
    assert json.loads((report.folder / "aggregate.json").read_text()) == report.aggregate
    value = report.aggregate["atari"]["arms"]["cyclic"]["iqm"]["value"]
    page = report.html.read_text(encoding="utf-8")
    for text in (page, report.text):
        for part in ("3 Atari games: human-normalised", f"{value:.3f}", "IQM", "optimality gap"):
            assert part in text, part
        assert "rainbow2018" in text
        assert "human-normalised [95%" in text  # in the tables of the games too
    assert f"{human_normalised('pong', 10.0):.3f}" in report.text
    assert 'id="games-1"' in page
    assert report.text.isascii()
    assert (report.folder / "figures" / "aggregate.svg").exists()
    assert set(report.summary["pong"]["cyclic"]) == {
        *("metric", "mean", "lo", "hi", "n", "diff", "diff_lo", "diff_hi", "failed")
    }


def test_the_same_results_give_the_same_bytes(writer: Any) -> None:
    write(writer, GAMES)
    folder = build(writer).folder

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first = contents()
    build(writer)
    assert contents() == first


@pytest.mark.usefixtures("undrawn")
def test_one_game_or_none_is_no_aggregate_and_an_old_one_is_removed(writer: Any) -> None:
    write(writer, {"pong": 5.0})
    folder = writer.finish() / "report"
    folder.mkdir()
    (folder / "aggregate.json").write_text("{}")
    report = build(writer)
    assert report.aggregate == {}
    assert not (folder / "aggregate.json").exists()
    assert "human-normalised [95%]" in report.text  # of the one game
    assert "IQM" not in report.text


@pytest.mark.usefixtures("undrawn")
def test_games_that_cannot_be_compared_are_left_out_and_named(writer: Any) -> None:
    lost = tuple(("krull", "cyclic", seed) for seed in range(3))
    write(writer, {**GAMES, "tetris": 1.0}, lost=lost)
    report = build(writer)
    group = report.aggregate["atari"]
    assert group["games"] == ["pong", "breakout"]
    assert group["left_out"] == {
        "krull": "no complete run of cyclic",
        "tetris": "no human score",
    }
    assert "Left out: krull (no complete run of cyclic); tetris" in " ".join(report.text.split())


@pytest.mark.usefixtures("undrawn")
def test_an_arm_has_as_many_runs_as_its_game_with_the_fewest(writer: Any) -> None:
    write(writer, GAMES, seeds=4, lost=(("pong", "constant", 0),))
    report = build(writer)
    arms = report.aggregate["atari"]["arms"]
    assert (arms["constant"]["runs"], arms["cyclic"]["runs"]) == (3, 4)
    scores = expected(GAMES, 1, seeds=4)
    kept = np.stack([scores[1:, 0], scores[:3, 1], scores[:3, 2]], axis=1)
    assert arms["constant"]["mean"]["value"] == pytest.approx(kept.mean())
    assert "constant: 2 complete runs do not count" in " ".join(report.text.split())


@pytest.mark.usefixtures("undrawn")
def test_an_arm_without_any_run_does_not_hide_the_others(writer: Any) -> None:
    arms = ["constant", "cyclic", "late"]
    lost = tuple((game, "late", seed) for game in GAMES for seed in range(3))
    write(writer, GAMES, arms=arms, lost=lost)
    report = build(writer)
    late = report.aggregate["atari"]["arms"]["late"]
    assert (late["runs"], late["games"]) == (0, {})
    assert late["iqm"] == {"value": None, "lo": None, "hi": None}
    assert report.aggregate["atari"]["games"] == list(GAMES)


def test_tasks_of_different_experiments_are_not_mixed(writer: Any) -> None:
    write(writer, GAMES, prefix="low-")
    write(writer, {"pong": 5.0, "krull": 1500.0}, prefix="high-")
    write(writer, {"qbert": 5.0, "hero": 1500.0}, prefix="high-", arms=["other"])
    writer.task("sums", ["a"]).run("sums", "a", 0, [(9, 0.5)])
    report = build(writer)
    assert {name: group["games"] for name, group in report.aggregate.items()} == {
        "low": list(GAMES),
        "high": ["pong", "krull"],
        "high-3": ["qbert", "hero"],
    }
    names = {path.name for path in report.figures if path.suffix == ".svg"}
    assert {"aggregate.svg", "aggregate-2.svg", "aggregate-3.svg"} <= names


@pytest.mark.usefixtures("undrawn")
def test_different_protocols_are_pointed_out(writer: Any) -> None:
    write(writer, {"pong": 5.0})
    write(writer, {"krull": 1000.0}, protocol="dopamine", sticky=0.25, backend="ale")
    report = build(writer)
    assert len(report.aggregate["atari"]["protocols"]) == 2
    assert "Protocols differ: rainbow2018" in report.text


@pytest.mark.usefixtures("undrawn")
def test_departures_from_a_named_protocol_are_told(writer: Any) -> None:
    told: dict[str, Any] = {
        "protocol": "dopamine",
        "sticky": 0.25,
        "life_loss_ends_bootstrap": False,
    }
    own: dict[str, Any] = {"noop_max": 1, "full_action_space": True, "max_episode_frames": 108_000}
    write(writer, {"pong": 5.0, "krull": 1000.0}, backend="envpool", **told, **own)
    (protocol,) = build(writer).aggregate["atari"]["protocols"]
    assert protocol.endswith("life loss does not end bootstrapping, full_action_space True")


@pytest.mark.usefixtures("undrawn")
def test_few_runs_have_no_interval(writer: Any) -> None:
    write(writer, GAMES, seeds=2)
    arm = build(writer).aggregate["atari"]["arms"]["cyclic"]
    assert arm["iqm"]["lo"] is None
    assert arm["iqm"]["value"] == pytest.approx(trim_mean(expected(GAMES, 2, 2).ravel(), 0.25))
