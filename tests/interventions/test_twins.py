"""Coupled twins (Lyle et al. 2024, Fig. 3, experiment N4): free norms against projected ones.

With SGD the twins coincide if the projected one's rate of each layer is the effective rate of the
free one's, ``lr |W_B|^2 / |W_A|^2``: gradients of a scale-invariant weight fall as 1 / |W|. One
factor for all layers, or none, leaves a difference.
"""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from suite.interventions.normalize_project import Projection
from suite.models.base import ModelSpec, build_model
from suite.models.cnn import CnnConfig
from suite.models.inputs import Floats

Correction = Literal["layers", "whole", "none"]


def twins(correction: Correction, steps: int = 40, lr: float = 0.3) -> tuple[Tensor, Tensor]:
    """Return the losses of the free and of the projected twin, (steps,) each."""
    spec = ModelSpec(Floats((2, 8, 8)), 4)
    config = CnnConfig(channels=6, hidden=12)
    free = build_model(config, spec, seed=3).double()
    for module in free.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            module.eps = 1e-30
    twin = copy.deepcopy(free)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(steps, 16, 2, 8, 8, generator=generator).double()
    labels = torch.randint(0, 4, (steps, 16), generator=generator)
    projection = Projection(twin, probe=inputs[0])
    losses = torch.zeros(2, steps, dtype=torch.float64)
    for step in range(steps):
        sizes = []
        for place, model in enumerate((free, twin)):
            loss = nn.functional.cross_entropy(model(inputs[step]), labels[step])
            model.zero_grad()
            loss.backward()
            losses[place, step] = loss.detach()
            named = dict(model.named_parameters())
            sizes.append({n: named[n].detach().norm() for n in projection.names})
        ratios = {n: float(sizes[1][n] / sizes[0][n]) ** 2 for n in projection.names}
        whole = sum(float(s) ** 2 for s in sizes[1].values())
        whole /= sum(float(s) ** 2 for s in sizes[0].values())
        with torch.no_grad():
            for model in (free, twin):
                for name, parameter in model.named_parameters():
                    rate = lr
                    if model is twin and name in ratios:
                        rate *= {"layers": ratios[name], "whole": whole, "none": 1.0}[correction]
                    assert parameter.grad is not None
                    parameter.sub_(parameter.grad, alpha=rate)
        projection.step()
    return losses[0], losses[1]


def test_twins_with_the_rate_of_each_layer_coincide() -> None:
    free, projected = twins("layers")
    assert torch.allclose(free, projected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("correction", ["whole", "none"])
def test_others_do_not(correction: Correction) -> None:
    free, projected = twins(correction)
    assert (free - projected).abs().max() > 1e-4


@pytest.mark.parametrize("correction", ["layers", "whole", "none"])
def test_the_first_update_is_the_same(correction: Correction) -> None:
    free, projected = twins(correction, steps=2)
    assert torch.allclose(free[0], projected[0], rtol=1e-12)
    assert torch.allclose(free[1], projected[1], rtol=1e-9)
