"""Norms against float64, over shapes, layouts, types and values; the projection's among them."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from suite import Projection
from suite.clock import Clock
from suite.interventions.normalize_project import joint_norm, project_
from suite.metrics.base import METRICS, Observation
from suite.metrics.feature_change import covariance_change
from suite.metrics.kernel_drift import relative_change
from suite.metrics.ntk_alignment import alignment
from suite.norms import (
    Flats,
    Per,
    clip_norm_,
    difference,
    mean_magnitudes,
    norm,
    norms,
    squared_norms,
    total_norm,
)
from suite.params import ParamRole
from suite.run_config import MetricsConfig
from suite.training.observer import Observer

EXACT = 1e-6
"""Relative to float64; what each tensor's elements are rounded to is no part of it."""

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
VALUES = ["normal", "uniform", "same", "one large", "sparse"]
LAYOUTS = ["plain", "transposed", "channels last", "every second", "expanded"]
SIZES = [1, 2, 7, 511, 512, 513, 1009, 4096, 14976, 65537, 3136 * 512]


def _values(kind: str, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, generator=generator, dtype=torch.float64)
    if kind == "uniform":
        return torch.rand(count, generator=generator, dtype=torch.float64) * 0.03
    if kind == "same":  # every addition is rounded the same way
        return drawn.sign() * (0.5 + torch.rand((), generator=generator, dtype=torch.float64))
    if kind == "one large":
        drawn[count // 2] = 1000.0
    if kind == "sparse":
        drawn *= torch.rand(count, generator=generator) < 0.02
    return drawn


def _laid_out(values: Tensor, layout: str) -> Tensor:
    count = values.numel()
    if layout == "transposed":
        return values.view(-1, 1 if count % 2 else 2).T
    if layout == "channels last":
        inner = 4 if count % 4 == 0 else 1
        return values.view(-1, inner, 1, 1).contiguous(memory_format=torch.channels_last)
    if layout == "every second":
        return torch.stack([values, torch.full_like(values, 7.0)], 1)[:, 0]
    if layout == "expanded":
        return values.unsqueeze(0).expand(3, -1)
    return values


def _off(found: Tensor, expected: Tensor) -> float:
    """Return the largest relative error."""
    zero = expected == 0
    assert torch.equal(found.double()[zero], expected[zero])
    errors = (found.double() / expected - 1)[~zero].abs()
    return errors.max().item() if len(errors) else 0.0


@settings(max_examples=150)
@given(
    count=st.one_of(st.sampled_from(SIZES), st.integers(1, 20_000)),
    kind=st.sampled_from(VALUES),
    dtype=st.sampled_from(TYPES),
    layout=st.sampled_from(LAYOUTS),
    seed=st.integers(0, 2**31),
)
def test_norms_equal_those_of_float64(
    count: int, kind: str, dtype: torch.dtype, layout: str, seed: int
) -> None:
    tensor = _laid_out(_values(kind, count, seed).to(dtype), layout)
    exact = tensor.double().square().sum()
    found = norm(tensor)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert _off(found, exact.sqrt()) < EXACT
    assert _off(squared_norms([tensor])[0], exact) < 2 * EXACT
    assert _off(mean_magnitudes([tensor])[0], tensor.double().abs().mean()) < EXACT


@settings(max_examples=60)
@given(
    shape=st.sampled_from([(3, 5), (512, 3136), (2, 70_000), (64, 4, 8, 8), (2, 40, 500)]),
    axis=st.integers(0, 1),
    kind=st.sampled_from(VALUES),
    dtype=st.sampled_from(TYPES),
    turned=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_norms_of_rows_equal_those_of_float64(
    shape: tuple[int, ...], axis: int, kind: str, dtype: torch.dtype, turned: bool, seed: int
) -> None:
    count = torch.Size(shape).numel()
    tensor = _values(kind, count, seed).to(dtype).view(shape)
    tensor = tensor.transpose(0, 1) if turned else tensor
    found = squared_norms([tensor], "row", axes=[axis])[0]
    others = [d for d in range(tensor.ndim) if d != axis]
    exact = tensor.double().square().sum(others, keepdim=True)
    assert found.shape == exact.shape
    assert _off(found, exact) < 2 * EXACT


def test_many_tensors_of_different_sizes_and_types_at_once() -> None:
    tensors = [
        _values("same", 65537, 0).float().view(1, -1),
        torch.zeros(3, 4),
        torch.empty(0, 5),
        _values("normal", 20, 1).half(),
        _values("normal", 3, 2),
        torch.tensor(-2.0),
    ]
    exact = torch.stack([t.double().square().sum() for t in tensors])
    assert _off(Flats(tensors).squared(), exact) < 2 * EXACT
    by_name = norms({str(i): t for i, t in enumerate(tensors)})
    assert _off(torch.stack(list(by_name.values())), exact.sqrt()) < EXACT
    assert _off(total_norm(list(by_name.values())), exact.sum().sqrt()) < EXACT
    assert norms({}) == {}
    assert squared_norms([]) == []


def test_views_follow_their_tensors_and_leave_them_alone() -> None:
    weight = nn.Parameter(torch.randn(70, 30, 3, 3).contiguous(memory_format=torch.channels_last))
    views = Flats([weight])
    before = weight.detach().clone()
    first = views.squared().clone()
    assert torch.equal(weight.detach(), before)
    with torch.no_grad():
        weight.mul_(2.0)
    assert _off(views.squared(), 4 * first.double()) < EXACT


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("per", ["tensor", "row"])
@pytest.mark.parametrize("size", [(3136, 512), (5, 1009), (300_000, 2)])
def test_a_projected_weight_has_the_norm_it_should(
    size: tuple[int, int], per: Per, kind: str
) -> None:
    weight = _values(kind, size[0] * size[1], 0).float().view(size)
    target = [3.7 * s.sqrt() for s in squared_norms([weight], per)]
    project_([weight], target, per)
    square = weight.double().square()
    exact = square.sum() if per == "tensor" else square.sum(1, keepdim=True)
    assert _off(exact.sqrt(), target[0].double()) < EXACT


@pytest.mark.parametrize("per", ["tensor", "row"])
def test_a_projected_rainbow_weight_stays_and_its_rows_say_so(per: Per) -> None:
    """Over hundreds of updates, whose weights get heavier tails, the measured norm is flat."""
    generator = torch.Generator().manual_seed(0)
    first = nn.Linear(3136, 512, bias=False)
    net = nn.Sequential(first, nn.LayerNorm(512), nn.Linear(512, 2))
    with torch.no_grad():
        first.weight.copy_(torch.rand(512, 3136, generator=generator) / 28 - 1 / 56)
    nap = Projection(net, per=per, which=["0.weight"])
    observer = Observer(net, ["parameter_norm"], MetricsConfig(), Clock(300), None)
    start = first.weight.detach().double().square().sum().sqrt().item()
    for step in range(300):
        with torch.no_grad():
            drawn = torch.randn(3136, generator=generator)
            first.weight.mul_(1.0 + 0.02 * drawn).add_(1e-4)
        nap.step()
        if step % 30 == 0:
            exact = first.weight.detach().double().square().sum().sqrt().item()
            assert exact == pytest.approx(start, rel=EXACT)
            rows = observer.measure(step, dict.fromkeys(observer.roles, 0.1))
            shown = next(v for _, layer, v in rows if layer == "0.weight")
            assert shown == pytest.approx(exact, rel=EXACT)


def test_the_projection_does_not_depend_on_the_precision_of_matrix_products() -> None:
    weight = _values("same", 65536, 3).float().view(256, 256)
    kept = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            project_([weight], [torch.tensor(5.0)])
    finally:
        torch.set_float32_matmul_precision(kept)
    assert weight.double().square().sum().sqrt().item() == pytest.approx(5.0, rel=EXACT)


@pytest.mark.parametrize("dtype", TYPES)
def test_joint_norms_and_clipping(dtype: torch.dtype) -> None:
    gain, offset = (_values("same", n, n).to(dtype) for n in (1009, 4096))
    exact = (gain.double().square().sum() + offset.double().square().sum()).sqrt()
    assert _off(joint_norm(gain, offset), exact) < EXACT
    assert _off(joint_norm(gain, None), gain.double().square().sum().sqrt()) < EXACT
    pieces = [gain.clone(), offset.clone()]
    clip_norm_(pieces, 2 * exact.item())
    assert torch.equal(pieces[0], gain)
    clip_norm_(pieces, 0.5 * exact.item())
    clipped = torch.cat(pieces).double().square().sum().sqrt()
    rounding = torch.finfo(dtype).eps + 2e-6 / exact.item()
    assert clipped.item() == pytest.approx(0.5 * exact.item(), rel=rounding + EXACT)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["normal", "same"])
def test_metrics_of_norms_equal_float64(kind: str, dtype: torch.dtype) -> None:
    """Of weights that moved little, read by the observer itself."""
    net = nn.Sequential(nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 40)).to(dtype)
    for i, p in enumerate(net.parameters()):
        p.data.copy_(_values(kind, p.numel(), i).view(p.shape) / 50)
    names = ["parameter_norm", "update_norm", "distance_from_init", "relative_movement"]
    names += ["relative_update", "effective_lr", "effective_lr_gradient"]
    observer = Observer(net, names, MetricsConfig(), Clock(2), None)
    first = copy.deepcopy({n: p.detach().double() for n, p in net.named_parameters()})
    observer.before_update(1)
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.add_((_values(kind, p.numel(), 9 + i).view(p.shape) / 300).to(dtype))
    now = {n: p.detach().double() for n, p in net.named_parameters()}
    measured = observer.measure(2, dict.fromkeys(now, 0.3))
    rows = {(metric, layer): value for metric, layer, value in measured}

    def size(tensors: dict[str, Tensor], *layers: str) -> float:
        return float(sum(tensors[n].square().sum().item() for n in layers) ** 0.5)

    moved = {n: now[n] - first[n] for n in now}
    assert len(rows) > 25
    for (metric, layer), value in rows.items():
        of = ("0.weight", "2.weight") if layer == "all" else (layer,)
        expected = {
            "parameter_norm": size(now, *of),
            "update_norm": size(moved, *of),
            "distance_from_init": size(moved, *of),
            "relative_movement": size(moved, *of) / size(first, *of),
            "relative_update": size(moved, *of) / size(now, *of),
            "effective_lr": 0.3 / size(now, *of),
            "effective_lr_gradient": 0.3 / size(now, *of) ** 2,
        }[metric]
        assert value == pytest.approx(expected, rel=1e-5), (metric, layer)


