"""A network with a quadratic activation on pairs of integers (Gromov 2023; Kumar et al. 2024, 3).

::

    f(x, y) = V (u_x + v_y)^2 / (2 p N)            all weights N(0, 1), no biases

with N hidden units; u_x and v_y are the columns of the first map that the one-hot codes of x and y
pick, so the product with codes of length 2p is a sum of two columns.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, Activation, ModelConfig, ModelSpec
from suite.models.inputs import IntegerPairs


class Square(Activation):
    """``h^2``."""

    def forward(self, h: Tensor) -> Tensor:
        """Return the activations, shaped as given."""
        return h * h


class PairQuadratic(nn.Module):
    """``V (u_x + v_y)^2 / (2 p N)``.

    Args:
        modulus: p.
        outputs: rows of V.
        width: N.
    """

    def __init__(self, modulus: int, outputs: int, width: int) -> None:
        super().__init__()
        self.modulus, self.width = modulus, width
        self.hidden = nn.Linear(2 * modulus, width, bias=False)
        self.square = Square()
        self.readout = nn.Linear(width, outputs, bias=False)
        for layer in (self.hidden, self.readout):
            nn.init.normal_(layer.weight)

    def forward(self, pairs: Tensor) -> Tensor:
        """Return outputs (batch, outputs) for pairs (batch, 2) of integers below p."""
        columns = self.hidden.weight.T
        x, y = pairs.unbind(1)
        h = nn.functional.embedding(x, columns) + nn.functional.embedding(y + self.modulus, columns)
        outputs: Tensor = self.readout(self.square(h)) / (2 * self.modulus * self.width)
        return outputs


@MODELS.register("pair_quadratic")
class PairQuadraticConfig(ModelConfig):
    """Number N of hidden units; 100 in Kumar et al. 2024, Fig. 2."""

    kind: Literal["pair_quadratic"] = "pair_quadratic"
    width: Annotated[int, Field(ge=1)] = 100

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, 2) integers, outputs (batch, spec.outputs).

        Raises:
            ConfigError: if they are not the task's.
        """
        return PairQuadratic(self.take(spec, IntegerPairs).below, spec.outputs, self.width)
