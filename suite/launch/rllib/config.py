"""From a RunConfig to the config of the algorithm that RLlib runs."""

from __future__ import annotations

from suite.launch.rllib.algorithm import NapDQNConfig
from suite.run_config import RunConfig


def algorithm_config(run: RunConfig) -> NapDQNConfig:
    """Return the algorithm's config for a run.

    Raises:
        ConfigError: if the parts of the run do not fit together.
    """
    config = (
        NapDQNConfig()
        .training(run=run.model_dump(mode="json"))
        .env_runners(
            num_env_runners=run.task.runners,
            num_envs_per_env_runner=run.task.lanes,
        )
        .fault_tolerance(restart_failed_env_runners=True)
        .learners(num_learners=run.resources.learners, num_gpus_per_learner=run.resources.gpus)
        .resources(num_cpus_for_main_process=run.resources.cpus)
    )
    config.validate()
    return config
