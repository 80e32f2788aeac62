"""Committee machines of one shape at once, by their statistics or unit by unit.

With fixed readouts and the quadratic activation a committee depends on its weights only through two
statistics (`suite.models.committee`); with gradients s of a loss in the outputs::

    wbar = mean_i w_i,  M = mean_i w_i w_i^T          f(x) = wbar . x + (epsilon / 2) x^T M x
    g = sum_x s(x) x,  A = sum_x s(x) x x^T           dL/dw_i = (1 / N) (g + epsilon A w_i)

which costs D^2 (P + N) operations; the sums over units cost D P N. With few units, trained readouts
or another activation the sums over units are used instead. To first order at weights w, in a
direction d::

    df(x) = (mean_i d_i) . x + epsilon x^T (mean_i w_i d_i^T) x
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from suite.models.batched import BatchedModel, Parameters
from suite.models.hermite import hermite

WEIGHT, READOUT = "hidden.weight", "readout"


class BatchedCommittee(BatchedModel):
    """Committee machines.

    Args:
        epsilon: by run.
        degree: of the Hermite polynomial in the activation, None for the square.
    """

    has_tangent: ClassVar[bool] = True

    def __init__(self, epsilon: Tensor, degree: int | None = None) -> None:
        self.epsilon, self.degree = epsilon.view(-1, 1, 1), degree

    def _by_unit(self, parameters: Parameters) -> bool:
        _, units, size = parameters[WEIGHT].shape
        return self.degree is not None or READOUT in parameters or units < size

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return outputs (runs, n) for inputs (runs, n, D)."""
        w = parameters[WEIGHT]
        if self._by_unit(parameters):
            h = inputs @ w.mT  # (runs, n, N)
            units = self._activation(h)
            readout = parameters.get(READOUT)
            outputs = units.mean(-1) if readout is None else self._read(units, readout)
            return outputs, (h, units)
        moment = w.mT @ w / w.shape[1]  # (runs, D, D)
        mean = w.mean(1).unsqueeze(-1)  # (runs, D, 1)
        quadratic = ((inputs @ moment) * inputs).sum(-1)
        outputs = (inputs @ mean).squeeze(-1) + 0.5 * self.epsilon[:, 0] * quadratic
        return outputs, None

    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradient of ``sum(output_gradients * outputs)``."""
        w = parameters[WEIGHT]
        if context is not None:
            return self._backward_by_unit(
                parameters, inputs, output_gradients / w.shape[1], *context
            )
        weighted = inputs * output_gradients.unsqueeze(-1)
        linear = weighted.sum(1, keepdim=True)  # (runs, 1, D)
        square = inputs.mT @ weighted  # (runs, D, D)
        gradient = torch.baddbmm(linear, w, self.epsilon * square)
        return {WEIGHT: gradient.div_(w.shape[1])}

    def _backward_by_unit(
        self,
        parameters: Parameters,
        inputs: Tensor,
        output_gradients: Tensor,
        h: Tensor,
        units: Tensor,
    ) -> dict[str, Tensor]:
        of_h = self._slope(h) * output_gradients.unsqueeze(-1)
        readout = parameters.get(READOUT)
        if readout is None:
            return {WEIGHT: of_h.mT @ inputs}
        of_h = of_h * readout.unsqueeze(1)
        return {
            WEIGHT: of_h.mT @ inputs,
            READOUT: (units.mT @ output_gradients.unsqueeze(-1)).squeeze(-1),
        }

    def tangent(
        self, parameters: Parameters, direction: Parameters, inputs: Tensor, context: Any
    ) -> Tensor:
        """Return the change of the outputs (runs, n) to first order along `direction`."""
        w, d = parameters[WEIGHT], direction[WEIGHT]
        if context is not None:
            h, units = context
            change = self._slope(h) * (inputs @ d.mT)
            readout = parameters.get(READOUT)
            if readout is None:
                return change.mean(-1)
            return self._read(change, readout) + self._read(units, direction[READOUT])
        mixed = w.mT @ d / w.shape[1]  # (runs, D, D)
        quadratic = ((inputs @ mixed) * inputs).sum(-1)
        linear = (inputs @ d.mean(1).unsqueeze(-1)).squeeze(-1)
        return linear + self.epsilon[:, 0] * quadratic

    @staticmethod
    def _read(units: Tensor, readout: Tensor) -> Tensor:
        return (units @ readout.unsqueeze(-1)).squeeze(-1) / units.shape[-1]

    def _activation(self, h: Tensor) -> Tensor:
        nonlinear = h * h if self.degree is None else hermite(self.degree, h)
        return h + 0.5 * self.epsilon * nonlinear

    def _slope(self, h: Tensor) -> Tensor:
        if self.degree is None:
            return 1 + self.epsilon * h
        return 1 + 0.5 * self.epsilon * self.degree * hermite(self.degree - 1, h)
