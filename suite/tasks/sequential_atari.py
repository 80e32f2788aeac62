"""Atari games one after another, several times over: continual reinforcement learning.

The sequential ALE of Abbas et al. 2023 as Lyle et al. 2024 (section 5, Fig. 6 left) use it: one
network learns a game for a while, then the next, and later returns to each. The question is how its
later visits compare with those of a new network. Visits and their updates are those of
`suite.tasks.sequence`. All games have the full set of 18 actions, because they share the output
layer.

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

from pydantic import Field, field_validator

from suite.atari.scores import REFERENCES, human_normalised, normalised_range, score_range
from suite.atari.sets import GAME_SEQUENCES
from suite.clock import Duration
from suite.errors import ConfigError, nearest
from suite.ranges import ANY, Range, hull
from suite.tasks.atari import AtariConfig, AtariProtocolConfig, GameName
from suite.tasks.base import TASKS
from suite.tasks.sequence import RETURN, SequenceConfig

NORMALISED = "human_normalised_visit_return"
"""Beside `RETURN`; without a layer both are of the latest visit to every game."""


@TASKS.register("sequential_atari")
class SequentialAtariConfig(AtariProtocolConfig, SequenceConfig):
    """Several Atari games in sequence, each visited repeatedly: continual learning.

    Attributes:
        games: in the order of play, each once; or a name in `suite.atari.sets`.
        visits: how often the sequence is played; twice in Lyle et al. 2024.
        visit_length: 20 million frames there.
        full_action_space: always true, because the games share the output layer.
    """

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
    visit_length: Duration = Duration(frames=20_000_000)
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
    def layers(self) -> tuple[str, ...]:
        """The games."""
        return self.games

    @cached_property
    def environments_played(self) -> tuple[AtariConfig, ...]:
        """The tasks of the single games."""
        shared = {k: getattr(self, k) for k in AtariProtocolConfig.model_fields if k != "kind"}
        return tuple(AtariConfig(game=game, **shared) for game in self.games)

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
