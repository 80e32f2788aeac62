"""The over-parametrised matrix of Lyu et al. 2024 (section 3.3.3), alone and as many runs at once.

::

    W = U U^T - V V^T             U = V = alpha I at the start, both (d, d)

Inputs are pairs of indices (i, j), the output is W_ij.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, ModelConfig, ModelSpec
from suite.models.batched import BatchedModel, Parameters
from suite.models.inputs import MatrixEntries
from suite.params import ParamRole


class MatrixFactors(nn.Module):
    """Entries of ``U U^T - V V^T``.

    Args:
        size: d.
        scale: alpha.
    """

    homogeneity = 2
    param_roles: ClassVar[dict[str, ParamRole]] = {"u": ParamRole.WEIGHT, "v": ParamRole.WEIGHT}

    def __init__(self, size: int, scale: float) -> None:
        super().__init__()
        self.u, self.v = (nn.Parameter(scale * torch.eye(size)) for _ in range(2))

    def matrix(self) -> Tensor:
        """Return W, (d, d)."""
        return self.u @ self.u.T - self.v @ self.v.T

    def forward(self, pairs: Tensor) -> Tensor:
        """Return entries (batch, 1) for pairs of indices (batch, 2)."""
        return self.matrix()[pairs[:, 0], pairs[:, 1]].unsqueeze(-1)


class BatchedFactors(BatchedModel):
    """Matrices of one size, all entries computed by batched products."""

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return entries (runs, n) for pairs of indices (runs or 1, n, 2)."""
        u, v = parameters["u"], parameters["v"]
        matrix = torch.baddbmm(u @ u.mT, v, v.mT, alpha=-1)
        flat = inputs[..., 0] * u.shape[-1] + inputs[..., 1]
        flat = flat.expand(len(u), -1)
        return matrix.flatten(1).gather(1, flat), flat

    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradient of ``sum(output_gradients * outputs)``."""
        u, v = parameters["u"], parameters["v"]
        of_matrix = (
            torch.zeros_like(u).flatten(1).scatter_add_(1, context, output_gradients).view_as(u)
        )
        of_matrix = of_matrix + of_matrix.mT
        return {"u": of_matrix @ u, "v": (of_matrix @ v).neg_()}


@MODELS.register("matrix_factors")
class MatrixFactorsConfig(ModelConfig):
    """Over-parametrised matrix U U^T - V V^T for matrix completion (Lyu et al. 2024, Fig. 3).

    `scale` is the initial scale alpha; 10 in the paper.
    """

    random_start: ClassVar[bool] = False
    values: ClassVar[frozenset[str]] = frozenset({"scale"})
    kind: Literal["matrix_factors"] = "matrix_factors"
    scale: Annotated[float, Field(gt=0)] = 10.0

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, 2) indices, outputs (batch, 1).

        Raises:
            ConfigError: if they are not the task's.
        """
        return MatrixFactors(self.take(spec, MatrixEntries).below, self.scale)

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel:
        """Return the closed form."""
        return BatchedFactors()
