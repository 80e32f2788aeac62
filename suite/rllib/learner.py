"""Learners of RLlib whose updates are under control of the effective learning rate."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from ray.rllib.algorithms.algorithm_config import TorchCompileWhatToCompile
from ray.rllib.algorithms.impala.impala_learner import IMPALALearner
from ray.rllib.core import ALL_MODULES
from ray.rllib.core.learner.learner import DEFAULT_OPTIMIZER
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.utils import update_target_network
from ray.rllib.core.rl_module.apis import TargetNetworkAPI
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from suite.errors import ConfigError
from suite.interventions.base import InterventionConfig
from suite.rllib.control import ControlConfig, ModuleControl, OptimizerControl
from suite.rllib.part import Part, names_of
from suite.run_config import MetricsConfig
from suite.schedules.base import AdaptiveSchedule, ScheduleConfig
from suite.seeding import Seeds

CONTROL = "elr_control"
"""Key of the suite's part of the learner's state."""

RESULTS = "nap"
"""Key of the suite's part of a module's results."""


class ControlledLearner(TorchLearner):
    """Base of the classes that `nap_learner` makes.

    Attributes:
        control: what was asked for.
        controls: by the id of the module.
    """

    control: ClassVar[ControlConfig]
    controls: dict[str, ModuleControl]

    def build(self) -> None:
        """Build the learner as the base does, and the controls with its optimizers.

        Raises:
            ConfigError: if RLlib's config asks for what cannot be combined, or no optimizer of the
                base can be controlled.
        """
        self._check()
        self.controls = {}
        self._losses: dict[str, Tensor] = {}
        self._lock = threading.RLock()  # IMPALA updates in a thread of its own
        super().build()
        if not self.controls:
            expected = "a Learner whose optimizers of networks are registered module by module"
            raise ConfigError("base", type(self).__bases__[-1].__name__, expected)

    def _check(self) -> None:
        config: Any = self.config
        whole = TorchCompileWhatToCompile.COMPLETE_UPDATE
        if config.torch_compile_learner and config.torch_compile_learner_what_to_compile == whole:
            expected = "forward_train: hooks around the update cannot be compiled"
            raise ConfigError("torch_compile_learner_what_to_compile", whole, expected)
        if config._torch_lr_scheduler_classes:
            given = config._torch_lr_scheduler_classes
            raise ConfigError("_torch_lr_scheduler_classes", given, "None: see schedule=")
        if config._torch_grad_scaler_class:
            given = config._torch_grad_scaler_class
            raise ConfigError("_torch_grad_scaler_class", given, "None: gradients as they are")
        if config.num_learners > 1:
            if isinstance(self.control.build_schedule(), AdaptiveSchedule):
                expected = f"at most 1: {self.control.schedule.kind} looks at the loss of one"
                raise ConfigError("num_learners", config.num_learners, expected)
            if config.is_multi_agent:
                expected = "at most 1 with several modules: they would count different steps"
                raise ConfigError("num_learners", config.num_learners, expected)

    def register_optimizer(
        self,
        *,
        module_id: str = ALL_MODULES,
        optimizer_name: str = DEFAULT_OPTIMIZER,
        optimizer: torch.optim.Optimizer,
        params: Sequence[Tensor],
        lr_or_lr_schedule: Any = None,
    ) -> None:
        """Register an optimizer; RLlib is given no rate of one that is controlled.

        Raises:
            ConfigError: if the rate of one that is controlled is not one number.
        """
        if self._controlled(module_id, optimizer_name, params):
            if lr_or_lr_schedule is not None:
                if not isinstance(lr_or_lr_schedule, int | float):
                    expected = "one number: schedule= of nap_learner says how it changes"
                    raise ConfigError("lr", lr_or_lr_schedule, expected)
                self._set_optimizer_lr(optimizer, lr_or_lr_schedule)
            lr_or_lr_schedule = None
        super().register_optimizer(
            module_id=module_id,
            optimizer_name=optimizer_name,
            optimizer=optimizer,
            params=params,
            lr_or_lr_schedule=lr_or_lr_schedule,
        )

    def _controlled(self, module_id: str, name: str, params: Sequence[Tensor]) -> bool:
        """Return whether an optimizer trains networks of its module, and is asked for."""
        if module_id not in self.module or not names_of(self._network(module_id), params):
            return False
        return self.control.optimizers is None or name in self.control.optimizers

    def _network(self, module_id: str) -> nn.Module:
        network: Any = self.module[module_id].unwrapped()
        assert isinstance(network, nn.Module)
        return network

    def _ids(self) -> list[str]:
        return list(self.module.keys())

    def _trained(self, optimizer: torch.optim.Optimizer) -> list[Tensor]:
        return cast("list[Tensor]", self._optimizer_parameters[optimizer])

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Make the module's optimizers as the base does, then what controls them.

        Raises:
            ConfigError: if an optimizer that is asked for trains no network of the module, or an
                intervention does not fit the network.
        """
        super().configure_optimizers_for_module(module_id, config)
        optimizers = {
            name.removeprefix(f"{module_id}_"): optimizer
            for name, optimizer in self.get_optimizers_for_module(module_id)
        }
        parts = {}
        for name, optimizer in optimizers.items():
            params = self._trained(optimizer)
            if self._controlled(module_id, name, params):
                parts[name] = self._control(module_id, name, optimizer, params)
        for name in self.control.optimizers or ():
            if name not in parts:
                known = ", ".join(sorted(optimizers))
                raise ConfigError("optimizers", name, f"of {known} those that train a network")
        if parts:
            self.controls[module_id] = ModuleControl(self.control, parts)

    def _control(
        self, module_id: str, name: str, optimizer: torch.optim.Optimizer, params: Sequence[Tensor]
    ) -> OptimizerControl:
        network = self._network(module_id)
        names = names_of(network, params)
        seeds = Seeds(f"rllib/{module_id}/{name}", self.config.seed or 0)

        def fresh(index: int) -> Part:
            args, kwargs = network.get_ctor_args_and_kwargs()  # type: ignore[operator]
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seeds.seed(f"reset/{index}"))
                return Part(type(network)(*args, **kwargs), names)

        return OptimizerControl(self.control, optimizer, Part(network, names), seeds, fresh)

    def remove_module(self, module_id: str, **kwargs: Any) -> Any:
        """Remove a module, and what controls it."""
        self.controls.pop(module_id, None)
        return super().remove_module(module_id, **kwargs)

    def compute_gradients(self, loss_per_module: dict[str, Any], **kwargs: Any) -> Any:
        """Return gradients of the algorithm's and the interventions' losses, by parameter."""
        gradients = super().compute_gradients(loss_per_module, **kwargs)
        self._losses = {}
        if gradients:
            self._losses = {i: x.detach() for i, x in loss_per_module.items() if i in self.controls}
        for module_id in self._losses:
            self.controls[module_id].add_gradients(gradients)
        return gradients

    def apply_gradients(self, gradients_dict: Mapping[Any, Tensor | None]) -> None:
        """Make one step of every optimizer, with what the suite does before and after it."""
        with self._lock:
            for ref, gradient in gradients_dict.items():
                self._params[ref].grad = gradient
            for module_id in self._losses:
                self.controls[module_id].begin()
            given = {ref: self._params[ref].grad for ref in gradients_dict}
            super().apply_gradients({ref: g for ref, g in given.items() if g is not None})
            for module_id, loss in self._losses.items():
                for part in self.controls[module_id].end(loss):
                    self._copy_targets(module_id, part)
            self._losses = {}

    def _copy_targets(self, module_id: str, part: Part) -> None:
        """Make the target networks of a part anew."""
        network = self._network(module_id)
        if not isinstance(network, TargetNetworkAPI):
            return
        reset = {id(p) for p in part.parameters()}
        for main, target in network.get_target_network_pairs():
            if any(id(p) in reset for p in main.parameters()):
                update_target_network(main_net=main, target_net=target, tau=1.0)

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Do what the base does between updates, then show rates and measurements."""
        super().after_gradient_based_update(timesteps=timesteps)
        if self.distributed and torch.distributed.get_rank() > 0:
            return  # all come to the same values, and RLlib takes one for the latest
        # What RLlib collects of several updates of a remote IMPALA it can only reduce.
        several = isinstance(self, IMPALALearner) and self.config.num_learners > 0
        for module_id, control in self.controls.items():
            for path, value in control.values():
                how: dict[str, Any] = {"reduce": "item"}
                if several:
                    counts = path[-1] in ("gradient_steps", "measured_at")
                    how = {"reduce": "max" if counts else "mean", "window": 1}
                self.metrics.log_value((module_id, RESULTS, *path), value, **how)

    def _set_optimizer_state(self, state: dict[str, Any]) -> None:
        super()._set_optimizer_state(state)
        for control in self.controls.values():
            for part in control.parts.values():
                part.label()  # a checkpoint of the base has no labels

    def _loose(self) -> dict[str, list[Tensor]]:
        """Return what optimizers train besides networks, such as SAC's temperature."""
        held = {id(p) for i in self._ids() for p in self._network(i).parameters()}
        return {
            name: [p for p in self._trained(optimizer) if id(p) not in held]
            for name, optimizer in self._named_optimizers.items()
        }

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return RLlib's state and, under `CONTROL`, all that is the suite's.

        With it come parameters that belong to no module and that RLlib leaves out of checkpoints.
        """
        with self._lock:
            state: dict[str, Any] = super().get_state(
                components, not_components=not_components, **kwargs
            )
            if self._check_component(CONTROL, components, not_components):
                own = {
                    "modules": {i: control.state_dict() for i, control in self.controls.items()},
                    "loose": {name: tensors for name, tensors in self._loose().items() if tensors},
                }
                state[CONTROL] = tree_map_only(Tensor, lambda t: t.detach().cpu().clone(), own)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`, whether it is older or newer than what was learnt here."""
        with self._lock:
            if CONTROL in state:
                self._weights_seq_no = 0  # else RLlib keeps weights that look newer
            super().set_state(state)
            if CONTROL not in state:
                return
            own = tree_map_only(Tensor, lambda t: t.to(self.device), state[CONTROL])
            for module_id, control in self.controls.items():
                if module_id in own["modules"]:
                    control.load_state_dict(own["modules"][module_id])
            for name, tensors in self._loose().items():
                for tensor, saved in zip(tensors, own["loose"].get(name, tensors), strict=True):
                    tensor.detach().copy_(saved)


