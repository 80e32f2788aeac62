from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from suite.metrics.accuracy import top1
from suite.metrics.base import METRICS, Observation
from suite.metrics.dead_units import dead_share
from suite.metrics.effective_lr import effective_lr
from suite.metrics.feature_change import covariance_change, normalised_gram, pattern_change
from suite.metrics.rank import effective_rank, numerical_rank, singular_values, stable_rank
from suite.params import ParamRole

FEATURES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-3, 3)
)


def _covariance_reference(then: np.ndarray, now: np.ndarray) -> float:
    """Entry by entry: C[i, j] = <f_i, f_j> / sum_k |f_k|^2."""

    def gram(f: np.ndarray) -> list[list[float]]:
        total = sum(float(x) ** 2 for row in f for x in row)
        inner = [[sum(a * b for a, b in zip(u, v, strict=True)) for v in f] for u in f]
        return [[value / total if total else 0.0 for value in row] for row in inner]

    a, b = gram(then), gram(now)
    squares = [(x - y) ** 2 for r, s in zip(a, b, strict=True) for x, y in zip(r, s, strict=True)]
    return math.sqrt(sum(squares))


@given(FEATURES, st.integers(0, 2**31))
def test_feature_metrics_equal_their_definitions(now: np.ndarray, seed: int) -> None:
    then = np.random.default_rng(seed).standard_normal(now.shape)
    a, b = torch.from_numpy(then), torch.from_numpy(now)
    if np.abs(now).max() > 1e-3:
        reference = _covariance_reference(then, now)
        assert covariance_change(a, b).item() == pytest.approx(reference, abs=1e-5)
    flips = np.mean([(x > 0) != (y > 0) for x, y in zip(then.flat, now.flat, strict=True)])
    assert pattern_change(a, b).item() == pytest.approx(float(flips), abs=1e-6)


def test_covariance_change_ignores_scale_and_rotation() -> None:
    f = torch.randn(7, 5)
    q, _ = torch.linalg.qr(torch.randn(5, 5))
    assert covariance_change(f, 3.0 * f @ q).item() == pytest.approx(0.0, abs=1e-5)
    assert normalised_gram(f).trace().item() == pytest.approx(1.0, rel=1e-5)
    apart = covariance_change(torch.eye(2)[:, :1], torch.eye(2)[:, 1:])
    assert apart.item() == pytest.approx(math.sqrt(2))


def test_pattern_change_after_a_random_step_is_the_papers_formula() -> None:
    """Lyle et al. 2025, appendix C: an active unit flips with 1/2 - arctan(1 / (eta s)) / pi."""
    torch.manual_seed(0)
    width, size = 400, 0.7
    inputs = torch.randn(2000, width, dtype=torch.float64)
    weights = torch.randn(500, width, dtype=torch.float64) / math.sqrt(width)
    update = size * torch.randn(500, width, dtype=torch.float64) / math.sqrt(width)
    then, now = inputs @ weights.T, inputs @ (weights + update).T
    expected = 0.5 - math.atan(1 / size) / math.pi
    flipped = ((then > 0) & (now <= 0)).sum() / (then > 0).sum()
    assert flipped.item() == pytest.approx(expected, abs=3e-3)
    assert pattern_change(then, now).item() == pytest.approx(expected, abs=3e-3)


def test_effective_lr_of_both_definitions() -> None:
    norm = torch.tensor(4.0)
    assert effective_lr(0.2, norm, normalised_updates=True).item() == pytest.approx(0.05)
    assert effective_lr(0.2, norm, normalised_updates=False).item() == pytest.approx(0.0125)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_effective_lr_predicts_the_same_dynamics(scale: float) -> None:
    """On f(W) = g(W / |W|), rates in proportion to |W|^2 give the same directions (2024, 1.1)."""

    def direction(weight: torch.Tensor, lr: float) -> torch.Tensor:
        weight = weight.clone().requires_grad_()
        target = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
        for _ in range(20):
            loss = ((weight / weight.norm()) - target).square().sum()
            (gradient,) = torch.autograd.grad(loss, weight)
            # Back on the sphere: the norm is what the effective rate is measured against.
            moved = (weight - lr * gradient).detach()
            weight = (moved * weight.norm() / moved.norm()).detach().requires_grad_()
        along: Tensor = weight.detach() / weight.detach().norm()
        return along

    start = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64)
    unit = direction(start, 0.1)
    scaled = direction(scale * start, 0.1 * scale**2)
    torch.testing.assert_close(unit, scaled, rtol=1e-10, atol=1e-12)


