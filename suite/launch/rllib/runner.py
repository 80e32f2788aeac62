"""The env runner: steps lanes of environments with an epsilon-greedy policy and returns blocks.

Each step of all lanes is one batched forward pass.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import ray
import torch
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from torch import Tensor

from suite.launch.plugins import share_plugins
from suite.models.chain import chain_layers
from suite.replay.frame_ring import Array, Block
from suite.rl.envs import pool_seed
from suite.rl.lanes import Game, Lanes
from suite.rl.run import RLRun
from suite.run_config import RunConfig


@dataclass(frozen=True)
class Rollout:
    """What a call of `EnvPoolRunner.sample` returns.

    Attributes:
        block: the slots.
        agent_steps: number of actions in it.
        games: those that ended in it.
        life: of the process that made it, see `EnvPoolRunner.life`.
    """

    block: Block
    agent_steps: int
    games: list[Game]
    life: str = ""


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
    def of(cls, run: RLRun, visit: int = 0) -> Exploration:
        """Return the exploration that a run asks for in a visit, in the visit's own time."""
        epsilon = run.agent.epsilon
        length = run.task.epsilon_length(epsilon.anneal, run.budget, visit)
        return cls(epsilon.start, epsilon.end, run.task.learning_starts, length)


class EnvPoolRunner(EnvRunner):
    """Runs the lanes of one worker; `config.run` says which.

    Attributes:
        generation: how often the lanes have started again after a loss.
        visit: the visit that is on, which says what the lanes are of.
        continued: whether the lanes came back to the step that was saved, at the latest restore.
    """

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        share_plugins(config.plugins)
        self.run = RLRun.of(RunConfig.from_mapping(config.run))
        self.task = self.run.task
        self.generator = self.run.seeds.numpy(f"explore/{self.worker_index}")
        self.generation = self.visit = 0
        self._life = uuid4().hex
        self.module: Any = None
        self.continued = False
        self.make_env()
        self.make_module()

    def make_env(self) -> None:
        """Make the lanes, or make them again, each at the start of an episode."""
        played = self.task.played(self.visit)
        self.lanes = Lanes(played, self.task.lanes, self._pool_seed(), played.kept_steps())
        self.exploration = Exploration.of(self.run, self.visit)
        self.env = self.lanes.pool
        self.spaces = self.lanes.spaces

    def _pool_seed(self) -> int:
        worker = self.worker_index or 0
        return pool_seed(self.run.seeds, worker, self.generation, self.visit)

    def make_module(self) -> None:
        """Build the network that acts."""
        spec = self.config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()
        self._layers = chain_layers(self.module.q) if self.module.z is None else None
        self._parameters = dict(self.module.q.named_parameters())
        if self.worker_index:
            self.module.noise = self.run.seeds.torch(f"noise/act/{self.worker_index}")

    def get_spaces(self) -> dict[str, Any]:
        """Return observation and action space."""
        return {INPUT_ENV_SPACES: self.spaces, DEFAULT_MODULE_ID: self.spaces}

    def assert_healthy(self) -> None:
        """Check that there is something to step and to act with."""
        assert self.env is not None
        assert self.module is not None

    def sample(
        self,
        *,
        steps: int = 1,
        agent_steps: int = 0,
        stride: int = 1,
        weights: list[Array] | None = None,
        **kwargs: Any,
    ) -> Rollout:
        """Step all lanes `steps` times.

        Args:
            steps: of the lanes.
            agent_steps: taken by all before this call, as epsilon counts them.
            stride: number of runners that act at the same time, so that epsilon keeps their pace.
            weights: of the network, to act with from now on.
            **kwargs: for RLlib.
        """
        if weights is not None:
            self._take(weights)
        acting = self.acting(steps, agent_steps, stride)
        try:
            observations = next(acting)
            while True:
                self.module.draw_noise()
                with torch.inference_mode():
                    greedy = self._greedy(torch.from_numpy(observations)).numpy()
                observations = acting.send(greedy)
        except StopIteration as end:
            rollout: Rollout = end.value
            return rollout

    def acting(
        self, steps: int, agent_steps: int, stride: int = 1
    ) -> Generator[Array, Array, Rollout]:
        """Step all lanes `steps` times, with greedy actions that are asked for where they count.

        Yields:
            Observations (lanes, ...); the greedy actions for them, (lanes,), are to be sent.

        Returns:
            What was seen.
        """
        lanes, count = self.lanes, self.task.lanes
        stacked = self.task.stack > 1
        shape = lanes.obs.shape[2:] if stacked else lanes.obs.shape[1:]
        frames = np.empty((steps, count, *shape), lanes.obs.dtype)
        actions = np.empty((steps, count), np.int32)
        rewards = np.empty((steps, count), np.float32)
        acted, stops, starts = (np.empty((steps, count), np.bool_) for _ in range(3))
        taken = 0
        for k in range(steps):
            frames[k] = lanes.obs[:, -1] if stacked else lanes.obs
            starts[k] = lanes.starts
            epsilon = self.exploration(agent_steps + taken * stride)
            explores = self.generator.random(count) < epsilon
            actions[k] = self.generator.integers(int(self.spaces[1].n), size=count)
            if not explores.all():
                greedy = yield lanes.obs
                actions[k] = np.where(explores, actions[k], greedy)
            step = lanes.step(actions[k])
            rewards[k], acted[k], stops[k] = step.rewards, step.acted, step.stops
            taken += int(np.count_nonzero(step.acted))
        self.num_env_steps_sampled_lifetime += taken
        block = Block(frames, actions, rewards, acted, stops, starts)
        return Rollout(block, taken, lanes.take_games(), self._life)

    def _greedy(self, observations: Tensor) -> Tensor:
        """Return the actions of the largest values, of a chain without the calls of its modules."""
        if self._layers is None:
            actions: Tensor = self.module.greedy(observations)
            return actions
        values = observations.flatten(1)
        for layer in self._layers:
            values, _ = layer.forward(self._parameters, values)
        return values.argmax(1)

    @torch.no_grad()
    def _take(self, weights: list[Array]) -> None:
        """Act with these weights."""
        given = [torch.from_numpy(w) for w in weights]  # read only; they are only read
        torch._foreach_copy_(list(self.module.q.parameters()), given)

    def enter(self, visit: int) -> None:
        """Keep the lanes and begin episodes in another visit's environment."""
        self.lanes.close()
        self.visit = visit
        self.make_env()

    def life(self) -> str:
        """Return a name that another process with the same settings would not have."""
        return self._life

    def begin(self, generation: int, visit: int = 0) -> str:
        """Begin new episodes with new draws after a restart; return `life`."""
        self.lanes.close()
        self.generation, self.visit = generation, visit
        stream = f"explore/{self.worker_index}/{generation}"
        self.generator = self.run.seeds.numpy(stream)
        self.module.noise = self.run.seeds.torch(f"noise/act/{self.worker_index}/{generation}")
        self.make_env()
        return self._life

    def get_metrics(self) -> Any:
        """Return RLlib's metrics; what the suite records comes with the rollouts."""
        return self.metrics.reduce()

    def get_state(self, components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Return what it takes to go on; the weights are the learner's."""
        actions = self.lanes.log.actions()
        return {
            "actions": None if actions is None else torch.from_numpy(actions),
            "generator": self.generator.bit_generator.state,
            "noise": self.module.noise.get_state(),
            "generation": self.generation,
            "visit": self.visit,
            "agent_steps": self.num_env_steps_sampled_lifetime,
        }

    def living_state(self) -> tuple[str, dict[str, Any]]:
        """Return `life` and `get_state`, of one and the same process."""
        return self._life, self.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Take new weights, or go on from `get_state`."""
        if COMPONENT_RL_MODULE in state:
            weights = state[COMPONENT_RL_MODULE]
            weights = ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights
            self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
        if "generation" in state:
            self.generator.bit_generator.state = state["generator"]
            self.module.noise.set_state(state["noise"].cpu())
            self.num_env_steps_sampled_lifetime = state["agent_steps"]
            self.visit = state["visit"]
            self._return_to(state["generation"], state["actions"])

    def _return_to(self, generation: int, actions: torch.Tensor | None) -> None:
        """Come back to a step by taking all its actions again, or begin new episodes."""
        self.lanes.close()
        self.continued = actions is not None
        self.generation = generation if self.continued else generation + 1
        self.make_env()
        if actions is not None:
            self.lanes.replay(actions.numpy())

    def stop(self) -> None:
        """Close the pool."""
        self.lanes.close()
