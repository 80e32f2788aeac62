"""Base of the tasks that are environments in sequence: the time of visits, and what they come to.

With G environments, each visited V times for L agent steps, visit v = 0, ..., G V - 1 is to
environment v mod G and lasts exactly from agent step v L to (v + 1) L. It has as many updates as a
separate run of that length::

    updates(visit) = floor((L - learning_starts) * utd)

If the replay is kept, only the first visit waits for `learning_starts`. Each visit is a phase of
the clock, so a schedule of kind `task_aligned` restarts with it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.tasks.rl import RLTaskConfig
from suite.tasks.switch import SwitchConfig

RETURN = "visit_return"
"""Metric of a finished visit; without a layer it is of the latest visits to several."""


class SequenceConfig(RLTaskConfig):
    """Several environments in sequence.

    Attributes:
        visits: how often the sequence is played.
        visit_length: length of each visit, in agent steps or frames.
        switch: what is reset between visits.
    """

    primary_metric: ClassVar[tuple[str, str]] = (RETURN, "")
    visits: Annotated[int, Field(ge=1, le=1000)] = 2
    visit_length: Duration
    switch: SwitchConfig = SwitchConfig()

    @property
    def score(self) -> tuple[str, str]:
        """What the latest visits came to, whether there are evaluations or not."""
        return self.primary_metric

    @property
    def layers(self) -> tuple[str, ...]:
        """The environments in the order of the sequence, as rows name them; each another name."""
        raise NotImplementedError

    @property
    def environments_played(self) -> tuple[RLTaskConfig, ...]:
        """The tasks of the single environments, in the order of the sequence."""
        raise NotImplementedError

    def played(self, visit: int) -> RLTaskConfig:
        """Return the task of a visit's environment."""
        return self.environments_played[visit % len(self.layers)]

    def layer(self, visit: int) -> str:
        """Return the environment of a visit."""
        return self.layers[visit % len(self.layers)]

    @model_validator(mode="after")
    def _visits_learn(self) -> Self:
        unit, value = self.visit_length.parts()
        if unit not in ("agent_steps", "frames"):
            expected = "agent steps or frames, as in {agent_steps: 20000}"
            raise ConfigError("visit_length", {unit: value}, expected)
        if not all(self._updates_within(visit, self.length) for visit in (0, 1)):
            raise ConfigError(
                "visit_length",
                {unit: value},
                f"more than learning_starts = {self.learning_starts} agent steps, enough for one "
                f"update at utd = {self.utd:g}",
            )
        return self

    @property
    def length(self) -> int:
        """Agent steps of a visit."""
        unit, value = self.visit_length.parts()
        return int(value) if unit == "agent_steps" else int(value) // self.frame_skip

    @property
    def all_visits(self) -> int:
        """Number of visits, to all environments together."""
        return self.visits * len(self.layers)

    def agent_steps(self, budget: Duration | None) -> int:
        """Return the length of the run, which the visits say.

        Raises:
            ConfigError: if there is also a budget.
        """
        if budget is not None:
            raise ConfigError(
                "budget",
                budget.model_dump(),
                "no budget: task.visits and task.visit_length set the length",
            )
        return self.all_visits * self.length

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock with a phase for each visit."""
        self.agent_steps(budget)
        starts = [self._updates_before(visit) for visit in range(self.all_visits + 1)]
        return Clock(
            starts[-1],
            tuple(starts[:-1]),
            agent_steps_per_step=1 / self.exact_utd,
            frames_per_agent_step=self.frame_skip,
            learning_starts=self.learning_starts,
            phase_agent_steps=self.length,
            waits_again=self.switch.clear_replay,
        )

    def updates(self, agent_steps: int) -> int:
        """Return the number of updates that are due after `agent_steps` agent steps."""
        visit, within = divmod(agent_steps, self.length)
        return self._updates_before(visit) + self._updates_within(visit, within)

    def due(self, update: int) -> int:
        """Return the agent steps after which the update is due, the first being number 1."""
        first, later = (self._updates_within(visit, self.length) for visit in (0, 1))
        visit = 0 if update <= first else 1 + (update - first - 1) // later
        return self.learns_from(visit) + self.steps_for(update - self._updates_before(visit))

    def _warm_up(self, visit: int) -> int:
        """Return the agent steps of a visit before its updates begin to be due."""
        return self.learning_starts if visit == 0 or self.switch.clear_replay else 0

    def _updates_within(self, visit: int, agent_steps: int) -> int:
        """Return the updates of a visit that are due after its first `agent_steps`."""
        return self.updates_for(agent_steps - self._warm_up(visit))

    def _updates_before(self, visit: int) -> int:
        """Return the updates of all visits before one."""
        if visit == 0:
            return 0
        first, later = (self._updates_within(v, self.length) for v in (0, 1))
        return first + (visit - 1) * later

    def epsilon_length(self, anneal: Duration, budget: Duration | None, visit: int = 0) -> int:
        """Return the length of a visit's line of epsilon in agent steps.

        A fraction is of what is left where the line begins: of the visit if it restarts with each,
        of the run if not.
        """
        if self.switch.restart_epsilon and anneal.fraction is not None:
            return round(anneal.fraction * (self.length - self._warm_up(visit)))
        return super().epsilon_length(anneal, budget)

    def evaluations(self, budget: Duration | None) -> list[int]:
        """Return when the policy is evaluated on the current game: as configured, and after visits.

        Evaluations are counted within a visit, and a fraction is of one.
        """
        if self.evaluation is None:
            return []
        length = every = self.length
        if (told := self.evaluation.every) is not None:
            if told.fraction is not None:
                every = round(told.fraction * length)
            else:
                every = self.in_agent_steps(told, budget, "task.evaluation.every")
        within = [*range(self.evaluation.at_least_one(every), length, every), length]
        return [visit * length + done for visit in range(self.all_visits) for done in within]

    @property
    def at_switch(self) -> SwitchConfig:
        """What is forgotten between visits."""
        return self.switch

    def visit_end(self, visit: int) -> int:
        """Return the agent steps of the run after which a visit is over."""
        return (visit + 1) * self.length

    def learns_from(self, visit: int) -> int:
        """Return the agent steps of the run after which a visit's updates begin to be due."""
        return visit * self.length + self._warm_up(visit)

    def explores_from(self, visit: int) -> int:
        """Return the agent steps of the run at which a visit's epsilon begins to count.

        Its line begins `learning_starts` later, which is where the visit's updates begin.
        """
        if not self.switch.restart_epsilon:
            return 0
        return self.learns_from(visit) - self.learning_starts

    def waited(self, agent_steps: int) -> int:
        """Return how many of the first `agent_steps` agent steps call for no updates."""
        visit, within = divmod(agent_steps, self.length)
        before = sum(self._warm_up(v) for v in range(visit))
        return before + min(within, self._warm_up(visit))