@given(FEATURES)
def test_ranks_equal_their_definitions(matrix: np.ndarray) -> None:
    s = np.linalg.svd(matrix, compute_uv=False)
    values = singular_values(torch.from_numpy(matrix))
    if s[0] < 1e-2:
        return
    p = s / s.sum()
    entropy = -sum(float(x) * math.log(x) for x in p if x > 0)
    assert stable_rank(values).item() == pytest.approx(float((s**2).sum() / s[0] ** 2), rel=1e-3)
    assert effective_rank(values).item() == pytest.approx(math.exp(entropy), rel=1e-2)
    clear = s[np.abs(s / s[0] - 0.01) > 1e-4]
    if len(clear) == len(s):
        assert numerical_rank(values).item() == (s > 0.01 * s[0]).sum()


def test_ranks_of_the_identity_and_of_zero() -> None:
    s = singular_values(torch.eye(4))
    assert [stable_rank(s), effective_rank(s), numerical_rank(s)] == pytest.approx([4, 4, 4])
    zero = singular_values(torch.zeros(3, 2))
    assert torch.isfinite(torch.stack([stable_rank(zero), effective_rank(zero)])).all()


def test_dead_share_counts_units_and_channels() -> None:
    features = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert dead_share(features).item() == pytest.approx(2 / 3)
    maps = torch.zeros(2, 4, 3, 3)
    maps[1, 2, 0, 0] = 1.0
    assert dead_share(maps).item() == pytest.approx(3 / 4)


def test_top1() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert top1(logits, torch.tensor([1, 0, 0])).item() == pytest.approx(2 / 3)


def _observation() -> Observation:
    torch.manual_seed(0)
    parameters = {
        "a.weight": torch.randn(4, 3),
        "a.bias": torch.randn(4),
        "b.weight": torch.randn(2, 4),
    }
    roles = {"a.weight": ParamRole.WEIGHT, "a.bias": ParamRole.BIAS, "b.weight": ParamRole.OUTPUT}
    return Observation(
        step=5,
        parameters=parameters,
        roles=roles,
        rates=dict.fromkeys(parameters, 0.1),
        update={name: 0.01 * p for name, p in parameters.items()},
        initial={name: 2.0 * p for name, p in parameters.items()},
        features={"relu": torch.randn(6, 4).relu()},
        features_then={"relu": torch.randn(6, 4).relu()},
        interval=5,
        taps={"attention_output": torch.randn(6, 4)},
        predictions={"test": (torch.randn(6, 2), torch.randint(0, 2, (6,)))},
    )


@pytest.mark.parametrize("name", sorted(METRICS.entries()))
def test_contract_of_every_metric(name: str) -> None:
    """Scalars by layer, finite, pure, and nothing but its declared needs is read."""
    metric = METRICS[name]
    seen = _observation()
    values = metric.build()(seen)
    if not values:
        pytest.skip("it is of a kind of network or problem that this is not")
    assert metric.unit
    for value in values.values():
        assert value.ndim == 0
        assert torch.isfinite(value)
    again = metric.build()(_observation())
    assert {k: v.item() for k, v in values.items()} == {k: v.item() for k, v in again.items()}
    bare = Observation(
        step=5,
        parameters=seen.parameters,
        roles=seen.roles,
        rates=seen.rates,
        interval=5,
        **{need: getattr(seen, need) for need in metric.needs - {"parameters"}},
    )
    assert {k: v.item() for k, v in metric.build()(bare).items()} == {
        k: v.item() for k, v in values.items()
    }


def test_norm_metrics_against_numpy() -> None:
    seen = _observation()
    arrays = {name: p.numpy() for name, p in seen.parameters.items()}
    joint = math.sqrt(sum((arrays[n] ** 2).sum() for n in ("a.weight", "b.weight")))
    norms = METRICS["parameter_norm"].build()(seen)
    assert norms["a.bias"].item() == pytest.approx(np.linalg.norm(arrays["a.bias"]), rel=1e-6)
    assert norms["all"].item() == pytest.approx(joint, rel=1e-6)
    assert METRICS["distance_from_init"].build()(seen)["all"].item() == pytest.approx(
        joint, rel=1e-6
    )
    ratio = METRICS["relative_update"].build()(seen)
    assert {k: v.item() for k, v in ratio.items()} == pytest.approx(
        dict.fromkeys(("a.weight", "b.weight", "all"), 0.01), rel=1e-6
    )
    assert METRICS["effective_lr"].build()(seen)["all"].item() == pytest.approx(
        0.1 / joint, rel=1e-6
    )