def nap_learner(
    base: Any,
    *,
    total: int,
    schedule: str | Mapping[str, Any] | ScheduleConfig = "constant",
    interventions: Sequence[str | Mapping[str, Any] | InterventionConfig] = (),
    metrics: Sequence[str] | Mapping[str, Any] | MetricsConfig | None = None,
    optimizers: Sequence[str] | None = None,
) -> Any:
    """Return a subclass of a Learner class with the suite's schedules, interventions and metrics.

    The rate of the update from gradient step t to t + 1 is ``lr * schedule(t)``. Every step of the
    optimizers counts, that is every minibatch, whatever the number of environment steps. `lr` is
    what the algorithm's config says, of SAC ``actor_lr`` and ``critic_lr``; it must be one number.
    Interventions act in their slots of each update, on the parameters of each optimizer separately;
    after a reset target networks are copied.

    Controlled are the optimizers that train networks: ``default_optimizer`` of most algorithms, and
    ``policy``, ``qf`` and ``qf_twin`` of SAC. What belongs to no network, such as SAC's
    temperature, keeps its own rate, and is neither projected nor decayed.

    Results have, under ``learners/<module>/nap``, ``gradient_steps`` and, by optimizer,
    ``learning_rate``, the metrics at the latest measurement, the step of that, and sums of events.

    Args:
        base: a subclass of ``TorchLearner``, such as ``PPOTorchLearner``.
        total: gradient steps of the run; fractions refer to it.
        schedule: by name, as a mapping as in a YAML file, or as a config.
        interventions: of the same forms; those that need passes through the network are refused.
        metrics: names, or a mapping or config with ``names`` and ``every``; norms and nominal ELR
            at every hundredth of the run by default.
        optimizers: names of those to control; all that train networks by default.

    Raises:
        ConfigError: if `base` is something else, or what is asked for is invalid. The learner
            raises one when it is built, if an intervention does not fit the network.
    """
    asked: dict[str, Any] = {"total": total, "schedule": schedule, "optimizers": optimizers}
    asked["interventions"] = list(interventions)
    if metrics is not None:
        plain = isinstance(metrics, Mapping | MetricsConfig)
        asked["metrics"] = metrics if plain else {"names": list(metrics)}
    return controlled(base, ControlConfig.from_mapping(asked))


def controlled(base: Any, control: ControlConfig) -> Any:
    """Return the subclass of a Learner class that `nap_learner` makes, from its config.

    Raises:
        ConfigError: if `base` is something else, or the schedule contradicts itself.
    """
    if not (isinstance(base, type) and issubclass(base, TorchLearner)):
        raise ConfigError("base", base, "a subclass of RLlib's TorchLearner")
    if issubclass(base, ControlledLearner):
        raise ConfigError("base", base, "a class that is not of nap_learner yet")
    control.build_schedule()
    body = {"control": control, "__doc__": f"{base.__name__} under control of the ELR."}
    return type(f"Nap{base.__name__}", (ControlledLearner, base), body)
