"""Acting: visits to environments, blocks of steps, and what of them the replay remembers."""

from __future__ import annotations

from dataclasses import replace

from suite.clock import Clock
from suite.launch.rllib.checkpointing import CheckpointedAlgorithm
from suite.launch.rllib.runner import Rollout
from suite.launch.rllib.sampling import Arrival, RemoteSampler, lanes_of

WARM_UP_BLOCK = 64
"""Largest number of steps of the pool in one block before learning starts."""


class ActingAlgorithm(CheckpointedAlgorithm):
    """The half of `suite.launch.rllib.algorithm.NapDQN` that acts and remembers."""

    clock: Clock
    budget: int  # agent steps of the run

    @property
    def due(self) -> int:
        """Updates that the agent steps so far call for and that are not made yet."""
        raise NotImplementedError

    @property
    def _acting(self) -> bool:
        """Whether there are agent steps left, of the visit and of the run."""
        return self.agent_steps < min(self.visits.end, self.budget)

    @property
    def _ends_visit(self) -> bool:
        """Whether the visit has had its agent steps but is not closed yet."""
        return self.agent_steps >= self.visits.end and not self.visits.over

    def prepare(self) -> None:
        """Begin the next visit if one has ended, and fill a replay that a checkpoint left out."""
        if self.visits.over:
            self._enter()
        if self._missing:
            self._refill()

    @property
    def acts(self) -> bool:
        """Whether acting comes next: no update is due, and there are agent steps left."""
        return self._acting and self.due <= 0

    def _enter(self) -> None:
        """Begin the next visit, with what the switch to it leaves."""
        self.visits.begin()
        switch, visit = self.task.at_switch, self.visits.index
        if switch is None:
            if self.clock.priming:
                self._phase(0)
            return
        self.recorder.enter(self.visits.layer)
        self._phase(visit)
        if visit == 0:
            return
        self.sampler.enter(visit)
        if switch.clear_replay:
            self.ring.clear()
            self._missing = 0  # the visit has its own warm-up
        else:
            self.ring.cut()
        self.learning.switch(switch)
        if switch.fresh_network:
            self.recorder.record(self.gradient_steps, self.agent_steps, [("reset", "all", 1.0)])
        self.sampler.sync(self.learning.weights())

    def _phase(self, index: int) -> None:
        """Record that a phase of the clock begins."""
        self.recorder.record(self.gradient_steps, self.agent_steps, [("phase", "", float(index))])

    @property
    def _explored(self) -> int:
        """Agent steps so far, as epsilon counts them."""
        return self.agent_steps - self.task.explores_from(self.visits.index)

    def _refill(self) -> None:
        """Act until the replay holds as much as after a warm-up; nothing of it is counted."""
        taken = 0
        while taken < self._missing:
            steps = -(-(self._missing - taken) // self.task.all_lanes)
            for arrival in self.sampler.sample(min(WARM_UP_BLOCK, steps), self._explored):
                rollout = self._store(arrival)
                taken += 0 if rollout is None else rollout.agent_steps
        self._missing = 0
        if isinstance(self.sampler, RemoteSampler):  # what overlap has asked for already
            for arrival in self.sampler.drain():
                rollout = self._store(arrival)
                taken += 0 if rollout is None else rollout.agent_steps
        values = [("replay_refill", "", float(taken))]
        self.recorder.record(self.gradient_steps, self.agent_steps, values)

    def _store(self, arrival: Arrival) -> Rollout | None:
        """Take a runner's block into the replay and return it, or note that it was lost."""
        rollout = arrival.rollout
        if rollout is None:
            self.ring.cut(lanes_of(arrival, self.task.lanes))
            values = [("lost_block", f"runner {arrival.first_lane // self.task.lanes + 1}", 1.0)]
            self.recorder.record(self.gradient_steps, self.agent_steps, values)
            return None
        block = rollout.block
        if (clip := self.task.clip()) is not None:
            block = replace(block, rewards=block.rewards.clip(-clip, clip))
        self.ring.add(block, arrival.first_lane)
        return rollout

    def remember(self, arrival: Arrival) -> None:
        """Take a runner's block into the replay and count its steps."""
        if (rollout := self._store(arrival)) is None:
            return
        # Where the last step of all lanes takes more than is left of a visit, the rest is not
        # counted.
        self.agent_steps = min(self.agent_steps + rollout.agent_steps, self.visits.end)
        if rollout.games:
            self.visits.finished(rollout.games)
            self.recorder.finished(self.gradient_steps, self.agent_steps, rollout.games)

    def _take_in(self) -> None:
        """Remember what remote runners are just making, if agent steps are left to count it."""
        if isinstance(self.sampler, RemoteSampler):
            wanted = self._acting
            for arrival in self.sampler.drain():
                if wanted or arrival.rollout is None:
                    self.remember(arrival)

    def block(self) -> tuple[int, int]:
        """Return for how many steps of all lanes to act next, and agent steps for epsilon."""
        return self._steps_ahead(), self._explored

    def _steps_ahead(self) -> int:
        """Return for how many steps of all lanes to act before the next update can be due."""
        starts, lanes = self.task.learns_from(self.visits.index), self.task.all_lanes
        if self.agent_steps < starts:
            return min(WARM_UP_BLOCK, -(-(starts - self.agent_steps) // lanes))
        due = min(self.task.due(self.gradient_steps + 1), self.budget, self.visits.end)
        return max(1, (due - self.agent_steps) // lanes)
