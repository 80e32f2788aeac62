"""Arms by their settings: found, not found, several, and what counts as the same value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from suite.report.arms import Ambiguous, Arms, NotMeasured
from suite.report.build import build_report
from suite.report.claims.base import Claim, above, judge
from suite.report.experiment import Experiment, Repetition, Results
from suite.report.published.base import PUBLISHED

NAP = {"kind": "nap", "every": 100}


def decay(coefficient: float) -> dict[str, Any]:
    return {"kind": "weight_decay", "coefficient": coefficient}


CONFIGS: dict[str, dict[str, Any]] = {
    "small": {"model": {"alpha": 1, "centred": True}, "interventions": [decay(0.1)]},
    "large": {"model": {"alpha": 2.0, "centred": True}, "interventions": [NAP, decay(0.1)]},
    "large,decayed": {"model": {"alpha": 2.0, "bias": None}, "interventions": [decay(1), NAP]},
    "plain": {"model": {"alpha": 4}, "interventions": []},
}


def repetition(configs: Mapping[str, Any] = CONFIGS) -> Repetition:
    return Repetition(0, {("task", arm): arm for arm in configs}, configs, {})


def experiment() -> Experiment:
    """Return an experiment of which no seed has all arms."""
    parts = [{"small": CONFIGS["small"]}, {k: v for k, v in CONFIGS.items() if k != "small"}]
    return Experiment("paper", "small", [repetition(part) for part in parts])


@pytest.fixture(params=[repetition, experiment])
def arms(request: Any) -> Arms:
    """The same arms, of a seed and of an experiment."""
    found: Arms = request.param()
    return found


DECAY = "interventions.weight_decay.coefficient"


@pytest.mark.parametrize(
    ("settings", "arm"),
    [
        ({"model.alpha": 1}, "small"),
        ({"model.alpha": 1.0}, "small"),
        ({"model.alpha": 4.0}, "plain"),
        ({"model.alpha": 4 * (0.1 + 0.2) / 0.3}, "plain"),
        ({"model.alpha": 2, DECAY: 0.1}, "large"),
        ({"model.alpha": 2, DECAY: 1.0}, "large,decayed"),
        ({"model.alpha": 2, "interventions.1": NAP}, "large,decayed"),
        ({"interventions.nap.every": 100, "interventions.0.kind": "nap"}, "large"),
        ({"interventions.nap": None, DECAY: 0.1}, "small"),
        ({DECAY: None}, "plain"),
        ({"model.centred": True, "interventions.nap.kind": "nap"}, "large"),
        ({"model.bias": None, "model.centred": None, "model.alpha": 2}, "large,decayed"),
        ({"interventions": []}, "plain"),
    ],
)
def test_an_arm_is_found_by_its_settings(arms: Arms, settings: dict[str, Any], arm: str) -> None:
    assert arms.arm(settings) == arm
    assert arms.arms_with(settings) == [arm]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.alpha": 0.5}, r"an arm with model\.alpha = 0\.5"),
        ({"model.alpha": 1, "model.beta": 2}, r"an arm with model\.alpha = 1 and model\.beta = 2"),
        ({DECAY: 2.0, "model.beta": None}, r"coefficient = 2 and no model\.beta"),
        ({"model.alpha.deeper": 1}, "deeper"),
        ({"model.alpha": True}, "True"),
        ({"model.centred": 1}, "centred"),
        ({"interventions.5.kind": "nap"}, "5"),
        ({"interventions.l2.coefficient": 1}, "l2"),
    ],
)
def test_an_arm_that_is_not_there_is_not_measured(
    arms: Arms, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(NotMeasured, match=message):
        arms.arm(settings)
    assert arms.arms_with(settings) == []


def test_several_arms_are_an_error_that_names_them(arms: Arms) -> None:
    with pytest.raises(
        Ambiguous, match=r"several arms with model\.alpha = 2: large, large,decayed"
    ):
        arms.arm({"model.alpha": 2})
    with pytest.raises(Ambiguous, match="several arms: small, large"):
        arms.arm({})
    assert arms.arms_with({"model.alpha": 2}) == ["large", "large,decayed"]


def test_the_only_arm_needs_no_settings() -> None:
    assert repetition({"small": CONFIGS["small"]}).arm({}) == "small"
    with pytest.raises(NotMeasured, match="an arm"):
        repetition({}).arm({})


def test_a_grid_is_in_the_order_of_its_values(arms: Arms) -> None:
    found = arms.grid("model.alpha", DECAY)
    assert list(found.items()) == [
        ((1, 0.1), "small"),
        ((2.0, 0.1), "large"),
        ((2.0, 1), "large,decayed"),
    ]
    assert arms.grid(DECAY, where={"interventions.nap.kind": "nap"}) == {
        (0.1,): "large",
        (1.0,): "large,decayed",
    }


def test_a_grid_tells_what_it_lacks_and_what_coincides(arms: Arms) -> None:
    with pytest.raises(NotMeasured, match=r"arms with model\.alpha and model\.beta"):
        arms.grid("model.alpha", "model.beta")
    with pytest.raises(NotMeasured):
        arms.grid("model.bias")
    with pytest.raises(Ambiguous, match=r"alpha = 2: large, large,decayed"):
        arms.grid("model.alpha")


def test_of_two_entries_of_a_kind_that_is_known_in_which_they_agree() -> None:
    both = [{**decay(1.0), "roles": ["gain"]}, {**decay(1.0), "roles": ["bias"]}]
    seed = repetition({"both": {"interventions": both}, "none": {"interventions": [NAP]}})
    assert seed.arm({DECAY: 1}) == "both"
    assert seed.arm({"interventions.weight_decay": None}) == "none"
    assert seed.setting("both", DECAY) == 1.0
    with pytest.raises(NotMeasured, match="roles"):
        seed.setting("both", "interventions.weight_decay.roles")


def test_arms_in_the_order_of_a_setting(arms: Arms) -> None:
    assert arms.arms_by("model.alpha")[-1] == (4, "plain")
    with pytest.raises(NotMeasured, match="coefficient of arm 'plain'"):
        arms.arms_by(DECAY)


def test_an_arm_of_several_tasks_is_not_guessed() -> None:
    configs = {"1": {"budget": 1}, "2": {"budget": 2}}
    seed = Repetition(0, {("a", "arm"): "1", ("b", "arm"): "2"}, configs, {})
    assert seed.setting("arm", "budget", task="b") == 2
    with pytest.raises(NotMeasured, match="arm 'arm' of seed 0"):
        seed.arm({"budget": 1})


def test_a_board_says_which_arms_a_claim_cannot_tell_apart() -> None:
    """They are several where a sweep of one's own has another axis; other claims are judged."""

    def statistic(seed: Repetition) -> float:
        return len(seed.arm({"model.alpha": 2}))

    claim = Claim("mine.1", "paper", "so", "number", above(0.0), "ours", statistic)
    runs = Experiment("paper", "small", [repetition()] * 3)
    verdict = judge(claim, runs, "small")
    assert (verdict.verdict, verdict.n) == ("not run", 0)
    assert verdict.why == "several arms with model.alpha = 2: large, large,decayed"


def test_a_figure_that_cannot_tell_arms_apart_is_left_out(writer: Any) -> None:
    writer.task("kumar2024_fig2", ["a", "b"], seeds=[0])
    for arm in "ab":
        config = {"model": {"alpha": 1.0}, "budget": 100}
        writer.run("kumar2024_fig2", arm, 0, [(1, 0.1), (100, 1.0)], config=config)
    folder = writer.finish()
    runs = Results(folder).experiment("kumar2024_fig2", "published")
    assert runs is not None
    with pytest.raises(Ambiguous, match=r"several arms with model\.alpha = 1: a, b"):
        PUBLISHED["kumar2024_fig2"].function(runs)
    build_report(folder)
    names = [path.name for path in (folder / "report" / "figures").iterdir()]
    assert names
    assert not [name for name in names if name.startswith("published")]
