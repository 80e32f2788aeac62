"""Entropy of attention against attention computed example by example."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy

from suite.metrics.attention_entropy import entropy
from suite.metrics.base import METRICS, Observation
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.models.mlp import MlpConfig
from suite.models.normalize import NormKind
from suite.models.scaled import Scaled
from suite.models.transformer import GrokkingTransformer

P = 5
PAIRS = torch.cartesian_prod(torch.arange(P), torch.arange(P))


@torch.no_grad()
def _by_example(model: GrokkingTransformer) -> np.ndarray:
    """Return the last position's attention (batch, heads, 5), one example and head at a time."""
    width = model.query.weight.shape[0] // model.heads
    found = np.zeros((len(PAIRS), model.heads, 5))
    for i, (x, y) in enumerate(PAIRS.tolist()):
        tokens = torch.tensor([x, P, y, P + 1, P + 2])
        inputs = model.norm_attention(model.tokens.weight[tokens] + model.places.weight)
        for h in range(model.heads):
            part = slice(h * width, (h + 1) * width)
            q = model.query.weight[part] @ inputs[-1]
            scores = [float(q @ (model.key.weight[part] @ v)) / math.sqrt(width) for v in inputs]
            raised = np.exp(np.array(scores) - max(scores))
            found[i, h] = raised / raised.sum()
    return found


def _observe(model: torch.nn.Module) -> Observation:
    return Observation(0, {}, {}, {}, model=model, task=SimpleNamespace(probe=PAIRS))


@pytest.mark.parametrize("norm", ["none", "rms", "layer"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 20.0])
def test_it_equals_attention_computed_example_by_example(norm: NormKind, scale: float) -> None:
    torch.manual_seed(0)
    model = GrokkingTransformer(P, 12, 3, 8, norm).double()
    model.query.weight.data.mul_(scale)
    expected = _by_example(model)
    np.testing.assert_allclose(model.attention(PAIRS).detach(), expected, atol=1e-12)
    found = METRICS["attention_entropy"].build()(_observe(model))
    by_head = scipy_entropy(expected, axis=-1).mean(0)
    assert [found[f"head_{h}"].item() for h in range(3)] == pytest.approx(by_head)
    assert found["mean"].item() == pytest.approx(by_head.mean())
    inside = METRICS["attention_entropy"].build()(_observe(Scaled(model, 2.0, centred=True)))
    assert inside["mean"].item() == pytest.approx(by_head.mean())


def test_bounds_are_reached() -> None:
    assert entropy(torch.full((3, 5), 0.2)).item() == pytest.approx(math.log(5))
    assert entropy(torch.eye(5)).item() == 0


def test_networks_without_attention_have_none() -> None:
    model = MlpConfig().build(ModelSpec(Floats((4,)), 3))
    assert METRICS["attention_entropy"].build()(_observe(model)) == {}
    assert METRICS["attention_entropy"].build()(Observation(0, {}, {}, {})) == {}
