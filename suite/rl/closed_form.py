"""Whether the gradients of an agent's loss have a closed form."""

from __future__ import annotations

from torch import nn

from suite.agents.dqn import QLearningConfig
from suite.models.chain import chain_layers


def plain_values(agent: QLearningConfig) -> bool:
    """Return whether the loss is one of action values in single precision, as it is written."""
    return agent.distribution is None and agent.precision == "fp32" and not agent.compile


def closed_form(agent: QLearningConfig, network: nn.Module) -> bool:
    """Return whether `suite.training.q_tensors` has the gradients of a network of this agent."""
    return plain_values(agent) and chain_layers(network) is not None
