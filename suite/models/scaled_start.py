"""Any network whose initial matrices are multiplied by a factor.

Names, structure and outputs for given weights do not change. A projection bound to this network
keeps the norms at `factor` times the usual initial norms. This separates the norm from the
effective learning rate: with Adam that is ``lr / |W|``, which a rate proportional to the factor
keeps fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.base import MODELS, Aside, ModelConfig, ModelSpec
from suite.models.batched import BatchedModel
from suite.models.wrapper import WrapperConfig
from suite.params import MATRIX_ROLES, ParamRole, Roles, classify


@MODELS.register("scaled_start")
class ScaledStartConfig(WrapperConfig):
    """Any model with its initial matrices multiplied by a factor.

    Attributes:
        factor: on its initial weights.
        roles: roles to scale; by default all matrices, but not gains, offsets and biases.
    """

    values: ClassVar[frozenset[str]] = frozenset({"factor"})
    kind: Literal["scaled_start"] = "scaled_start"
    factor: Annotated[float, Field(gt=0)] = 1.0
    roles: Roles = MATRIX_ROLES

    @property
    def norm(self) -> str:
        """The inner model's normalisation layers."""
        return getattr(self.inner, "norm", "none")

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the inner network; with the same draws its start is `factor` times the usual.

        Raises:
            ConfigError: if the inner model does not serve the spec, keeps a copy of its start, or
                has no parameter of a role.
        """
        model = self.build_inner(spec)
        if any(isinstance(module, Aside) for module in model.modules()):
            wanted = "a model without a copy of its start: scale the start inside it"
            raise ConfigError("model.inner.kind", self.inner.kind, wanted)
        roles, chosen = classify(model), {ParamRole(role) for role in self.roles}
        if not chosen & set(roles.values()):
            present = ", ".join(sorted(set(roles.values())))
            raise ConfigError("model.roles", list(self.roles), f"roles of this network: {present}")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if roles.get(name) in chosen:
                    parameter.mul_(self.factor)
        return model

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel | None:
        """Return the inner models' closed form, if they are of one kind and have one."""
        return cls.inner_batched(configs, like)
