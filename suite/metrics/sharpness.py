"""Sharpness: the largest eigenvalue of the Hessian of the training loss.

By the Lanczos method (Golub and Van Loan, Matrix Computations, section 10.1) with full
reorthogonalisation, in double precision. Products with the Hessian are central differences of
gradients, ``H v = (g(w + e v) - g(w - e v)) / 2e``. They need no second derivatives, and for a
piecewise linear network they are as exact as double precision allows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call

from suite.metrics.base import Observation, metric
from suite.ranges import ANY

SUBSET = 256
"""Training examples that the loss is a mean over: the first ones, in an order drawn at random."""

ITERATIONS = 24
"""Of Lanczos; each costs two gradients."""

STEP = 1e-5
"""Length of the move of a central difference, relative to the norm of the parameters."""


def top_eigenvalue(product: Callable[[Tensor], Tensor], start: Tensor, iterations: int) -> Tensor:
    """Return the largest eigenvalue of a symmetric matrix, from below, by Lanczos.

    Args:
        product: maps v to the matrix times v.
        start: (n,), not orthogonal to the eigenvector sought.
        iterations: most products to make; n of them are exact.
    """
    basis = [start / start.norm()]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for _ in range(min(iterations, len(start))):
        image = product(basis[-1])
        diagonal.append(image @ basis[-1])
        known = torch.stack(basis)
        for _ in range(2):  # once leaves rounding errors that grow
            image = image - known.T @ (known @ image)
        beside.append(image.norm())
        # The space is invariant: what is left is noise. This waits for the device.
        if beside[-1] <= 1e-8 * torch.stack(diagonal).abs().max():
            break
        basis.append(image / beside[-1])
    off = torch.stack(beside[: len(diagonal) - 1]) if len(diagonal) > 1 else start.new_empty(0)
    tridiagonal = torch.diag(torch.stack(diagonal)) + torch.diag(off, 1) + torch.diag(off, -1)
    largest: Tensor = torch.linalg.eigvalsh(tridiagonal)[-1]
    return largest


def hessian_product(
    loss: Callable[[Tensor], Tensor], at: Tensor, step: float
) -> Callable[[Tensor], Tensor]:
    """Return the map from v, of norm 1, to the Hessian of `loss` times v.

    Args:
        loss: maps a vector to a scalar, differentiably.
        at: where, (n,).
        step: length of the move to either side.
    """

    def gradient(where: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = where.detach().requires_grad_()
            return torch.autograd.grad(loss(leaf), leaf)[0]

    return lambda v: (gradient(at + step * v) - gradient(at - step * v)) / (2 * step)


@metric("sharpness", "1", "parameters", "model", "splits", range=ANY)
def sharpness(seen: Observation) -> dict[str, Tensor]:
    """Largest eigenvalue of the Hessian of the loss on a fixed part of the training set.

    Of all trainable parameters together; of supervised tasks with a split called ``train``.
    """
    if seen.model is None or "train" not in seen.splits:
        return {}
    inputs, targets = (_double(part[:SUBSET]) for part in seen.splits["train"])
    model = seen.model
    shapes = {name: p.shape for name, p in seen.parameters.items()}
    sizes = [shape.numel() for shape in shapes.values()]
    frozen = {
        name: _double(value)
        for name, value in (*model.named_parameters(), *model.named_buffers())
        if name not in shapes
    }

    def loss(flat: Tensor) -> Tensor:
        pieces = zip(shapes.items(), torch.split(flat, sizes), strict=True)
        own = {name: piece.view(shape) for (name, shape), piece in pieces}
        outputs = functional_call(model, {**own, **frozen}, (inputs,))
        return seen.criterion.loss(outputs, targets)

    at = torch.cat([p.detach().double().flatten() for p in seen.parameters.values()])
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(at), generator=generator, dtype=torch.float64).to(at.device)
    step = STEP * float(at.norm())
    return {"train": top_eigenvalue(hessian_product(loss, at, step), start, ITERATIONS)}


def _double(tensor: Tensor) -> Tensor:
    """Return a tensor in double precision; integers stay."""
    return tensor.detach().double() if tensor.is_floating_point() else tensor
