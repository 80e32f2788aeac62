"""The learner of an algorithm of RLlib: the run's optimizer, and a known number of updates."""

from __future__ import annotations

from typing import Any, ClassVar

from suite.optimizers import OptimizerConfig
from suite.rl.stock_run import StockRun
from suite.rllib.control import ControlConfig
from suite.rllib.learner import controlled
from suite.rllib.part import Part
from suite.run_config import MetricsConfig


def learner_class(run: StockRun, stock: Any) -> Any:
    """Return a subclass of RLlib's learner that is under control as the run says.

    Raises:
        ConfigError: if the schedule does not fit the length of the run.
    """

    class Learner(stock):  # type: ignore[misc]
        optimizer_config: ClassVar[OptimizerConfig] = run.optimizer
        updates_per_batch: ClassVar[int] = run.agent.updates

        def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
            """Make the run's optimizer of all parameters of the module."""
            network = self.module[module_id].unwrapped()
            names = [name for name, p in network.named_parameters() if p.requires_grad]
            optimizer = self.optimizer_config.build(Part(network, names))
            params = [p for group in optimizer.param_groups for p in group["params"]]
            self.register_optimizer(module_id=module_id, optimizer=optimizer, params=params)

        def update(self, **kwargs: Any) -> Any:
            """Learn from a batch with as many updates as the agent says."""
            return super().update(**{**kwargs, "num_total_minibatches": self.updates_per_batch})

    Learner.__name__ = stock.__name__
    total = run.clock().total
    control = ControlConfig(
        total=total,
        agent_steps=run.batches * run.agent.batch,
        schedule=run.schedule,
        interventions=run.interventions,
        metrics=MetricsConfig(
            names=run.metric_names,
            every=run.metrics.every,
            spacing=run.metrics.spacing,
            interval=run.metrics.interval,
        ),
    )
    return controlled(Learner, control)
