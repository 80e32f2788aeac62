"""Sampling: blocks from the runner of this process, or from any number of remote runners.

Remote runners get the weights with the request for a block. RLlib restarts one that dies; the block
it was collecting is lost, and its lanes continue with new episodes when it is back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import ray
import torch
from ray.exceptions import RayActorError, RayTaskError
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from torch import Tensor

from suite.launch.rllib.runner import EnvPoolRunner, Rollout

LOOK_S, PATIENCE_S = 1.0, 120.0
"""Seconds to wait for runners that are being restarted where one must be waited for: at a time, and
in all. There is no waiting while others work."""


@dataclass(frozen=True)
class Arrival:
    """What a runner brought.

    Attributes:
        first_lane: of the runner, among all lanes.
        rollout: the block; None if it was lost.
    """

    first_lane: int
    rollout: Rollout | None


class Sampler(Protocol):
    """Where blocks come from."""

    @property
    def continued(self) -> bool:
        """Whether the lanes came back to the step that was saved, at the latest restore."""

    def sample(self, steps: int, agent_steps: int) -> list[Arrival]:
        """Step all lanes `steps` times; `agent_steps` were taken before, as epsilon counts them."""

    def enter(self, visit: int) -> None:
        """Go on in another visit's environments; what was asked for in the old ones is dropped."""

    def sync(self, weights: list[Tensor]) -> None:
        """Act with these weights from the next block on."""

    def state(self) -> list[dict[str, Any]]:
        """Return the runners' states."""

    def restore(self, states: list[dict[str, Any]], visit: int) -> None:
        """Continue from `state`, in the visit that is on."""


class LocalSampler:
    """The one runner of this process."""

    def __init__(self, runner: EnvPoolRunner) -> None:
        self.runner = runner
        self._weights = list(runner.module.q.parameters())

    @property
    def continued(self) -> bool:
        """Whether the lanes came back to where they were."""
        return self.runner.continued

    def sample(self, steps: int, agent_steps: int) -> list[Arrival]:
        """Step all lanes here and now."""
        return [Arrival(0, self.runner.sample(steps=steps, agent_steps=agent_steps))]

    def enter(self, visit: int) -> None:
        """Go on in another visit's environments."""
        self.runner.enter(visit)

    @torch.no_grad()
    def sync(self, weights: list[Tensor]) -> None:
        """Copy the weights into the runner's network."""
        torch._foreach_copy_(self._weights, weights)

    def state(self) -> list[dict[str, Any]]:
        """Return the runner's state."""
        return [self.runner.get_state()]

    def restore(self, states: list[dict[str, Any]], visit: int) -> None:
        """Continue from `state`, in the visit that is on."""
        self.runner.set_state(_within(states[0], visit))


