"""Optimizers: fused where PyTorch can, with one parameter group per factor on the rate.

A fused step of one group costs as much as of all parameters of a small network, so roles with the
same rate share a group. Every group has ``scale``, its factor on the rate in force, so that a
schedule is one number per step; and ``names``, so that rates can be logged by parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

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
        return torch.optim.Adam(self.groups(model), betas=betas, eps=self.eps, fused=True)


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