def test_metrics_of_matrices_equal_float64() -> None:
    """Changes that are small beside what changed, at sizes where single sums drift."""
    then = _values("normal", 64 * 20_000, 0).float().view(64, 20_000)
    now = then + _values("normal", 64 * 20_000, 1).float().view(64, 20_000) / 1000

    def gram(features: Tensor) -> Tensor:
        product = features.double() @ features.double().T
        return product / product.diagonal().sum()

    exact = (gram(then) - gram(now)).square().sum().sqrt().item()
    assert covariance_change(then, now).item() == pytest.approx(exact, rel=1e-5)

    kernel = _values("same", 10**6, 2).float().view(1000, 1000)
    other = kernel + _values("same", 10**6, 3).float().view(1000, 1000) / 8
    sizes = [(m.double().square().sum() ** 0.5).item() for m in (other.sub(kernel), kernel)]
    assert relative_change(other, kernel).item() == pytest.approx(sizes[0] / sizes[1], rel=1e-5)
    targets = _values("normal", 1000, 4).float()
    t, k = targets.double(), kernel.double()
    expected = (t @ k @ t / (k.square().sum().sqrt() * t.square().sum())).item()
    assert alignment(kernel, targets).item() == pytest.approx(expected, rel=1e-5)


def test_normalised_margins_are_of_the_exact_norm() -> None:
    weight = _values("same", 10**6, 5).float().view(1000, 1000)

    class Network(nn.Module):
        homogeneity = 2

    seen = Observation(
        1,
        {"w": weight},
        {"w": ParamRole.WEIGHT},
        {"w": 0.1},
        model=Network(),
        predictions={"train": (torch.tensor([[3.0, 1.0]]), torch.tensor([0]))},
    )
    found = METRICS["normalised_margin"].build()(seen)["train"].item()
    assert found == pytest.approx(2.0 / weight.double().square().sum().item(), rel=1e-5)


def test_differences_of_halves_are_taken_in_more() -> None:
    a, b = torch.tensor([2048.0]).half(), torch.tensor([0.5]).half()
    assert difference(a, b).item() == 2047.5
