"""Base of the tasks that are one environment with discrete actions, named by its id."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from suite.environments.wrap import WrapConfig
from suite.ranges import ANY, Range
from suite.tasks.base import Request
from suite.tasks.rl import RLTaskConfig

LONGEST = 2**31 - 2
"""Steps of an episode that simulators can count."""


class OneEnvironmentConfig(RLTaskConfig):
    """One environment, its decisions not repeated.

    A time limit truncates, so the return is bootstrapped beyond it.

    Attributes:
        env: id.
        max_episode_steps: time limit in agent steps; the environment's own by default.
        wrap: how the environment is changed.
    """

    later: ClassVar[frozenset[str]] = frozenset({"wrap"})
    env: str
    frame_skip: Literal[1] = 1
    max_episode_steps: Annotated[int, Field(ge=1, le=LONGEST)] | None = None
    wrap: WrapConfig = WrapConfig()

    @property
    def seed_key(self) -> str:
        """The environment: arms with other options, changes or ratios share their weights."""
        return f"{self.kind}/{self.env}"

    @property
    def label(self) -> str:
        """The environment's id, without a module, as names of tasks may be."""
        return self.env.rpartition(":")[2].replace("/", "_")

    @property
    def pool(self) -> str:
        """The environment's id."""
        return self.env

    @property
    def own_returns(self) -> Range:
        """Returns of an episode by the environment's own rewards."""
        return ANY

    @property
    def returns(self) -> Range:
        """Returns that an episode can have, of rewards as they are changed."""
        return self.wrap.returns(self.own_returns)

    def check(self, run: Request) -> None:
        """Check that the parts of a run of this task fit together.

        Raises:
            ConfigError: if they do not.
        """
        self.wrap.check(self.spec().inputs.shape)
        super().check(run)
