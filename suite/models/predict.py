"""Outputs of a network on many inputs, without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

CHUNK = 4096
"""Examples evaluated at once."""


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the model's outputs on many inputs, in chunks, without gradients."""
    with torch.no_grad(), evaluating(model):
        return torch.cat([model(chunk) for chunk in torch.split(inputs, CHUNK)])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let batch norm use its running statistics and dropout drop nothing, while inside.

    Other modules stay as they are, such as noisy layers, which are measured with their noise.
    """
    touched = [m for m in model.modules() if isinstance(m, _BatchNorm | _DropoutNd) and m.training]
    for module in touched:
        module.eval()
    try:
        yield
    finally:
        for module in touched:
            module.train()
