"""Deep Q-networks (Mnih et al. 2015), with double Q-learning and n-step returns if asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from suite.agents.base import AGENTS, AgentConfig
from suite.clock import Duration
from suite.config import Config
from suite.errors import ConfigError


class EpsilonConfig(Config):
    """Share of random actions: `start`, then a straight line to `end`.

    Both values and the length are those of Mnih et al. 2015 and of DQN Zoo, whose line also begins
    when learning does.

    Attributes:
        start: share until learning starts.
        end: share after the line.
        anneal: length of the line, from the start of learning on.
    """

    start: Annotated[float, Field(ge=0, le=1)] = 1.0
    end: Annotated[float, Field(ge=0, le=1)] = 0.1
    anneal: Duration = Duration(agent_steps=1_000_000)


@AGENTS.register("dqn")
class DqnConfig(AgentConfig):
    """The agent's hyper-parameters; the update-to-data ratio and the warm-up are the task's.

    Attributes:
        discount: per agent step; 0.99 in Mnih et al. 2015.
        n_step: longest window of rewards; 1 in Mnih et al. 2015, 3 in Rainbow (Hessel et al. 2018).
        double: whether the online network selects the action that the target network values (van
            Hasselt et al. 2016); no in Mnih et al. 2015.
        batch_size: transitions per update; 32 in Mnih et al. 2015.
        replay_capacity: transitions kept; 1,000,000 in Mnih et al. 2015.
        target_every: gradient steps between copies to the target network. DQN Zoo copies every
            40,000 frames, which at its ratio of 1/4 are 2,500 updates; Mnih et al. 2015 name
            10,000 updates, or 10,000 agent steps as their code has it.
        loss: ``huber``, whose slope is the error clipped to [-1, 1] as in Mnih et al. 2015, or
            ``mse``; the mean over the batch.
        grad_clip: bound on the norm of the whole gradient, such as 10 in DQN Zoo's Rainbow; None
            in its DQN.
        epsilon: share of random actions.
    """

    kind: Literal["dqn"] = "dqn"
    discount: Annotated[float, Field(ge=0, le=1)] = 0.99
    n_step: Annotated[int, Field(ge=1)] = 1
    double: bool = False
    batch_size: Annotated[int, Field(ge=1)] = 32
    replay_capacity: Annotated[int, Field(ge=1)] = 1_000_000
    target_every: Annotated[int, Field(ge=1)] = 2_500
    loss: Literal["huber", "mse"] = "huber"
    grad_clip: Annotated[float, Field(gt=0)] | None = None
    epsilon: EpsilonConfig = EpsilonConfig()

    @model_validator(mode="after")
    def _batch_fits(self) -> DqnConfig:
        if self.replay_capacity < self.batch_size:
            raise ConfigError(
                "replay_capacity",
                self.replay_capacity,
                f"at least batch_size = {self.batch_size} transitions",
            )
        return self
