"""RLlib's config of a run: algorithm, networks, learner and environments."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from suite.launch.rllib.temporary import TemporaryFolder
from suite.launch.stock.learner import learner_class
from suite.rl.logged import Logged, opened
from suite.rl.stock_run import StockRun
from suite.rllib import nap_module

NAMES = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "gelu": "GELU"}
"""PyTorch's names of nonlinearities, which RLlib takes."""

REGISTERED = "rllib-single-agent-env-v0"
"""What RLlib's runner registers its environment as; where it is known, Gymnasium warns."""

SEEDS = 2**31 - 20_000
"""Seeds of RLlib, which adds the number of the lane."""


def algorithm_config(run: StockRun) -> Any:
    """Return the config of RLlib's algorithm for a run; nothing of it is remote."""
    task, agent, model = run.task, run.agent, run.model

    class Lane(Logged):
        def __init__(self, context: Any) -> None:
            env = opened(task.backend, task.env, task.kwargs, task.max_episode_steps)
            super().__init__(env, task.env)

    config = agent.stock()
    sizes = {
        "fcnet_hiddens": [model.width] * model.depth,
        "fcnet_activation": NAMES[model.activation],
        "vf_share_layers": getattr(agent, "shared", False),
    }
    stock = config.get_default_rl_module_spec().module_class
    module = nap_module(stock) if model.norm == "layer" else stock
    learner = learner_class(run, config.get_default_learner_class())
    config.environment(env=Lane, disable_env_checking=True)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=task.lanes)
    config.rl_module(rl_module_spec=RLModuleSpec(module_class=module, model_config=sizes))
    config.training(lr=run.optimizer.lr, **agent.arguments())
    config.learners(learner_class=learner, num_learners=0, num_gpus_per_learner=run.resources.gpus)
    config.debugging(seed=rllib_seed(run), log_level="ERROR", log_sys_usage=False)
    config.resources(num_cpus_for_main_process=cast("int", run.resources.cpus))
    stock_class = config.algo_class
    config.algo_class = type(stock_class.__name__, (TemporaryFolder, stock_class), {})
    config.validate()
    gymnasium.registry.pop(REGISTERED, None)
    return config


def rllib_seed(run: StockRun, part: str = "") -> int:
    """Return the seed that RLlib is given: of weights, actions, minibatches and environments.

    Args:
        run: the request.
        part: names a part of the run that has a seed of its own.
    """
    return run.seeds.seed(f"rllib {part}" if part else "rllib") % SEEDS
