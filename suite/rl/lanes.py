"""Lanes: environments stepped together, the meaning of each step, and how to return to a step.

An episode ends because it terminates or because of its time limit; if both happen in one step it
has terminated, and the return is complete.

After an episode has ended the next action is ignored and the step returns the first observation of
the next episode. Such a step is not an agent step: it shows the last observation of the episode,
without an action.

Emulators cannot be saved. But the actions since the lanes were made can be kept: with the same
seed, repeating them leads to the same step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from suite.replay.frame_ring import Array, Bools
from suite.rl.envs import make_pool, spaces_of
from suite.tasks.rl import RLTaskConfig

CHUNK = 4096
"""Steps of the action log that are allocated at first."""


@dataclass(frozen=True)
class Game:
    """A finished game: to the true game over or the time limit, not a life.

    Attributes:
        score: sum of the environment's own rewards.
        agent_steps: length.
        lane: where it was played.
    """

    score: float
    agent_steps: int
    lane: int = 0


@dataclass(frozen=True)
class Step:
    """What a step of all lanes led to, each field (lanes,).

    Attributes:
        rewards: the environment's own.
        acted: whether the action counted; not so on the step after the end of an episode.
        stops: whether the return is complete with this action.
        ended: whether the episode ended.
    """

    rewards: Array
    acted: Bools
    stops: Bools
    ended: Bools


class ActionLog:
    """The actions of all steps so far, up to a limit beyond which nothing is kept.

    Args:
        lanes: number of environments.
        limit: steps; 0 keeps none.
    """

    def __init__(self, lanes: int, limit: int) -> None:
        self._actions = np.empty((0, lanes), np.int16)
        self.steps, self.limit = 0, limit

    def add(self, actions: Array) -> None:
        """Append the actions of one step, (lanes,)."""
        self.steps += 1
        if self.steps > self.limit:
            self._actions = self._actions[:0]
            return
        if self.steps > len(self._actions):
            size = max(CHUNK, len(self._actions))  # doubled, so that copies stay few
            more = np.empty((size, self._actions.shape[1]), np.int16)
            self._actions = np.concatenate([self._actions, more])
        self._actions[self.steps - 1] = actions

    def actions(self) -> Array | None:
        """Return all actions, (steps, lanes), or None if there were too many to keep."""
        return self._actions[: self.steps].copy() if self.steps <= self.limit else None


class Lanes:
    """Environments of one task, at the start of an episode each.

    Args:
        task: what to make.
        count: number of environments.
        seed: of the pool.
        keep: steps whose actions are kept, see `ActionLog`.

    Attributes:
        obs: current observations, (lanes, ...).
        starts: whether they begin an episode, (lanes,).
        over: whether they ended one, (lanes,).
        games: those that ended since somebody took the list.
    """

    def __init__(self, task: RLTaskConfig, count: int, seed: int, keep: int = 0) -> None:
        self.task, self.count = task, count
        self.pool: Any = make_pool(task, count, seed)
        self.spaces = spaces_of(self.pool)
        self.log = ActionLog(count, keep)
        self.obs, info = self.pool.reset()
        self._lives = np.asarray(info.get("lives", np.zeros(count, np.int32)))
        self.starts = np.ones(count, np.bool_)
        self.over = np.zeros(count, np.bool_)
        self._scores = np.zeros(count)
        self._lengths = np.zeros(count, np.int64)
        self.games: list[Game] = []

    def step(self, actions: Array) -> Step:
        """Take actions (lanes,) in all lanes."""
        self.log.add(actions)
        acted = ~self.over
        self.obs, rewards, terminated, truncated, info = self.pool.step(actions)
        ended = terminated | truncated
        if "lives" in info:
            lost = info["lives"] < self._lives
            self._lives = info["lives"]
            if self.task.life_loss_stops():
                terminated = terminated | lost
        self._scores += rewards * acted
        self._lengths += acted
        if ended.any():
            self._finish(ended)
        self.starts, self.over = self.over, ended
        return Step(rewards, acted, terminated & acted, ended)

    def _finish(self, ended: Bools) -> None:
        """Keep the games that ended and restart the counts."""
        lanes = np.flatnonzero(ended)
        self.games += [Game(float(self._scores[i]), int(self._lengths[i]), int(i)) for i in lanes]
        self._scores[lanes], self._lengths[lanes] = 0.0, 0

    def take_games(self) -> list[Game]:
        """Return the games that ended since the last call."""
        games, self.games = self.games, []
        return games

    def replay(self, actions: Array) -> None:
        """Take the actions (steps, lanes) of an earlier pool of the same seed; nothing is kept."""
        for row in actions.astype(np.int32):
            self.step(row)
        self.games.clear()

    def close(self) -> None:
        """Close the pool."""
        self.pool.close()
