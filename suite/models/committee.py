"""The committee machine of Kumar et al. 2024 (section 1), alone and as many runs at once.

::

    f(x) = (1 / N) sum_i a_i phi(w_i . x)        phi(h) = h + (epsilon / 2) h^2

with N hidden units, w_i ~ N(0, I), no biases, and readouts a_i that are 1 and fixed unless they are
trained. With fixed readouts f depends on the weights through two statistics alone::

    wbar = mean_i w_i          M = mean_i w_i w_i^T
    f(x) = wbar . x + (epsilon / 2) x^T M x

and so does its gradient, for slopes s of a loss in the outputs::

    dL/dw_i = (1 / N) (g + epsilon A w_i)        g = sum_x s(x) x,  A = sum_x s(x) x x^T

which costs D^2 (P + N) operations where the sums over units cost D P N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, Activation, ModelConfig, ModelSpec, check_vector
from suite.models.batched import BatchedModel, Parameters
from suite.params import ParamRole


class Quadratic(Activation):
    """``h + (epsilon / 2) h^2``."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, h: Tensor) -> Tensor:
        """Return the activations, shaped as given."""
        return h + 0.5 * self.epsilon * h * h


class CommitteeMachine(nn.Module):
    """One hidden layer of N units whose outputs are averaged.

    Args:
        inputs: D.
        width: N.
        epsilon: of the activation.
        trained: whether the readouts are trained, from N(0, 1).
    """

    output_layers = ()
    param_roles: ClassVar[dict[str, ParamRole]] = {"readout": ParamRole.OUTPUT}

    def __init__(self, inputs: int, width: int, epsilon: float, trained: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, width, bias=False)
        self.activation = Quadratic(epsilon)
        nn.init.normal_(self.hidden.weight)
        self.readout = nn.Parameter(torch.randn(width)) if trained else None

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (batch, 1) for inputs (batch, D)."""
        units: Tensor = self.activation(self.hidden(x))
        return (units if self.readout is None else units * self.readout).mean(-1, keepdim=True)


class BatchedCommittee(BatchedModel):
    """Committee machines with fixed readouts, by their statistics.

    Args:
        epsilon: by run.
    """

    def __init__(self, epsilon: Tensor) -> None:
        self.epsilon = epsilon.view(-1, 1, 1)

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return outputs (runs, n) for inputs (runs, n, D)."""
        w = parameters["hidden.weight"]
        moment = w.mT @ w / w.shape[1]  # (runs, D, D)
        mean = w.mean(1).unsqueeze(-1)  # (runs, D, 1)
        quadratic = ((inputs @ moment) * inputs).sum(-1)
        outputs = (inputs @ mean).squeeze(-1) + 0.5 * self.epsilon[:, 0] * quadratic
        return outputs, None

    def backward(
        self, parameters: Parameters, inputs: Tensor, slopes: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradient of ``sum(slopes * outputs)``."""
        w = parameters["hidden.weight"]
        weighted = inputs * slopes.unsqueeze(-1)
        linear = weighted.sum(1, keepdim=True)  # (runs, 1, D)
        square = inputs.mT @ weighted  # (runs, D, D)
        gradient = torch.baddbmm(linear, w, self.epsilon * square)
        return {"hidden.weight": gradient.div_(w.shape[1])}


@MODELS.register("committee")
class CommitteeConfig(ModelConfig):
    """Number of units, the activation's epsilon, and whether readouts are trained.

    Attributes:
        width: N.
        epsilon: of ``h + (epsilon / 2) h^2``.
        trained_readout: start the readouts at N(0, 1) and train them (Kumar et al. 2024, Fig. 11).
    """

    values: ClassVar[frozenset[str]] = frozenset({"epsilon"})
    kind: Literal["committee"] = "committee"
    width: Annotated[int, Field(ge=1)] = 500
    epsilon: Annotated[float, Field(ge=0)] = 0.02
    trained_readout: bool = False

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, D), outputs (batch, 1)."""
        check_vector(spec, self.kind)
        return CommitteeMachine(spec.inputs[0], self.width, self.epsilon, self.trained_readout)

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel | None:
        """Return the closed form, unless readouts are trained."""
        own = [c for c in configs if isinstance(c, cls) and not c.trained_readout]
        if len(own) < len(configs):
            return None
        return BatchedCommittee(like.new_tensor([c.epsilon for c in own]))
