"""Optimizers: fused where PyTorch can, with one parameter group per factor on the rate.

A fused step of one group costs as much as of all parameters of a small network, so roles with the
same rate share a group. Every group has ``scale``, its factor on the rate in force, so that a
schedule is one number per step; and ``names``, so that rates can be logged by parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, SerializeAsAny
from torch import Tensor, nn

from suite.config import Component, one_of
from suite.errors import ConfigError
from suite.params import ParamRole, RoleName, classify
from suite.registry import Registry


class OptimizerConfig(Component):
    """Base of the optimizers' configs.

    Attributes:
        lr: base learning rate, which the schedule multiplies.
        rate_by_role: further factor on the rate of a role, such as ``{output: 0.1}``.
        normalised_updates: whether its steps are of a size that the gradient's does not matter to.
    """

    normalised_updates: ClassVar[bool] = True
    lr: Annotated[float, Field(gt=0)]
    rate_by_role: dict[RoleName, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer of all trainable parameters of `model`."""
        raise NotImplementedError

    def groups(self, model: nn.Module) -> list[dict[str, object]]:
        """Return one parameter group per factor on the rate, parameters by role in each.

        Raises:
            ConfigError: if no rate is above 0, or a role is none of the network.
        """
        named = {n: p for n, p in model.named_parameters() if p.requires_grad}
        roles = classify(model)
        factors: Mapping[str, float] = {str(k): v for k, v in self.rate_by_role.items()}
        present = {role.value for role in roles.values()}
        for role_name in factors:
            if role_name not in present:
                raise ConfigError(
                    f"optimizer.rate_by_role.{role_name}",
                    factors[role_name],
                    f"a role that this network has: {', '.join(sorted(present))}",
                )
        if all(factors.get(role, 1.0) == 0 for role in present):
            raise ConfigError("optimizer.rate_by_role", dict(factors), "a rate above 0 for a role")
        names: dict[float, list[str]] = {}
        for role in ParamRole:
            alike = names.setdefault(factors.get(role.value, 1.0), [])
            alike += [name for name in named if roles[name] is role]
        return [
            {"params": [named[n] for n in of], "names": of, "scale": scale, "lr": self.lr * scale}
            for scale, of in names.items()
            if of
        ]


OPTIMIZERS: Registry[type[OptimizerConfig]] = Registry("optimizer", "suite.optimizers")

AnyOptimizer = Annotated[SerializeAsAny[OptimizerConfig], one_of(OPTIMIZERS, default="adam")]
"""A field that holds any registered optimizer, Adam unless it says otherwise."""


class Adam(torch.optim.Adam):
    """``torch.optim.Adam``, whose fused step on a CPU is called without what surrounds it.

    Hooks, profiler marks and the grouping by device take several times as long as the step of a
    small network. Numbers, state and checkpoints are those of the base class.
    """

    _quick: _Quick | None = None

    def quick_step(self) -> None:
        """Do what ``step`` does."""
        hooked = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
        if hooked or self._quick is None or not self._quick.step(self.param_groups):
            self.step()  # which also begins the state of a parameter
            self._quick = None if hooked else _Quick.of(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from ``state_dict``."""
        super().load_state_dict(state_dict)
        self._quick = _Quick.of(self)


class _Quick:
    """The tensors of an Adam by group, found once.

    Its step counts are slices of one tensor, which are raised at once.

    Args:
        adam: whose state has begun; its step counts are replaced.
    """

    def __init__(self, adam: Adam) -> None:
        every = [p for group in adam.param_groups for p in group["params"]]
        states = [adam.state[p] for p in every]
        counts = torch.stack([state["step"] for state in states])
        self._counts = counts.numpy()
        for state, count in zip(states, counts.unbind(), strict=True):
            state["step"] = count
        self._known = [(state, state["step"]) for state in states]
        self._groups = []
        for group in adam.param_groups:
            own = [adam.state[p] for p in group["params"]]
            kept = [[state[key] for state in own] for key in ("exp_avg", "exp_avg_sq", "step")]
            self._groups.append((group["params"], *kept))

    @classmethod
    def of(cls, adam: Adam) -> _Quick | None:
        """Return it, or None if a state has not begun or is not on a CPU."""
        every = [p for group in adam.param_groups for p in group["params"]]
        return cls(adam) if all(p.is_cpu and p in adam.state for p in every) else None

    def step(self, groups: list[dict[str, Any]]) -> bool:
        """Make a step of all groups, unless the state is no longer the one that was found.

        Returns:
            Whether it was made; not if it is another state, or if a gradient is missing.
        """
        if len(groups) != len(self._groups):
            return False
        gradients = []
        for group, (parameters, *_) in zip(groups, self._groups, strict=True):
            own = [p.grad for p in parameters]
            if group["params"] is not parameters or any([g is None for g in own]):
                return False
            gradients.append(own)
        if not all([state["step"] is step for state, step in self._known]):
            return False
        self._counts += 1
        was = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)  # a context of no_grad takes longer
        try:
            for group, own, (parameters, means, squares, counts) in zip(
                groups, gradients, self._groups, strict=True
            ):
                torch._fused_adam_(
                    parameters,
                    own,
                    means,
                    squares,
                    [],
                    counts,
                    lr=group["lr"],
                    beta1=group["betas"][0],
                    beta2=group["betas"][1],
                    weight_decay=0.0,
                    eps=group["eps"],
                    amsgrad=False,
                    maximize=False,
                )
        finally:
            torch._C._set_grad_enabled(was)
        return True


@OPTIMIZERS.register("adam")
class AdamConfig(OptimizerConfig):
    """Adam (Kingma and Ba 2015); for weight decay use the intervention `weight_decay`."""

    kind: Literal["adam"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: Annotated[float, Field(gt=0)] = 1e-8

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return a fused ``torch.optim.Adam``."""
        betas = (self.beta1, self.beta2)
        return Adam(self.groups(model), betas=betas, eps=self.eps, fused=True)


@OPTIMIZERS.register("sgd")
class SgdConfig(OptimizerConfig):
    """Stochastic gradient descent, optionally with heavy-ball or Nesterov momentum."""

    normalised_updates: ClassVar[bool] = False
    kind: Literal["sgd"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return a fused ``torch.optim.SGD``."""
        return torch.optim.SGD(
            self.groups(model), momentum=self.momentum, nesterov=self.nesterov, fused=True
        )


def step_of(optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
    """Return the call that makes a step, the quickest that the optimizer has."""
    return optimizer.quick_step if isinstance(optimizer, Adam) else optimizer.step


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Put the rate in force into every group, times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return the rate in force by parameter name, read from the groups."""
    return {name: group["lr"] for group in optimizer.param_groups for name in group["names"]}


def clear_state(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Zero in place all that the optimizer remembers of `parameters`: moments and step counts.

    The next update is then what it would be with a new optimizer.
    """
    for parameter in parameters:
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor):
                value.zero_()


def clear_moments(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, mask: Tensor) -> None:
    """Zero in place the moments of those elements of `parameter` where `mask` is true.

    The step count stays, for the parameter has only one.

    Args:
        optimizer: it holds the moments.
        parameter: whose.
        mask: booleans that broadcast to the parameter's shape.
    """
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value.masked_fill_(mask, 0.0)


def split_groups(optimizer: torch.optim.Optimizer) -> None:
    """Give every parameter its own group, in place; order and settings stay."""
    optimizer.param_groups[:] = [
        {**group, "params": [parameter], "names": [name]}
        for group in optimizer.param_groups
        for parameter, name in zip(group["params"], group["names"], strict=True)
    ]