class RemoteSampler:
    """The remote runners of an RLlib group, asked all at once.

    Args:
        group: of the runners, numbered from 1.
        lanes: environments of each.
        overlap: whether the next block is made while the caller learns from this one.
    """

    def __init__(self, group: EnvRunnerGroup, lanes: int, overlap: bool) -> None:
        self.group, self.lanes, self.overlap = group, lanes, overlap
        self.manager = group._worker_manager
        self.runners = list(self.manager.actor_ids())
        self.continued = False
        self._visit = 0
        self._weights: ray.ObjectRef[Any] | None = None
        self._generations = dict.fromkeys(self.runners, 0)
        # A runner that died between two blocks is restarted by Ray without a word.
        actors = self.manager.actors()
        lives = ray.get([actors[runner].life.remote() for runner in self.runners])
        self._lives = dict(zip(self.runners, lives, strict=True))
        self._asked: list[tuple[int, ray.ObjectRef[Any]]] = []
        self._pings: dict[int, ray.ObjectRef[Any]] = {}  # of runners that are down, to be answered
        self._lost: list[Arrival] = []  # of runners that started again while no block was requested

    def sample(self, steps: int, agent_steps: int) -> list[Arrival]:
        """Return the blocks of all runners; with overlap, those asked for at the last call."""
        if not self._asked:
            self._ask(steps, agent_steps)
        arrivals = self.drain()
        if self.overlap:
            taken = sum(a.rollout.agent_steps for a in arrivals if a.rollout is not None)
            self._ask(steps, agent_steps + taken)
        return arrivals

    def _ask(self, steps: int, agent_steps: int) -> None:
        """Ask every healthy runner for a block."""
        self._revive()
        request = {
            "steps": steps,
            "agent_steps": agent_steps,
            "stride": len(self.runners),
            "weights": self._weights,
        }
        actors = self.manager.actors()
        healthy = self.manager.healthy_actor_ids()
        self._asked = [(i, actors[i].sample.remote(**request)) for i in healthy]

    def drain(self) -> list[Arrival]:
        """Wait for everything that was asked for.

        Raises:
            Exception: what a runner raised, such as `EnvironmentFailed`.
        """
        asked, self._asked = self._asked, []
        arrivals, self._lost = self._lost, []
        for runner, answer in asked:
            try:
                rollout = ray.get(answer)
            except RayActorError:
                self.manager.set_actor_state(runner, healthy=False)
                rollout = None
            except RayTaskError as error:  # its text is the runner's traceback
                raise error.cause from error
            if rollout is not None and rollout.life != self._lives[runner]:
                self._begin(runner)
                rollout = None
            arrivals.append(Arrival(self._first_lane(runner), rollout))
        return arrivals

    def _first_lane(self, runner: int) -> int:
        """Return the number of a runner's first lane."""
        return self.runners.index(runner) * self.lanes

    def _begin(self, runner: int) -> None:
        """Let a runner that was restarted begin new episodes."""
        self._generations[runner] += 1
        begin = self.manager.actors()[runner].begin
        self._lives[runner] = ray.get(begin.remote(self._generations[runner], self._visit))

    def _revive(self, everyone: bool = False) -> None:
        """Let runners that were restarted begin new episodes and join again.

        Args:
            everyone: wait until all of them are back.

        Raises:
            RuntimeError: if the one that must be waited for does not come back.
        """
        wanted = len(self.runners) if everyone else 1
        deadline = time.monotonic() + PATIENCE_S
        while (healthy := self.manager.num_healthy_actors()) < len(self.runners):
            for runner in self._answering(0.0 if healthy >= wanted else LOOK_S):
                self.manager.set_actor_state(runner, healthy=True)
                try:
                    self._begin(runner)
                except RayActorError:
                    self.manager.set_actor_state(runner, healthy=False)
            if self.manager.num_healthy_actors() >= wanted:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{wanted - healthy} runners not back within {PATIENCE_S:g} s")

    def _answering(self, patience: float) -> list[int]:
        """Return those of the runners that are down that answer, each asked once until it does.

        Args:
            patience: seconds to wait for the first answer.
        """
        actors = self.manager.actors()
        healthy = set(self.manager.healthy_actor_ids())
        for runner in self.runners:
            if runner not in healthy and runner not in self._pings:
                self._pings[runner] = actors[runner].ping.remote()
        runner_of = {ping: runner for runner, ping in self._pings.items()}
        found = []
        for ping in ray.wait(list(runner_of), num_returns=1, timeout=patience)[0]:
            runner = runner_of[ping]
            del self._pings[runner]
            try:
                ray.get(ping)
                found.append(runner)
            except RayActorError:
                time.sleep(min(patience, 0.1))  # it is asked again
        return found

    def enter(self, visit: int) -> None:
        """Go on in another visit's environments; a runner that dies meanwhile joins later."""
        self.drain()
        self._visit = visit
        actors = self.manager.actors()
        healthy = self.manager.healthy_actor_ids()
        for runner, answer in [(i, actors[i].enter.remote(visit)) for i in healthy]:
            try:
                ray.get(answer)
            except RayActorError:
                self.manager.set_actor_state(runner, healthy=False)

    def sync(self, weights: list[Tensor]) -> None:
        """Put the weights where the next requests find them."""
        self._weights = ray.put([w.detach().cpu().numpy() for w in weights])

    def state(self) -> list[dict[str, Any]]:
        """Return the runners' states, in their order; nothing may be asked for at the time.

        A runner that was restarted begins new episodes first; the next `drain` then tells that what
        it would have brought is lost.
        """
        actors = self.manager.actors()
        while True:
            self._revive(everyone=True)
            found = []
            for runner in self.runners:
                try:
                    life, state = ray.get(actors[runner].living_state.remote())
                    if life == self._lives[runner]:
                        found.append(state)
                        continue
                    self._begin(runner)
                except RayActorError:
                    self.manager.set_actor_state(runner, healthy=False)
                self._lost.append(Arrival(self._first_lane(runner), None))
                break
            else:
                return found

    def restore(self, states: list[dict[str, Any]], visit: int) -> None:
        """Continue from `state`, in the visit that is on."""
        self._asked, self._lost = [], []
        self._visit = visit
        actors = self.manager.actors()
        of = {r: _within(s, visit) for r, s in zip(self.runners, states, strict=True)}
        ray.get([actors[runner].set_state.remote(state) for runner, state in of.items()])
        continued = {runner: state["actions"] is not None for runner, state in of.items()}
        self.continued = all(continued.values())
        self._generations = {r: s["generation"] + (not continued[r]) for r, s in of.items()}


def _within(state: dict[str, Any], visit: int) -> dict[str, Any]:
    """Return a runner's state for a visit: new episodes if its actions were taken in another."""
    return state if state["visit"] == visit else {**state, "visit": visit, "actions": None}


def lanes_of(arrival: Arrival, lanes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the numbers of the lanes of a runner that has `lanes` of them."""
    return np.arange(arrival.first_lane, arrival.first_lane + lanes)
