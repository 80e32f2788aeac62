"""Deep Q-networks (Mnih et al. 2015) and their extensions, each switchable.

Double Q-learning (van Hasselt et al. 2016), dueling streams (Wang et al. 2016), n-step returns,
prioritised replay (Schaul et al. 2016), distributions over returns (Bellemare et al. 2017) and
noisy nets (Fortunato et al. 2018). Together they are Rainbow (Hessel et al. 2018).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from suite.agents.base import AGENTS, AgentConfig
from suite.clock import Duration
from suite.config import Config
from suite.errors import ConfigError
from suite.models.head_spec import HeadSpec


class EpsilonConfig(Config):
    """Share of random actions: `start`, then a straight line to `end`.

    Both values and the length are those of Mnih et al. 2015 and of DQN Zoo, whose line also begins
    when learning does.

    Attributes:
        start: share until learning starts.
        end: share after the line.
        anneal: length of the line, from the start of learning on; a fraction is of what is left
            there of the run, or of the visit where epsilon restarts with each.
    """

    start: Annotated[float, Field(ge=0, le=1)] = 1.0
    end: Annotated[float, Field(ge=0, le=1)] = 0.1
    anneal: Duration = Duration(agent_steps=1_000_000)


class DistributionConfig(Config):
    """Distributions over returns on fixed atoms (Bellemare et al. 2017, C51); theirs by default.

    Attributes:
        atoms: number of atoms.
        v_min: return of the first atom.
        v_max: return of the last atom.
    """

    atoms: Annotated[int, Field(ge=2)] = 51
    v_min: float = -10.0
    v_max: float = 10.0

    @model_validator(mode="after")
    def _bounds_fit(self) -> DistributionConfig:
        if self.v_min >= self.v_max:
            raise ConfigError("v_min", self.v_min, f"less than v_max = {self.v_max:g}")
        return self


class PrioritizedConfig(Config):
    """Proportional prioritised replay (Schaul et al. 2016), as in Hessel et al. 2018.

    A transition is drawn with probability ``u / N + (1 - u) p^exponent / sum(p^exponent)``, p the
    size of its latest error, and its loss weighted by ``(N P)^-beta`` over the batch's largest.

    Attributes:
        exponent: of the errors; 0.5 in Hessel et al. 2018.
        beta_start: correction for the uneven draws at the start; 0.4 there.
        beta_end: the same at the end of `anneal`; 1 there.
        anneal: length of the straight line between them, from the start of learning on.
        uniform_share: share u of draws that ignore the errors; 1e-3 in DQN Zoo.
        largest: bound on an error's size; 100 in DQN Zoo.
    """

    exponent: Annotated[float, Field(ge=0)] = 0.5
    beta_start: Annotated[float, Field(ge=0, le=1)] = 0.4
    beta_end: Annotated[float, Field(ge=0, le=1)] = 1.0
    anneal: Duration = Duration(fraction=1.0)
    uniform_share: Annotated[float, Field(ge=0, le=1)] = 1e-3
    largest: Annotated[float, Field(gt=0)] = 100.0


class QLearningConfig(AgentConfig):
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
        dueling: whether value and advantages have separate streams.
        distribution: learn distributions over returns; `loss` is then their cross-entropy.
        noisy: initial noise of the head's linear maps, in units of ``1 / sqrt(inputs)``.
        noise_bound: where the normal variables that noise is made of are truncated; 2 in DQN Zoo,
            nowhere in Fortunato et al. 2018.
        noisy_output_bias: whether the biases of the head's noisy output layers have means, as in
            Fortunato et al. 2018, or noise alone, as in DQN Zoo. (Without norm layers; with them
            there are no biases.)
        prioritized: draw transitions by their errors.
        replay_device: where frames are kept: in the ``host``'s memory, or on the ``learner``'s
            device, which must then have room for them.
        snapshot_gib: largest replay, in GiB, that a checkpoint keeps; null keeps any. Without its
            replay a restored run first acts, uncounted, until it has as much to learn from as the
            warm-up gave it, and does not continue to the last bit.
        precision: of the forward and backward passes; ``bf16`` is autocast, the parameters stay
            in fp32.
        compile: whether ``torch.compile`` compiles the networks' passes in updates. The first
            update of every process then takes a minute or so longer, and values differ from the
            uncompiled ones by rounding.
    """

    discount: Annotated[float, Field(ge=0, le=1)] = 0.99
    n_step: Annotated[int, Field(ge=1)] = 1
    double: bool = False
    batch_size: Annotated[int, Field(ge=1)] = 32
    replay_capacity: Annotated[int, Field(ge=1)] = 1_000_000
    target_every: Annotated[int, Field(ge=1)] = 2_500
    loss: Literal["huber", "mse"] = "huber"
    grad_clip: Annotated[float, Field(gt=0)] | None = None
    epsilon: EpsilonConfig = EpsilonConfig()
    dueling: bool = False
    distribution: DistributionConfig | None = None
    noisy: Annotated[float, Field(gt=0)] | None = None
    noise_bound: Annotated[float, Field(gt=0)] | None = None
    noisy_output_bias: bool = True
    prioritized: PrioritizedConfig | None = None
    replay_device: Literal["host", "learner"] = "host"
    snapshot_gib: Annotated[float, Field(ge=0)] | None = 2.0
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False

    @property
    def head(self) -> HeadSpec:
        """What the agent asks of the last layers of its network."""
        atoms = 1 if self.distribution is None else self.distribution.atoms
        if self.noisy is None:
            return HeadSpec(self.dueling, atoms)
        return HeadSpec(self.dueling, atoms, self.noisy, self.noise_bound, self.noisy_output_bias)

    @model_validator(mode="after")
    def _batch_fits(self) -> QLearningConfig:
        if self.replay_capacity < self.batch_size:
            raise ConfigError(
                "replay_capacity",
                self.replay_capacity,
                f"at least batch_size = {self.batch_size} transitions",
            )
        return self


@AGENTS.register("dqn")
class DqnConfig(QLearningConfig):
    """DQN with the settings of Mnih et al. 2015; parts of Rainbow can be switched on one by one."""

    kind: Literal["dqn"] = "dqn"
