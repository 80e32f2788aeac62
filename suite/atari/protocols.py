"""Named protocols of Atari: how a game is started, played, cut and rewarded, with sources.

- ``rainbow2018``: Hessel et al. 2018 as DQN Zoo runs it (Quan & Ostrovski 2020), which is also what
  Lyle et al. 2024 follow: deterministic games after a random number of no-ops.
- ``dopamine``: Machado et al. 2018 as Dopamine runs it (Castro et al. 2018): sticky actions.
- ``atari100k``: 100,000 agent steps (Kaiser et al. 2020) under the settings of data-efficient
  Rainbow (van Hasselt et al. 2019), as Dopamine's labs/atari_100k and SPR run it.

How often to learn, and from when, depends on protocol and agent together. Each protocol has these
values only for the agents that were published with it. It sets nothing else of the agent: replay,
target copies and exploration belong to the agent, and evaluation has a separate key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple


class Sourced(NamedTuple):
    """A value and where it is from."""

    value: Any
    source: str


@dataclass(frozen=True)
class Protocol:
    """One protocol.

    Attributes:
        sourced: value and source by key of `suite.tasks.atari.AtariConfig`.
        paces: value and source of `utd` and `learning_starts`, by kind of agent. A task that is
            built without an agent has those of the first.
        agent_steps: length of a run that names none; None where the protocol leaves it open.
    """

    sourced: Mapping[str, Sourced]
    paces: Mapping[str, Mapping[str, Sourced]]
    agent_steps: Sourced | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The values alone, by key."""
        return {key: value for key, (value, _) in self.sourced.items()}

    @property
    def own_pace(self) -> dict[str, Any]:
        """The values of the protocol's own agent."""
        return {key: value for key, (value, _) in next(iter(self.paces.values())).items()}


_HESSEL = "Hessel et al. 2018, table of preprocessing"
_ZOO = "DQN Zoo, gym_atari.py"
_ZOO_RUN = "DQN Zoo, rainbow/run_atari.py"
_DOPAMINE = "Dopamine, discrete_domains/atari_lib.py"
_DOPAMINE_GIN = "Dopamine, jax/agents/dqn/configs/dqn.gin"
_DOPAMINE_RAINBOW = "Dopamine, jax/agents/rainbow/configs/rainbow.gin"
_DER = "van Hasselt et al. 2019, appendix E"
_DER_GIN = "Dopamine, labs/atari_100k/configs/DER.gin"
_SPR = "SPR, src/rlpyt_atari_env.py"

DEFAULT: Final = "rainbow2018"
"""The protocol of a config that names none."""

PROTOCOLS: dict[str, Protocol] = {
    "rainbow2018": Protocol(
        {
            "frame_skip": Sourced(4, f"{_HESSEL}: action repetitions"),
            "sticky": Sourced(0.0, f"{_ZOO}: repeat_action_probability"),
            "life_loss_ends_bootstrap": Sourced(True, f"{_HESSEL}: terminal on loss of life"),
            "clip_rewards": Sourced(True, f"{_HESSEL}: reward clipping to [-1, 1]"),
            "noop_max": Sourced(30, f"{_ZOO_RUN}: 1 to 30 no-ops (Mnih et al. 2015)"),
            "fire_on_reset": Sourced(False, f"{_ZOO}: nothing but no-ops before the agent acts"),
            "full_action_space": Sourced(False, f"{_ZOO}: full_action_space"),
            "max_episode_frames": Sourced(108_000, f"{_HESSEL}: max frames per episode"),
        },
        paces={
            "dqn": {
                "utd": Sourced(0.25, "DQN Zoo, dqn/run_atari.py: learn_period, 16 frames"),
                "learning_starts": Sourced(
                    50_000,
                    "DQN Zoo, dqn/run_atari.py: min_replay_capacity_fraction, 0.05 of a million; "
                    "200,000 frames (Mnih et al. 2015: replay start size)",
                ),
            },
            "rainbow": {
                "utd": Sourced(0.25, f"{_ZOO_RUN}: learn_period, 16 frames"),
                "learning_starts": Sourced(
                    20_000,
                    "Hessel et al. 2018, table 1: min history to start learning, 80,000 frames",
                ),
            },
        },
    ),
    "dopamine": Protocol(
        {
            "frame_skip": Sourced(4, f"{_DOPAMINE}: frame_skip"),
            "sticky": Sourced(0.25, "Machado et al. 2018; gym's NoFrameskip-v0, dqn.gin"),
            "life_loss_ends_bootstrap": Sourced(False, f"{_DOPAMINE}: terminal_on_life_loss"),
            "clip_rewards": Sourced(True, "Dopamine, run_experiment.py: clip_rewards"),
            # Dopamine makes none. 1 is none with the back end ale; envpool makes at least one,
            # so its games begin one emulator frame later.
            "noop_max": Sourced(1, f"{_DOPAMINE}: reset, without no-ops"),
            "fire_on_reset": Sourced(False, f"{_DOPAMINE}: reset, without fire"),
            "full_action_space": Sourced(False, f"{_DOPAMINE}: the minimal set of gym's -v0"),
            "max_episode_frames": Sourced(
                108_000, f"{_DOPAMINE_GIN}: max_steps_per_episode, 27,000 agent steps"
            ),
        },
        paces={
            "dqn": {
                "utd": Sourced(0.25, f"{_DOPAMINE_GIN}: update_period, 4"),
                "learning_starts": Sourced(20_000, f"{_DOPAMINE_GIN}: min_replay_history"),
            },
            "rainbow": {
                "utd": Sourced(0.25, f"{_DOPAMINE_RAINBOW}: update_period, 4"),
                "learning_starts": Sourced(20_000, f"{_DOPAMINE_RAINBOW}: min_replay_history"),
            },
        },
    ),
    "atari100k": Protocol(
        {
            "frame_skip": Sourced(4, f"{_SPR}: frame_skip"),
            "sticky": Sourced(0.0, f"{_DER_GIN}: sticky_actions"),
            "life_loss_ends_bootstrap": Sourced(
                True, f"{_DER_GIN}: terminal_on_life_loss (Kaiser et al. 2020 play whole games)"
            ),
            "clip_rewards": Sourced(True, f"{_SPR}: clip_reward"),
            "noop_max": Sourced(30, f"{_SPR}: max_start_noops (8 in Kaiser et al. 2020)"),
            "fire_on_reset": Sourced(False, f"{_SPR}: reset, without fire"),
            "full_action_space": Sourced(False, f"{_SPR}: the minimal action set"),
            "max_episode_frames": Sourced(
                108_000, f"{_DER_GIN}: max_steps_per_episode, 27,000 agent steps"
            ),
        },
        paces={
            "der": {
                "utd": Sourced(1.0, f"{_DER}: an update every step; {_DER_GIN}: update_period"),
                "learning_starts": Sourced(1_600, f"{_DER}; {_DER_GIN}: min_replay_history"),
            },
        },
        agent_steps=Sourced(100_000, "Kaiser et al. 2020; 10 times 10,000 in DER.gin"),
    ),
}
"""Protocols by name."""
