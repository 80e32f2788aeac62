"""Many networks of one shape at once: closed-form outputs and gradients with an axis of runs.

Full-batch gradient descent on small models spends its time on launching operations, not on
arithmetic, so sixteen runs cost little more than one. The module still defines what a network
computes; the batched form computes the same numbers in another way, and tests compare the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

Parameters = Mapping[str, Tensor]
"""Tensors by the names they have in the module, each with a leading axis of runs."""


class BatchedModel(ABC):
    """Outputs and gradients of all runs.

    Inputs are (runs, n, ...), or (1, n, ...) if all runs see the same. Outputs and their gradients
    are (runs, n), or (runs, n, classes) if there are classes.

    Attributes:
        has_tangent: whether there is a `tangent`.
    """

    has_tangent: ClassVar[bool] = False

    @abstractmethod
    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs, and what `backward` needs of the way there."""

    @abstractmethod
    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradient of ``sum_k output_gradients_k outputs_k`` of each run, by name."""

    def tangent(
        self, parameters: Parameters, direction: Parameters, inputs: Tensor, context: Any
    ) -> Tensor:
        """Return the change of the outputs to first order as parameters move along `direction`.

        Args:
            parameters: where, the same as in the call of `forward` that gave the `context`.
            direction: tensors by the names of trainable parameters.
            inputs: as there.
            context: from there.

        Raises:
            NotImplementedError: if there is no closed form.
        """
        raise NotImplementedError
