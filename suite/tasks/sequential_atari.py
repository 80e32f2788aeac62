"""Atari games one after another, several times over: continual reinforcement learning.

The sequential ALE of Abbas et al. 2023 as Lyle et al. 2024 (section 5, Fig. 6 left) use it: one
network learns a game for a while, then the next, and later returns to each. The question is how its
later visits compare with those of a new network. With G games, each visited V times for L agent
steps, visit v = 0, ..., G V - 1 is to game v mod G and lasts exactly from agent step v L to (v + 1)
L. It has as many updates as a separate run of that length::

    updates(visit) = floor((L - learning_starts) * utd)

If the replay is kept, only the first visit waits for `learning_starts`. Each visit is a phase of
the clock, so a schedule of kind `task_aligned` restarts with it. All games have the full set of 18
actions, because they share the output layer.

References:
    Abbas, Zhao, Modayil, White, Machado 2023, Loss of Plasticity in Continual Deep Reinforcement
    Learning; Lyle et al. 2024, Normalization and effective learning rates in reinforcement
    learning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from suite.atari.scores import REFERENCES, human_normalised, normalised_range, score_range
from suite.atari.sets import GAME_SEQUENCES
from suite.clock import Clock, Duration
from suite.errors import ConfigError, nearest
from suite.ranges import ANY, Range, hull
from suite.tasks.atari import AtariConfig, AtariProtocolConfig, GameName
from suite.tasks.base import TASKS
from suite.tasks.switch import SwitchConfig

RETURN, NORMALISED = "visit_return", "human_normalised_visit_return"
"""Metrics of a finished visit; without a layer they are of the latest visit to every game."""


@TASKS.register("sequential_atari")
class SequentialAtariConfig(AtariProtocolConfig):
    """Several Atari games in sequence, each visited repeatedly: continual learning.

    Attributes:
        games: in the order of play, each once; or a name in `suite.atari.sets`.
        visits: how often the sequence is played; twice in Lyle et al. 2024.
        visit_length: length of each visit, in agent steps or frames; 20 million frames there.
        switch: what is reset between visits.
        full_action_space: always true, because the games share the output layer.
    """

    primary_metric: ClassVar[tuple[str, str]] = (RETURN, "")
    over_protocol: ClassVar[Mapping[str, Any]] = {"full_action_space": True}
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "sequential_atari",
            "games": ["breakout", "pong"],
            "visits": 1,
            "visit_length": {"agent_steps": 52},
            "utd": 0.5,
            "learning_starts": 40,
        },
        "model": {"kind": "nature_cnn", "hidden": 16, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 100, "target_every": 5},
    }
    kind: Literal["sequential_atari"] = "sequential_atari"
    games: Annotated[tuple[GameName, ...], Field(strict=False)]
    visits: Annotated[int, Field(ge=1, le=1000)] = 2
    visit_length: Duration = Duration(frames=20_000_000)
    switch: SwitchConfig = SwitchConfig()
    full_action_space: Literal[True] = True

    @field_validator("games", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """Replace the name of a sequence by its games.

        Raises:
            ConfigError: if there is none of that name.
        """
        if not isinstance(value, str):
            return value
        if value not in GAME_SEQUENCES:
            raise ConfigError("", value, f"a list of games, or {nearest(value, GAME_SEQUENCES)}")
        return GAME_SEQUENCES[value]

    @field_validator("games")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ConfigError("", list(value), "at least one game, each once; visits repeats them")
        return value

    @model_validator(mode="after")
    def _visits_learn(self) -> SequentialAtariConfig:
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
    def score(self) -> tuple[str, str]:
        """The mean over games of their latest visits, human-normalised if all can be."""
        return (NORMALISED if self._normalisable else RETURN), ""

    @property
    def score_unit(self) -> str:
        """None for what is human-normalised."""
        return "1" if self._normalisable else self.primary_unit

    @property
    def returns(self) -> Range:
        """What holds of the scores of every game, and of their mean."""
        return hull(score_range(game) for game in self.games)

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Those of returns, and on the human scale."""
        known = [game for game in self.games if game in REFERENCES]
        normalised = hull(normalised_range(game) for game in known) if known else ANY
        return {**super().ranges, NORMALISED: normalised}

    @property
    def _normalisable(self) -> bool:
        return set(self.games) <= REFERENCES.keys()

    @property
    def seed_key(self) -> str:
        """The games: arms with other lengths, ratios or switches start from the same weights."""
        return f"{self.kind}/{'/'.join(self.games)}"

    @property
    def label(self) -> str:
        """For instance ``sequence_of_5_games``."""
        return f"sequence_of_{len(self.games)}_games"

    @property
    def length(self) -> int:
        """Agent steps of a visit."""
        unit, value = self.visit_length.parts()
        return int(value) if unit == "agent_steps" else int(value) // self.frame_skip

    @property
    def all_visits(self) -> int:
        """Number of visits, to all games together."""
        return self.visits * len(self.games)

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

    @cached_property
    def _tasks(self) -> tuple[AtariConfig, ...]:
        shared = {k: getattr(self, k) for k in AtariProtocolConfig.model_fields if k != "kind"}
        return tuple(AtariConfig(game=game, **shared) for game in self.games)

    def played(self, visit: int) -> AtariConfig:
        """Return the task of a visit's game."""
        return self._tasks[visit % len(self.games)]

    def layer(self, visit: int) -> str:
        """Return the game of a visit."""
        return self.games[visit % len(self.games)]

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

    def visit_values(self, visit: int, latest: Mapping[str, float]) -> list[tuple[str, str, float]]:
        """Return what the rows say of a finished visit: metric, layer, value.

        A visit in which no game was finished is not a number, and so is a mean over games of whose
        latest visits one is: the row of an earlier visit would else be taken for the run's score.

        Args:
            visit: the one that has just ended.
            latest: mean return of the latest visit to each game; none where no game was finished.
        """
        known = {game: latest.get(game, math.nan) for game in self.games}
        game = self.layer(visit)
        values = [(RETURN, game, known[game])]
        if game in REFERENCES:
            values.append((NORMALISED, game, human_normalised(game, known[game])))
        if visit + 1 >= len(self.games):
            values.append((RETURN, "", sum(known.values()) / len(known)))
            if self._normalisable:
                scores = [human_normalised(game, value) for game, value in known.items()]
                values.append((NORMALISED, "", sum(scores) / len(scores)))
        return values
