"""The algorithm's config: RLlib's config, the run, and how to make the first from the second."""

from __future__ import annotations

from typing import Any, Self, cast

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.from_config import NotProvided
from ray.util.debug import log_once

from suite.errors import ConfigError
from suite.launch.plugins import plugins_in_use
from suite.launch.rllib.learner import NapLearner
from suite.launch.rllib.module import QModule
from suite.launch.rllib.runner import EnvPoolRunner
from suite.rl.run import RLRun
from suite.run_config import RunConfig

ITERATION = 1_000
"""Default number of agent steps in one call of ``train``."""


class NapDQNConfig(AlgorithmConfig):
    """Config of `suite.launch.rllib.algorithm.NapDQN`: RLlib's own, and the run.

    Attributes:
        run: the `suite.run_config.RunConfig`, as plain data.
        plugins: (name, source) of the user's own parts, which remote runners and learners load.
        iteration_agent_steps: agent steps of one call of ``train``, about.
        iteration_s: seconds after which a call of ``train`` ends sooner. RLlib's own work between
            two calls takes milliseconds, so neither should be small.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        if algo_class is None:
            from suite.launch.rllib.algorithm import NapDQN

            algo_class = NapDQN
        super().__init__(algo_class=algo_class)
        self.run: dict[str, Any] | None = None
        self.plugins: list[tuple[str, str]] = []
        self.iteration_agent_steps = ITERATION
        self.iteration_s = 1.0
        self.env_runner_cls = EnvPoolRunner  # type: ignore[assignment]  # RLlib types it None
        self.num_env_runners = 0
        self.num_learners = 0
        self.framework_str = "torch"
        self.log_level = "ERROR"
        self._dont_auto_sync_env_runner_states = True

    def training(
        self,
        *,
        run: Any = NotProvided,
        plugins: Any = NotProvided,
        iteration_agent_steps: Any = NotProvided,
        iteration_s: Any = NotProvided,
        **kwargs: Any,
    ) -> Self:
        """Set the run, as plain data, its plugins and the length of an iteration."""
        super().training(**kwargs)
        if run is not NotProvided:
            self.run = run
        if plugins is not NotProvided:
            self.plugins = plugins
        if iteration_agent_steps is not NotProvided:
            self.iteration_agent_steps = iteration_agent_steps
        if iteration_s is not NotProvided:
            self.iteration_s = iteration_s
        return self

    def validate(self) -> None:
        """Check that there is a run and that its parts fit together.

        Raises:
            ConfigError: if they do not.
        """
        log_once(
            f"{getattr(self.algo_class, '__name__', '')}_on_new_api_stack"
        )  # or RLlib warns of what is meant
        super().validate()
        if self.run is None:
            raise ConfigError("run", None, "a RunConfig as plain data")
        try:
            run = RLRun.of(RunConfig.from_mapping(self.run))
        except ConfigError as error:
            raise ConfigError(f"run.{error.key}", error.value, error.expected) from None
        run.check()

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Return the module of the run."""
        return RLModuleSpec(module_class=QModule, model_config={"run": self.run})

    def get_default_learner_class(self) -> type[NapLearner]:
        """Return the learner."""
        return NapLearner


def algorithm_config(run: RunConfig) -> NapDQNConfig:
    """Return the algorithm's config for a run.

    Raises:
        ConfigError: if the parts of the run do not fit together.
    """
    run = RLRun.of(run)
    config = (
        NapDQNConfig()
        .training(run=run.model_dump(mode="json"), plugins=plugins_in_use())
        .env_runners(
            num_env_runners=run.task.runners,
            num_envs_per_env_runner=run.task.lanes,
        )
        .fault_tolerance(restart_failed_env_runners=True)
        .learners(
            num_learners=run.resources.learners,
            num_gpus_per_learner=run.resources.gpus,
            add_default_connectors_to_learner_pipeline=False,  # the replay gives ready batches
        )
        .debugging(log_sys_usage=False)  # a thread that each run would wait for at its end
        .resources(num_cpus_for_main_process=cast("int", run.resources.cpus))
    )
    config.validate()
    return config
