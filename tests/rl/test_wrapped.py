"""Changed environments as the engine steps them, whichever library they are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain_wrap
import pytest

from suite.errors import ConfigError
from suite.rl.envs import make_pool, spaces_of
from suite.rl.lanes import Lanes
from suite.run_config import RunConfig
from suite.tasks.base import TASKS
from suite.tasks.one_environment import OneEnvironmentConfig

WRAP: dict[str, Any] = {
    "permute_observations": 3,
    "shift": 0.5,
    "mask": {"share": 0.25, "seed": 1},
    "permute_actions": 6,
    "reward_factor": -2.0,
}
TASK = {
    "gym": {"kind": "gym", "env": "CartPole-v1"},
    "envpool": {"kind": "envpool", "env": "MiniGrid-Empty-5x5-v0", "observation": "image"},
    "classic_control": {"kind": "classic_control", "env": "Catch-v0"},
}


def task(name: str, **keys: Any) -> OneEnvironmentConfig:
    found = TASKS[TASK[name]["kind"]].from_mapping({**TASK[name], **keys})
    assert isinstance(found, OneEnvironmentConfig)
    return found


@pytest.mark.parametrize("name", TASK)
def test_it_is_the_environment_changed_one_number_at_a_time(name: str) -> None:
    plain, changed = (make_pool(task(name, **k), 3, seed=5) for k in ({}, {"wrap": WRAP}))
    assert spaces_of(plain) == spaces_of(changed)
    actions = int(spaces_of(plain)[1].n)
    own, seen = plain.reset()[0], changed.reset()[0]
    paid = 0.0
    for chosen in np.random.default_rng(0).integers(actions, size=(60, 3)).astype(np.int32):
        expected = [plain_wrap.seen(WRAP, lane) for lane in own]
        np.testing.assert_allclose(seen, expected, rtol=1e-6, atol=1e-6)
        taken = [plain_wrap.taken(WRAP, int(action), actions) for action in chosen]
        own, rewards, *marks, _ = plain.step(np.array(taken, np.int32))
        seen, changed_rewards, *changed_marks, _ = changed.step(chosen)
        np.testing.assert_allclose(changed_rewards, [plain_wrap.paid(WRAP, r) for r in rewards])
        for mark, other in zip(marks, changed_marks, strict=True):
            np.testing.assert_array_equal(mark, other)
        paid += float(np.abs(changed_rewards).sum())
    assert paid > 0 or name == "envpool"
    plain.close()
    changed.close()


def test_catch_can_be_won_through_the_permutation() -> None:
    """A policy that knows the permutations plays as well as one that sees the board itself."""
    lanes = Lanes(
        task("classic_control", wrap={"permute_observations": 4, "permute_actions": 2}), 4, 0
    )
    back = np.argsort(plain_wrap.drawn(4, "observations", 50))
    undo = np.argsort(plain_wrap.drawn(2, "actions", 3))
    while len(lanes.games) < 8:
        boards = lanes.obs.reshape(4, 50)[:, back].reshape(4, 10, 5)
        ball = boards[:, :-1].sum(1).argmax(1)
        paddle = boards[:, -1].argmax(1)
        lanes.step(undo[1 + np.sign(ball - paddle)].astype(np.int32))
    assert {game.score for game in lanes.games} == {1.0}
    lanes.close()


def test_a_mask_that_does_not_fit_is_refused_before_anything_runs(smoke: Any) -> None:
    run: RunConfig = smoke("classic_control", **{"task.wrap": {"mask": {"share": 0.95}}})
    with pytest.raises(ConfigError, match=r"task\.wrap\.mask\.share.*4 entries"):
        run.check()
