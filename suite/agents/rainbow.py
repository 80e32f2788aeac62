"""Rainbow (Hessel et al. 2018) and its data-efficient form (van Hasselt et al. 2019), as presets.

Settings outside the agent are in `tune_configs/`: the optimizer (Adam, rate 6.25e-5, epsilon
1.5e-4), the update-to-data ratio, the warm-up and the network.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from suite.agents.base import AGENTS
from suite.agents.dqn import DistributionConfig, EpsilonConfig, PrioritizedConfig, QLearningConfig


class AllPartsConfig(QLearningConfig):
    """All the parts of `QLearningConfig` switched on, with the values of DQN Zoo's Rainbow.

    Those of Hessel et al. 2018, table 1, are the same except for the noise (0.5 there), the uniform
    share and the bound on errors (none there). The noise itself is plain, as in Fortunato et al.
    2018 and in Dopamine's data-efficient Rainbow.

    Attributes:
        n_step: 3.
        double: yes.
        target_every: 2,000: every 32,000 frames at one update per 16.
        grad_clip: 10, in DQN Zoo alone.
        epsilon: none; the noise explores, also before learning starts.
        dueling: yes.
        distribution: 51 atoms from -10 to 10.
        noisy: 0.1.
        prioritized: exponent 0.5, beta from 0.4 to 1 over the run.
    """

    n_step: Annotated[int, Field(ge=1)] = 3
    double: bool = True
    target_every: Annotated[int, Field(ge=1)] = 2_000
    grad_clip: Annotated[float, Field(gt=0)] | None = 10.0
    epsilon: EpsilonConfig = EpsilonConfig(start=0.0, end=0.0)
    dueling: bool = True
    distribution: DistributionConfig | None = DistributionConfig()
    noisy: Annotated[float, Field(gt=0)] | None = 0.1
    prioritized: PrioritizedConfig | None = PrioritizedConfig()


@AGENTS.register("rainbow")
class RainbowConfig(AllPartsConfig):
    """Rainbow: all parts of DQN switched on, with the values of DQN Zoo.

    Attributes:
        noise_bound: 2, only in DQN Zoo: its noise is made of truncated normal variables.
        noisy_output_bias: no, only in DQN Zoo: biases of its output layers have no means.
    """

    kind: Literal["rainbow"] = "rainbow"
    noise_bound: Annotated[float, Field(gt=0)] | None = 2.0
    noisy_output_bias: bool = False


@AGENTS.register("der")
class DerConfig(AllPartsConfig):
    """Data-efficient Rainbow, for 100,000 agent steps with one update each.

    Van Hasselt et al. 2019, appendix E: longer returns, a replay that keeps everything, and fewer
    target copies per update. The paper combines it with rate 1e-4, a warm-up of 1,600 agent steps
    and a smaller network (5x5 convolutions of stride 5 with 32 and 64 channels, streams of 256).

    Attributes:
        n_step: 20.
        target_every: 2,000 updates.
        replay_capacity: 100,000.
    """

    kind: Literal["der"] = "der"
    n_step: Annotated[int, Field(ge=1)] = 20
    replay_capacity: Annotated[int, Field(ge=1)] = 100_000
