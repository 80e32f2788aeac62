"""The env runner: steps a pool of environments with an epsilon-greedy policy, into blocks.

One batched forward pass per step of the pool. What a step is, in envpool's terms: after an episode
has ended, the next action is thrown away and the step returns the first observation of the next
one. Such a step is no agent step: the slot keeps the last observation of the episode, without an
action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner

from suite.launch.rllib.envs import make_pool, pool_seed, spaces_of
from suite.replay.frame_ring import Array, Block
from suite.run_config import RunConfig
from suite.tasks.rl import RLTaskConfig


@dataclass(frozen=True)
class Game:
    """A finished game: to the true game over or the time limit, not a life.

    Attributes:
        score: sum of the environment's own rewards.
        agent_steps: length.
    """

    score: float
    agent_steps: int


@dataclass(frozen=True)
class Rollout:
    """What a call of `EnvPoolRunner.sample` returns.

    Attributes:
        block: the slots.
        agent_steps: number of actions in it.
        games: those that ended in it.
    """

    block: Block
    agent_steps: int
    games: list[Game]


@dataclass(frozen=True)
class Exploration:
    """Epsilon by agent steps: `start`, then from `begin` on a line of `length` to `end`.

    >>> line = Exploration(1.0, 0.1, begin=100, length=100)
    >>> line(0), line(100), line(150), line(200), line(10_000)
    (1.0, 1.0, 0.55, 0.1, 0.1)
    """

    start: float
    end: float
    begin: int
    length: int

    def __call__(self, agent_steps: int) -> float:
        """Return the share of random actions after `agent_steps` agent steps."""
        done = min(max(agent_steps - self.begin, 0) / max(self.length, 1), 1.0)
        return (1 - done) * self.start + done * self.end

    @classmethod
    def of(cls, run: RunConfig) -> Exploration:
        """Return the exploration that a run asks for."""
        assert isinstance(run.task, RLTaskConfig)
        epsilon = run.agent.epsilon
        length = run.task.in_agent_steps(epsilon.anneal, run.budget, "agent.epsilon.anneal")
        return cls(epsilon.start, epsilon.end, run.task.learning_starts, length)


class EnvPoolRunner(EnvRunner):
    """Runs the lanes of one worker; `config.run` says which."""

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.run = RunConfig.from_mapping(config.run)
        assert isinstance(self.run.task, RLTaskConfig)
        self.task: RLTaskConfig = self.run.task
        self.lanes = self.task.lanes
        self.exploration = Exploration.of(self.run)
        self.generator = self.run.seeds.numpy(f"explore/{self.worker_index}")
        self.generation = 0
        self.module: Any = None
        self.make_env()
        self.make_module()

    def make_env(self) -> None:
        """Make the pool, or make it anew, and begin an episode in every lane."""
        seed = pool_seed(self.run.seeds, self.worker_index or 0, self.generation)
        self.env = make_pool(self.task, self.lanes, seed)
        self.spaces = spaces_of(self.env)
        self.obs, info = self.env.reset()
        self._lives = np.asarray(info.get("lives", np.zeros(self.lanes, np.int32)))
        self._starts = np.ones(self.lanes, np.bool_)  # the current observation begins an episode
        self._over = np.zeros(self.lanes, np.bool_)  # the current observation ended one
        self._scores = np.zeros(self.lanes)
        self._lengths = np.zeros(self.lanes, np.int64)

    def make_module(self) -> None:
        """Build the network that acts."""
        spec = self.config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()

    def get_spaces(self) -> dict[str, Any]:
        """Return observation and action space."""
        return {INPUT_ENV_SPACES: self.spaces, DEFAULT_MODULE_ID: self.spaces}

    def assert_healthy(self) -> None:
        """Check that there is something to step and to act with."""
        assert self.env is not None
        assert self.module is not None

    def sample(self, *, steps: int = 1, agent_steps: int = 0, **kwargs: Any) -> Rollout:
        """Step the pool `steps` times.

        Args:
            steps: of the pool.
            agent_steps: taken in the whole run before this call; epsilon follows from it.
            **kwargs: for RLlib.
        """
        task, lanes = self.task, self.lanes
        shape = self.obs.shape[2:] if task.stack > 1 else self.obs.shape[1:]
        frames = np.empty((steps, lanes, *shape), self.obs.dtype)
        actions = np.empty((steps, lanes), np.int32)
        rewards = np.empty((steps, lanes), np.float32)
        acted, stops, starts = (np.empty((steps, lanes), np.bool_) for _ in range(3))
        games: list[Game] = []
        taken = 0
        for k in range(steps):
            frames[k] = self.obs[:, -1] if task.stack > 1 else self.obs
            starts[k] = self._starts
            acts = acted[k] = ~self._over
            actions[k] = self._act(self.exploration(agent_steps + taken))
            self.obs, rewards[k], terminated, truncated, info = self.env.step(actions[k])
            ended = terminated | truncated
            if "terminated" in info:  # Atari: a game may be over just as its time is
                terminated = info["terminated"].astype(np.bool_)
            if "lives" in info:
                lost = info["lives"] < self._lives
                self._lives = info["lives"]
                if task.life_loss_stops():
                    terminated = terminated | lost
            stops[k] = terminated & acts
            self._scores += rewards[k] * acts
            self._lengths += acts
            taken += int(np.count_nonzero(acts))
            if ended.any():
                games += self._finish(ended)
            self._starts, self._over = self._over, ended
        self.num_env_steps_sampled_lifetime += taken
        return Rollout(Block(frames, actions, rewards, acted, stops, starts), taken, games)

    def _act(self, epsilon: float) -> Array:
        """Return epsilon-greedy actions for the current observations, (lanes,)."""
        explores = self.generator.random(self.lanes) < epsilon
        random = self.generator.integers(self.spaces[1].n, size=self.lanes)
        if explores.all():
            return random
        self.module.draw_noise()
        with torch.inference_mode():
            greedy = self.module.greedy(torch.from_numpy(self.obs)).numpy()
        return np.where(explores, random, greedy)

    def _finish(self, ended: Array) -> list[Game]:
        """Return the games that ended and begin to count anew."""
        lanes = np.flatnonzero(ended)
        games = [Game(float(self._scores[i]), int(self._lengths[i])) for i in lanes]
        self._scores[lanes], self._lengths[lanes] = 0.0, 0
        return games

    def get_metrics(self) -> Any:
        """Return RLlib's metrics; what the suite records comes with the rollouts."""
        return self.metrics.reduce()

    def get_state(self, components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Return what it takes to go on in a fresh pool; the weights are the learner's."""
        return {
            "generator": self.generator.bit_generator.state,
            "noise": self.module.noise.get_state(),
            "generation": self.generation,
            "agent_steps": self.num_env_steps_sampled_lifetime,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take new weights, or go on from `get_state` with new episodes in a new pool."""
        if COMPONENT_RL_MODULE in state:
            weights = state[COMPONENT_RL_MODULE]
            weights = ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights
            self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
        if "generation" in state:
            self.generator.bit_generator.state = state["generator"]
            self.module.noise.set_state(state["noise"].cpu())
            self.num_env_steps_sampled_lifetime = state["agent_steps"]
            self.generation = state["generation"] + 1
            self.make_env()

    def stop(self) -> None:
        """Close the pool."""
        self.env.close()
