"""The agent's config: hyper-parameters of reinforcement learning other than the network's."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import SerializeAsAny

from suite.config import Component, one_of
from suite.models.head_spec import PLAIN, HeadSpec
from suite.registry import Registry


class AgentConfig(Component):
    """Base of every agent's config.

    Attributes:
        engine: which trainer it learns with.
    """

    engine: ClassVar[Literal["rl", "rllib"]] = "rl"

    @property
    def head(self) -> HeadSpec:
        """What the agent asks of the last layers of its network."""
        return PLAIN


AGENTS: Registry[type[AgentConfig]] = Registry("agent", "suite.agents")

AnyAgent = Annotated[SerializeAsAny[AgentConfig], one_of(AGENTS, shorthand=True)]
"""A field that holds any registered agent."""
