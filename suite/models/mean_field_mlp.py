"""A ReLU network in the mean-field parametrisation (Kumar et al. 2024, Fig. 6a).

::

    h_1 = W_1 x / sqrt(d)       h_{l+1} = W_{l+1} relu(h_l) / sqrt(N)       f = V relu(h_L) / N

for d inputs and layers of N units, without biases, weights ``scale`` times N(0, 2 / fan-in). The
division by N at the output, where others divide by its root, makes features move as N grows.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, Depth, ModelConfig, ModelSpec
from suite.models.inputs import Floats


class MeanFieldMlp(nn.Module):
    """The network.

    Args:
        inputs: d.
        width: N.
        depth: L, hidden layers.
        outputs: rows of V.
        scale: factor on the initial weights.
    """

    def __init__(self, inputs: int, width: int, depth: int, outputs: int, scale: float) -> None:
        super().__init__()
        sizes = [inputs, *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(*pair, bias=False) for pair in pairwise(sizes))
        self.relus = nn.ModuleList(nn.ReLU(inplace=True) for _ in self.hidden)
        self.readout = nn.Linear(width, outputs, bias=False)
        for linear in (*self.hidden, self.readout):
            fan_in = linear.weight.shape[1]
            nn.init.normal_(linear.weight, std=scale * math.sqrt(2 / fan_in))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (batch, outputs) for inputs (batch, ...), flattened."""
        h = inputs.flatten(1)
        for linear, relu in zip(self.hidden, self.relus, strict=True):
            h = relu(linear(h) / math.sqrt(h.shape[1]))
        outputs: Tensor = self.readout(h) / h.shape[1]
        return outputs


@MODELS.register("mean_field_mlp")
class MeanFieldMlpConfig(ModelConfig):
    """Sizes and the factor on the initial weights; the defaults are those of Fig. 6a."""

    kind: Literal["mean_field_mlp"] = "mean_field_mlp"
    width: Annotated[int, Field(ge=1)] = 200
    depth: Depth = 3
    init_scale: Annotated[float, Field(gt=0)] = 150.0

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs), outputs (batch, spec.outputs)."""
        fan_in = math.prod(self.take(spec, Floats).shape)
        return MeanFieldMlp(fan_in, self.width, self.depth, spec.outputs, self.init_scale)
