"""The two-layer ReLU network of Lyu et al. 2024 (section 2) on pairs, alone and many runs at once.

::

    f(x, y) = W2 ReLU(W1 [onehot(x), onehot(y)] + b)         W1 (h, 2p), W2 (p, h)

The product with a one-hot code is a column of W1, so the hidden layer is a sum of two columns and
most of the work is the product with W2. All pairs of a training set are distinct, and the two
halves of W1 differ, so nothing else can be shared between examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, ModelConfig, ModelSpec, modulus_of
from suite.models.batched import BatchedModel, Parameters
from suite.models.row_sums import sum_of_rows


class PairLinear(nn.Linear):
    """A linear map of two concatenated one-hot codes, given as integers: a sum of two columns.

    Args:
        modulus: p, the length of a code.
        width: number of outputs.
        bias: whether one is added.
    """

    def __init__(self, modulus: int, width: int, bias: bool) -> None:
        super().__init__(2 * modulus, width, bias=bias)
        self.modulus = modulus

    def forward(self, pairs: Tensor) -> Tensor:
        """Return (batch, width) for pairs (batch, 2) of integers below p."""
        rows = torch.stack([pairs[:, 0], pairs[:, 1] + self.modulus], 1)
        outputs = sum_of_rows(self.weight.T.contiguous(), rows)
        return outputs if self.bias is None else outputs + self.bias


class PairRelu(nn.Module):
    """``W2 ReLU(W1 [onehot(x), onehot(y)] + b)``; homogeneous of degree 2 in (W1, b, W2).

    W1 starts with standard deviation ``sqrt(2 / 2p)`` (He et al. 2015) and W2 with ``1 / sqrt(h)``,
    both times `scale`; b starts at 0.

    Args:
        modulus: p.
        width: h.
        scale: alpha, on both matrices.
        zero_output: start W2 at 0, and so the outputs.
        bias: whether there is b.
    """

    homogeneity = 2
    output_layers = ("readout",)

    def __init__(
        self, modulus: int, width: int, scale: float, zero_output: bool, bias: bool
    ) -> None:
        super().__init__()
        self.hidden = PairLinear(modulus, width, bias)
        self.activation = nn.ReLU()
        self.readout = nn.Linear(width, modulus, bias=False)
        nn.init.normal_(self.hidden.weight, std=scale / math.sqrt(modulus))
        nn.init.normal_(self.readout.weight, std=scale / math.sqrt(width))
        if zero_output:
            nn.init.zeros_(self.readout.weight)
        if bias:
            nn.init.zeros_(self.hidden.bias)

    def forward(self, pairs: Tensor) -> Tensor:
        """Return logits (batch, p) for pairs (batch, 2) of integers below p."""
        logits: Tensor = self.readout(self.activation(self.hidden(pairs)))
        return logits


class BatchedPairRelu(BatchedModel):
    """Networks of one size; rows of a table for the hidden layer, batched products with W2."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None
        self._rows = (torch.empty(0), torch.empty(0))

    def _index(self, pairs: Tensor, runs: int, p: int) -> tuple[Tensor, Tensor]:
        """Return rows of the table of all runs, (runs * n,) for each operand."""
        if self._seen is not pairs:
            first = torch.arange(runs, device=pairs.device).mul_(2 * p).view(-1, 1)
            both = pairs.expand(runs, -1, 2)
            rows = (both[..., 0] + first, both[..., 1] + (first + p))
            self._seen, self._rows = pairs, (rows[0].flatten(), rows[1].flatten())
        return self._rows

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return logits (runs, n, p) for pairs (runs or 1, n, 2)."""
        w1, w2 = parameters["hidden.weight"], parameters["readout.weight"]
        runs, width, columns = w1.shape
        x, y = self._index(inputs, runs, columns // 2)
        table = w1.mT
        if (bias := parameters.get("hidden.bias")) is not None:
            table = table + bias.unsqueeze(1) / 2  # each pair takes two rows
        table = table.reshape(-1, width)
        hidden = table.index_select(0, x).add_(table.index_select(0, y)).relu_()
        hidden = hidden.view(runs, -1, width)
        return hidden @ w2.mT, hidden

    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradient of ``sum(output_gradients * logits)``."""
        w2, hidden = parameters["readout.weight"], context
        runs, width, columns = parameters["hidden.weight"].shape
        of_hidden = (output_gradients @ w2).mul_(hidden > 0)
        gradients = {"readout.weight": output_gradients.mT @ hidden}
        flat = of_hidden.view(-1, width)
        of_table = flat.new_zeros(runs * columns, width)
        for rows in self._index(inputs, runs, columns // 2):
            of_table.index_add_(0, rows, flat)
        gradients["hidden.weight"] = of_table.view(runs, columns, width).mT
        if "hidden.bias" in parameters:
            gradients["hidden.bias"] = of_hidden.sum(1)
        return gradients


@MODELS.register("pair_relu")
class PairReluConfig(ModelConfig):
    """Two-layer ReLU network on pairs of integers (Lyu et al. 2024, Fig. 2).

    The paper's width is 1,024.

    Attributes:
        width: h.
        scale: alpha, a factor on the start of both matrices; 1, 10 and 100 in Fig. 2b.
        zero_output: start W2 at 0, as in Fig. 2b.
        bias: whether the hidden layer has biases, from 0.
    """

    values: ClassVar[frozenset[str]] = frozenset({"scale", "zero_output"})
    kind: Literal["pair_relu"] = "pair_relu"
    width: Annotated[int, Field(ge=1)] = 1024
    scale: Annotated[float, Field(gt=0)] = 1.0
    zero_output: bool = False
    bias: bool = True

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, 2) integers, outputs (batch, modulus).

        Raises:
            ConfigError: if they are not the task's.
        """
        return PairRelu(modulus_of(self, spec), self.width, self.scale, self.zero_output, self.bias)

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel:
        """Return the closed form."""
        return BatchedPairRelu()
