"""Atari games of the Arcade Learning Environment (Bellemare et al. 2013; Mnih et al. 2015).

Frames are grey, 84 by 84, the maximum of the last two of `frame_skip` emulator frames; an
observation is a stack of four. Whatever is learnt from, returns that are reported are sums of the
game's own score over whole games, never per life.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from suite.agents.base import AgentConfig
from suite.atari.games import GAMES, pool_name
from suite.atari.protocols import DEFAULT, PROTOCOLS
from suite.atari.scores import score_range
from suite.clock import Duration
from suite.errors import ConfigError, nearest
from suite.models.base import ModelSpec
from suite.models.inputs import Frames
from suite.ranges import Range
from suite.tasks.base import TASKS
from suite.tasks.rl import RLTaskConfig, Utd

ACTIONS = 18
"""What a joystick with a button can do."""


def _kinds(agent: type[AgentConfig]) -> Iterator[str]:
    """Yield the kind of an agent, then those of the agents that it derives from."""
    for base in agent.__mro__:
        if issubclass(base, AgentConfig):
            kind = base.model_fields["kind"].default
            if isinstance(kind, str):
                yield kind


def _existing(game: str) -> str:
    if game not in GAMES:
        raise ConfigError("", game, nearest(game, GAMES))
    return game


GameName = Annotated[str, AfterValidator(_existing)]
"""A game's name, in lower case with underscores."""


MOST_FRAMES = 10_000
"""Of a decision, and idle ones at the start of a game."""


class AtariProtocolConfig(RLTaskConfig):
    """How Atari games are played; the defaults are those of Mnih et al. 2015 as DQN Zoo runs them.

    Attributes:
        protocol: what the keys from `frame_skip` on are unless they are given
            (`suite.atari.protocols`); the config holds the values themselves.
        backend: ``envpool``, or ``ale`` for the vector environment of ale-py.
        utd: the protocol's for the run's agent; 1/4 is one update per 16 emulator frames.
        learning_starts: the protocol's for the run's agent.
        frame_skip: emulator frames per agent step; the action is repeated.
        sticky: probability that the emulator repeats its last action (0.25 in Machado et al. 2018).
        life_loss_ends_bootstrap: whether values stop at a lost life; the game and the stack go on.
        clip_rewards: whether the rewards learnt from are clipped to [-1, 1].
        noop_max: bound on the idle emulator frames at the start of a game: 1 to `noop_max` of them
            in envpool, 0 to `noop_max` - 1 in ale, each as likely.
        fire_on_reset: whether a game that waits for the fire button is started by pressing it.
        full_action_space: all 18 actions rather than those the game uses.
        max_episode_frames: emulator frames after which a game is truncated, 30 minutes of play.
        over_protocol: what this kind of task needs, whatever the protocol says.
    """

    stack: ClassVar[int] = 4
    backends: ClassVar[tuple[str, ...]] = ("envpool", "ale")
    over_protocol: ClassVar[Mapping[str, Any]] = {}
    protocol: Literal["rainbow2018", "dopamine", "atari100k"] = DEFAULT
    utd: Utd = 0.25
    learning_starts: Annotated[int, Field(ge=1)] = 50_000
    frame_skip: Annotated[int, Field(ge=1, le=MOST_FRAMES)] = 4
    sticky: Annotated[float, Field(ge=0, lt=1)] = 0.0
    life_loss_ends_bootstrap: bool = True
    clip_rewards: bool = True
    noop_max: Annotated[int, Field(ge=1, le=MOST_FRAMES)] = 30
    fire_on_reset: bool = False
    full_action_space: bool = False
    max_episode_frames: Annotated[int, Field(ge=1)] = 108_000

    @model_validator(mode="before")
    @classmethod
    def _by_protocol(cls, data: Any) -> Any:
        """Fill in what the protocol says and the request does not.

        Raises:
            ConfigError: for a protocol that there is not.
        """
        if not isinstance(data, Mapping):
            return data
        name = data.get("protocol", DEFAULT)
        if not isinstance(name, str) or name not in PROTOCOLS:
            raise ConfigError("protocol", name, nearest(str(name), PROTOCOLS))
        protocol = PROTOCOLS[name]
        return {**protocol.values, **protocol.own_pace, **cls.over_protocol, **data}

    @model_validator(mode="after")
    def _check_limit(self) -> Self:
        if self.max_episode_frames < self.frame_skip:
            raise ConfigError(
                "max_episode_frames",
                self.max_episode_frames,
                f"at least frame_skip = {self.frame_skip}, one agent step",
            )
        return self

    @classmethod
    def for_agent(cls, request: Mapping[str, Any], agent: type[AgentConfig]) -> Mapping[str, Any]:
        """Return a request for a task with the pace that its protocol has for the agent.

        Raises:
            ConfigError: if it has none, and the request does not say it either.
        """
        name = request.get("protocol", DEFAULT)
        if not isinstance(name, str) or name not in PROTOCOLS:
            return request  # refused where it is read
        paces = PROTOCOLS[name].paces
        kinds = list(_kinds(agent))
        found = next((paces[kind] for kind in kinds if kind in paces), None)
        pace = {} if found is None else {key: value for key, (value, _) in found.items()}
        for key in ("utd", "learning_starts"):
            if key not in request and key not in pace:
                whose = ", ".join(paces)
                raise ConfigError(
                    key, None, f"a value: protocol {name} has none for {kinds[0]}, only for {whose}"
                )
        return {**pace, **request}

    def spec(self) -> ModelSpec:
        """Return a stack of frames, and the full set of actions: most games use fewer."""
        return ModelSpec(inputs=Frames((self.stack, 84, 84)), outputs=ACTIONS)

    def pool_options(self) -> dict[str, Any]:
        """Return the simulator's options: raw rewards, whole games, stacked frames."""
        return {
            "stack_num": self.stack,
            "frame_skip": self.frame_skip,
            "repeat_action_probability": self.sticky,
            "noop_max": self.noop_max,
            "use_fire_reset": self.fire_on_reset,
            "full_action_space": self.full_action_space,
            "episodic_life": False,
            "reward_clip": False,
        }

    @property
    def time_limit(self) -> int:
        """Agent steps after which a game is cut."""
        return self.max_episode_frames // self.frame_skip

    def clip(self) -> float | None:
        """Return 1 if rewards are clipped."""
        return 1.0 if self.clip_rewards else None

    def life_loss_stops(self) -> bool:
        """Return `life_loss_ends_bootstrap`."""
        return self.life_loss_ends_bootstrap


@TASKS.register("atari")
class AtariConfig(AtariProtocolConfig):
    """One game.

    Attributes:
        game: name, in lower case with underscores.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "atari", "game": "pong", "utd": 0.5, "learning_starts": 40},
        "model": {"kind": "nature_cnn", "hidden": 16, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 100, "target_every": 5},
        "budget": {"agent_steps": 64},
    }
    kind: Literal["atari"] = "atari"
    game: GameName

    @property
    def seed_key(self) -> str:
        """The game: arms with other ratios or protocols start from the same weights."""
        return f"{self.kind}/{self.game}"

    @property
    def default_budget(self) -> Duration | None:
        """The length of a run that the protocol lays down, if it does."""
        length = PROTOCOLS[self.protocol].agent_steps
        return None if length is None else Duration(agent_steps=length.value)

    @property
    def label(self) -> str:
        """For instance ``atari_breakout``."""
        return f"atari_{self.game}"

    @property
    def pool(self) -> str:
        """The simulator's name of the game."""
        return pool_name(self.game)

    @property
    def returns(self) -> Range:
        """The game's scores, if their bounds are known."""
        return score_range(self.game)
