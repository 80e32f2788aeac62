"""What is read of an environment before anything is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from suite.errors import ConfigError


@dataclass(frozen=True)
class Shown:
    """Spaces of one environment.

    Attributes:
        observations: Gymnasium's space of one observation.
        actions: number of actions.
        first_action: the environment's number of the first.
        time_limit: agent steps after which an episode is cut; None where only the environment
            itself knows.
    """

    observations: Any
    actions: int
    first_action: int
    time_limit: int | None


def read_actions(env: str, space: Any) -> tuple[int, int]:
    """Return the number of actions of a space, and the number of the first.

    Raises:
        ConfigError: if it has other than single discrete actions.
    """
    from gymnasium.spaces import Discrete

    if isinstance(space, Discrete):
        return int(space.n), int(space.start)
    wanted = f"an environment with discrete actions, for Q-learning; this one takes {space}"
    raise ConfigError("task.env", env, wanted)
