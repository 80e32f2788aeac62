"""Metrics for streams against slow references and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from suite.losses import CROSS_ENTROPY
from suite.metrics.base import METRICS, Observation
from suite.metrics.dormant_units import dormant_share, linearised_share
from suite.metrics.gradients import mean_absolute_cosine
from suite.metrics.rank import srank
from suite.params import classify


def looked(model: nn.Module, inputs: Tensor, targets: Tensor) -> Observation:
    """Return an observation of a network with a training split."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    return Observation(
        step=3,
        parameters=parameters,
        roles=classify(model),
        rates={},
        criterion=CROSS_ENTROPY,
        model=model,
        splits={"train": (inputs, targets)},
    )


def value(name: str, seen: Observation) -> float:
    """Return the only value of a metric."""
    ((layer, found),) = METRICS[name].build()(seen).items()
    assert layer == ""
    return float(found)


@pytest.fixture
def network() -> nn.Module:
    """A small network in double precision."""
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()


def test_the_gradient_norm_is_that_of_the_mean_loss(network: nn.Module) -> None:
    inputs, targets = torch.randn(300, 5).double(), torch.randint(0, 3, (300,))
    found = value("gradient_norm", looked(network, inputs, targets))
    total: list[Tensor] = []
    for x, y in zip(inputs[:256], targets[:256], strict=True):
        network.zero_grad()
        nn.functional.cross_entropy(network(x.unsqueeze(0)), y.unsqueeze(0)).backward()
        total.append(
            torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        )
    assert found == pytest.approx(torch.stack(total).mean(0).norm().item(), rel=1e-6)


def test_orthogonality_is_one_less_the_mean_cosine_of_groups(network: nn.Module) -> None:
    inputs, targets = torch.randn(64, 5).double(), torch.randint(0, 3, (64,))
    rows = []
    for group in range(8):
        network.zero_grad()
        part = slice(8 * group, 8 * group + 8)
        nn.functional.cross_entropy(network(inputs[part]), targets[part]).backward()
        rows.append(
            torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        )
    cosines = [
        abs(float(rows[i] @ rows[j] / rows[i].norm() / rows[j].norm()))
        for i in range(8)
        for j in range(i)
    ]
    found = value("gradient_orthogonality", looked(network, inputs, targets))
    assert found == pytest.approx(1 - sum(cosines) / len(cosines), rel=1e-6)
    same = looked(network, inputs[:1].expand(64, 5), targets[:1].expand(64))
    assert value("gradient_orthogonality", same) == pytest.approx(0, abs=1e-9)
    assert mean_absolute_cosine(torch.eye(4)) == 0
    few = looked(network, inputs[:9], targets[:9])
    assert METRICS["gradient_orthogonality"].build()(few) == {}


def test_the_jacobian_norm_of_a_linear_map_is_its_own() -> None:
    model = nn.Linear(5, 3).double()
    seen = looked(model, torch.randn(10, 5).double(), torch.zeros(10, dtype=torch.int64))
    assert value("jacobian_norm", seen) == pytest.approx(model.weight.norm().item())


def test_the_jacobian_norm_is_the_mean_over_examples(network: nn.Module) -> None:
    inputs = torch.randn(6, 5).double()
    sizes = [
        torch.autograd.functional.jacobian(network, x.unsqueeze(0)).norm().item() for x in inputs
    ]
    found = value("jacobian_norm", looked(network, inputs, torch.zeros(6, dtype=torch.int64)))
    assert found == pytest.approx(sum(sizes) / 6)


def test_dormant_and_linearised_units_by_hand() -> None:
    # Units: silent, always on, weak but alive, ordinary.
    features = torch.tensor([[0.0, 3.0, 0.1, 0.0], [0.0, 5.0, 0.0, 4.0]])
    mean = (0 + 4 + 0.05 + 2) / 4
    assert dormant_share(features, 0.025) == 0.25
    assert dormant_share(features, 0.05 / mean + 1e-6) == 0.5
    assert linearised_share(features) == 0.5
    assert dormant_share(torch.zeros(3, 4), 0.1) == 1
    maps = torch.zeros(2, 3, 2, 2)  # a channel counts where it is so at every position
    maps[:, 1] = 1.0
    maps[0, 2, 0, 0] = 1.0
    assert linearised_share(maps) == pytest.approx(2 / 3)


def test_srank_counts_up_to_the_share() -> None:
    assert srank(torch.tensor([1.0, 0.0, 0.0])) == 1
    assert srank(torch.ones(100)) == 99
    assert srank(torch.tensor([0.5, 0.48, 0.01, 0.01])) == 3
    assert srank(torch.zeros(4)) == 1
    s = torch.logspace(0, -3, 20, dtype=torch.float64)
    wanted = next(k for k in range(1, 21) if float(s[:k].sum()) >= 0.99 * float(s.sum()))
    assert srank(s) == wanted
    assert math.isfinite(float(srank(s)))
