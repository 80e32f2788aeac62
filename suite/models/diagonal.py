"""The diagonal linear network of Lyu et al. 2024 (section 3.2.3), alone and as many runs at once.

::

    f(x) = sum_k (u_k^2 - v_k^2) x_k             u_k = v_k = A / sqrt(2 d) at the start

so that the parameters' norm is A at first and the output 0. The effective weight is ``u^2 - v^2``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, ModelConfig, ModelSpec, vector_of
from suite.models.batched import BatchedModel, Parameters
from suite.params import ParamRole


class DiagonalNetwork(nn.Module):
    """``x . (u^2 - v^2)``.

    Args:
        inputs: d.
        norm: A, the initial norm of (u, v).
    """

    homogeneity = 2
    param_roles: ClassVar[dict[str, ParamRole]] = {"u": ParamRole.WEIGHT, "v": ParamRole.WEIGHT}

    def __init__(self, inputs: int, norm: float) -> None:
        super().__init__()
        start = torch.full((inputs,), norm / math.sqrt(2 * inputs))
        self.u, self.v = nn.Parameter(start), nn.Parameter(start.clone())

    def weight(self) -> Tensor:
        """Return the effective weight (d,)."""
        return self.u**2 - self.v**2

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (batch, 1) for inputs (batch, d)."""
        return (x @ self.weight()).unsqueeze(-1)


class BatchedDiagonal(BatchedModel):
    """Diagonal networks of one size; runs that see the same inputs share one matrix product.

    With different inputs nothing is shared, and reading them takes almost all the time.
    """

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return outputs (runs, n) for inputs (runs or 1, n, d)."""
        weight = parameters["u"].square().addcmul_(parameters["v"], parameters["v"], value=-1)
        if len(inputs) == 1:
            return weight @ inputs[0].T, None
        return torch.stack([x @ w for x, w in zip(inputs, weight, strict=True)]), None

    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradient of ``sum(output_gradients * outputs)``."""
        if len(inputs) == 1:
            of_weight = output_gradients @ inputs[0]
        else:
            of_weight = torch.stack([s @ x for s, x in zip(output_gradients, inputs, strict=True)])
        of_weight.mul_(2)
        return {"u": of_weight * parameters["u"], "v": of_weight.mul_(parameters["v"]).neg_()}


@MODELS.register("diagonal")
class DiagonalConfig(ModelConfig):
    """Diagonal linear network: a linear map with weights u^2 - v^2 (Lyu et al. 2024).

    `initial_norm` is the norm A of all parameters; 128 in Fig. 1 of the paper.
    """

    random_start: ClassVar[bool] = False
    values: ClassVar[frozenset[str]] = frozenset({"initial_norm"})
    kind: Literal["diagonal"] = "diagonal"
    initial_norm: Annotated[float, Field(gt=0)] = 128.0

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, d), outputs (batch, 1)."""
        return DiagonalNetwork(vector_of(self, spec).shape[0], self.initial_norm)

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel:
        """Return the closed form."""
        return BatchedDiagonal()
