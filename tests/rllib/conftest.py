"""RLlib's algorithms, small and in one process, and the batches that they learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

MODEL = {"fcnet_hiddens": [8, 8]}


class Stock:
    """One of RLlib's algorithms at a size for tests.

    Attributes:
        learner, module: RLlib's own classes.
        lr: base rate by optimizer.
    """

    def __init__(self, name: str) -> None:
        from ray.rllib.algorithms.dqn import DQNConfig
        from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import (
            DefaultDQNTorchRLModule,
        )
        from ray.rllib.algorithms.dqn.torch.dqn_torch_learner import DQNTorchLearner
        from ray.rllib.algorithms.impala import IMPALAConfig
        from ray.rllib.algorithms.impala.torch.impala_torch_learner import IMPALATorchLearner
        from ray.rllib.algorithms.ppo import PPOConfig
        from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import (
            DefaultPPOTorchRLModule,
        )
        from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
        from ray.rllib.algorithms.sac import SACConfig
        from ray.rllib.algorithms.sac.torch.default_sac_torch_rl_module import (
            DefaultSACTorchRLModule,
        )
        from ray.rllib.algorithms.sac.torch.sac_torch_learner import SACTorchLearner

        sac = {"policy": 0.002, "qf": 0.003, "qf_twin": 0.003}
        self.name = name
        self.environment = "Pendulum-v1" if name == "sac" else "CartPole-v1"
        self.lr = sac if name.startswith("sac") else {"default_optimizer": 0.003}
        known: dict[str, tuple[Any, Any, Any]] = {
            "ppo": (PPOTorchLearner, DefaultPPOTorchRLModule, PPOConfig),
            "dqn": (DQNTorchLearner, DefaultDQNTorchRLModule, DQNConfig),
            "sac": (SACTorchLearner, DefaultSACTorchRLModule, SACConfig),
            "sac_discrete": (SACTorchLearner, DefaultSACTorchRLModule, SACConfig),
            "impala": (IMPALATorchLearner, DefaultPPOTorchRLModule, IMPALAConfig),
        }
        self.learner, self.module, self._config = known[name]

    def config(self, learner: Any, module: Any = None, **training: Any) -> Any:
        """Return the algorithm's config with a learner and a module class."""
        from ray.rllib.core.rl_module.rl_module import RLModuleSpec

        config = self._config().environment(self.environment).debugging(seed=1, log_level="ERROR")
        config.env_runners(num_env_runners=0, rollout_fragment_length=32)
        config.rl_module(
            rl_module_spec=RLModuleSpec(module_class=module or self.module, model_config=MODEL)
        )
        off_policy: dict[str, Any] = {
            "train_batch_size_per_learner": 8,
            "num_steps_sampled_before_learning_starts": 32,
            "replay_buffer_config": {"type": "EpisodeReplayBuffer", "capacity": 1000},
        }
        own: dict[str, dict[str, Any]] = {
            "ppo": {
                "train_batch_size_per_learner": 64,
                "minibatch_size": 16,
                "num_epochs": 2,
                "use_kl_loss": False,
                "lr": 0.003,
            },
            "dqn": {**off_policy, "lr": 0.003, "target_network_update_freq": 16},
            "sac": {**off_policy, "actor_lr": 0.002, "critic_lr": 0.003, "alpha_lr": 0.004},
            "impala": {"train_batch_size_per_learner": 32, "lr": 0.003},
        }[self.name.removesuffix("_discrete")]
        if self.name == "impala":
            config.learners(num_learners=0, num_aggregator_actors_per_learner=0)
        if self.name in ("dqn", "sac", "sac_discrete"):
            config.env_runners(rollout_fragment_length=1)
            config.reporting(min_sample_timesteps_per_iteration=50)
        return config.training(learner_class=learner, **{**own, **training})

    def learner_of(self, config: Any) -> Any:
        """Return a learner of a config, built without the algorithm and without Ray."""
        import gymnasium
        import numpy as np
        from ray.rllib.core import DEFAULT_MODULE_ID

        env = gymnasium.make(self.environment)
        space: Any = env.action_space
        if isinstance(space, gymnasium.spaces.Box):  # as the algorithm's runner gives it
            space = gymnasium.spaces.Box(-1.0, 1.0, space.shape, np.float32)
        learner = config.build_learner(spaces={DEFAULT_MODULE_ID: (env.observation_space, space)})
        if not learner._is_built:
            learner.build()
        return learner


@pytest.fixture(params=["ppo", "dqn", "sac", "sac_discrete"])
def stock(request: pytest.FixtureRequest) -> Stock:
    """Each of the algorithms that learn in the process's own thread."""
    return Stock(request.param)


@pytest.fixture
def ppo() -> Stock:
    """PPO."""
    return Stock("ppo")


@pytest.fixture
def dqn() -> Stock:
    """DQN."""
    return Stock("dqn")


@pytest.fixture
def sac() -> Stock:
    """SAC with continuous actions."""
    return Stock("sac")


@pytest.fixture
def sac_discrete() -> Stock:
    """SAC with discrete actions."""
    return Stock("sac_discrete")


@pytest.fixture
def impala() -> Stock:
    """IMPALA, which learns in a thread."""
    return Stock("impala")


@pytest.fixture
def build(started_ray: None) -> Iterator[Callable[[Any], Any]]:
    """Return a function that builds an algorithm and gives it back with its local learner."""
    made: list[Any] = []

    def make(config: Any) -> Any:
        made.append(config.build_algo())
        return made[-1], made[-1].learner_group._learner

    yield make
    for algorithm in made:
        algorithm.stop()


@pytest.fixture
def batches() -> Callable[[Any], list[Any]]:
    """Return a function that makes a learner keep the minibatches of its updates."""

    def keep(learner: Any) -> list[Any]:
        from ray.rllib.policy.sample_batch import SampleBatch

        kept: list[Any] = []
        update = learner._update

        def spy(batch: Any) -> Any:
            kept.append({name: SampleBatch(dict(part)) for name, part in batch.items()})
            return update(batch)

        learner._update = spy
        return kept

    return keep
