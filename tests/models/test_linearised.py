"""The first-order expansion against differences, and its training against kernel regression."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from suite.errors import ConfigError
from suite.models.base import ACTIVATIONS, MODELS, ModelSpec, build_model, recording
from suite.models.closed_forms import derivatives, tangent_kernel
from suite.models.inputs import Floats, IntegerPairs
from suite.params import classify

SPEC = ModelSpec(Floats((5,)), 1)
INNERS: list[dict[str, Any]] = [
    {"kind": "mlp", "width": 6},
    {"kind": "committee", "width": 4, "epsilon": 0.5},
    {"kind": "committee", "width": 3, "epsilon": 0.5, "trained_readout": True},
]
KINDS = [f"{c['kind']}{i}" for i, c in enumerate(INNERS)]

PAIRS: list[dict[str, Any]] = [
    {"kind": "pair_mlp", "embedding": 3, "width": 6, "norm": "rms"},
    {"kind": "pair_mlp", "embedding": None, "width": 6},
    {"kind": "pair_quadratic", "width": 6},
    {"kind": "pair_relu", "width": 6},
    {"kind": "transformer", "width": 4, "heads": 2, "hidden": 6, "norm": "layer"},
    {"kind": "three_token_transformer", "width": 4, "heads": 2, "hidden": 6},
]


IMAGES = ModelSpec(Floats((3, 8, 8)), 4)
OF_IMAGES: list[dict[str, Any]] = [
    {"kind": "cnn", "channels": 4, "hidden": 8},
    {"kind": "cnn", "blocks": [4], "hidden": 8, "norm": "rms", "norm_place": "after"},
    {"kind": "resnet", "depth": 8, "width": 8, "norm": "layer", "activation": "gelu"},
    {"kind": "resnet", "depth": 8, "width": 8, "norm": "group", "groups": 2},
    {"kind": "vit", "width": 8, "depth": 1, "heads": 2, "hidden": 8},
]


def make(
    inner: dict[str, Any], wrap: str | None = "linearised", seed: int = 0, spec: ModelSpec = SPEC
) -> nn.Module:
    config = MODELS[wrap].from_mapping({"kind": wrap, "inner": inner}) if wrap else None
    config = config or MODELS[inner["kind"]].from_mapping(inner)
    return build_model(config, spec, seed).double()


def move(model: nn.Module, size: float, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name in classify(model):
        p = model.get_parameter(name)
        p.data += size * torch.randn(p.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("inner", INNERS, ids=KINDS)
def test_it_starts_as_the_network_and_parts_from_it_at_second_order(inner: dict[str, Any]) -> None:
    x = torch.randn(7, 5, dtype=torch.float64)
    network, twin = make(inner, None), make(inner)
    torch.testing.assert_close(twin(x), network(x))
    errors = []
    for size in (1e-3, 1e-4):
        network, twin = make(inner, None), make(inner)
        before = network(x).detach()
        move(network, size)
        move(twin, size)
        assert (twin(x) - before).abs().max() > 0.1 * size
        errors.append((twin(x) - network(x)).abs().max().item())
    assert errors[1] < 0.02 * errors[0], "a tenth of the step, a hundredth of the error"


@pytest.mark.parametrize("inner", INNERS, ids=KINDS)
def test_outputs_and_gradients_are_those_of_the_jacobian(inner: dict[str, Any]) -> None:
    x = torch.randn(7, 5, dtype=torch.float64)
    network, twin = make(inner, None), make(inner)
    first = {n: network.get_parameter(n).detach() for n in classify(network)}
    jacobian = derivatives(network, first, x)
    move(twin, 0.7)
    own = [twin.get_parameter(f"inner.{n}") for n in first]
    moved = torch.cat([(p - first[n]).flatten() for n, p in zip(first, own, strict=True)])
    expected = network(x).squeeze(1) + jacobian @ moved
    torch.testing.assert_close(twin(x).squeeze(1), expected)
    slopes = torch.randn(7, dtype=torch.float64)
    found = torch.autograd.grad((twin(x).squeeze(1) * slopes).sum(), own)
    torch.testing.assert_close(torch.cat([g.flatten() for g in found]), slopes @ jacobian)


@pytest.mark.parametrize("inner", PAIRS, ids=[f"{c['kind']}{i}" for i, c in enumerate(PAIRS)])
def test_networks_on_pairs_have_expansions(inner: dict[str, Any]) -> None:
    """Against central differences of the network along the way it has gone."""
    spec = ModelSpec(IntegerPairs(5), 5)
    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    network, twin = (make(inner, wrap, spec=spec) for wrap in (None, "linearised"))
    first = {n: network.get_parameter(n).detach().clone() for n in classify(network)}
    move(twin, 0.3)
    moved = {n: twin.get_parameter(f"inner.{n}").detach() - p for n, p in first.items()}

    def at(size: float) -> Tensor:
        away = {n: p + size * moved[n] for n, p in first.items()}
        out: Tensor = functional_call(network, away, (pairs,))
        return out

    expected = at(0.0) + (at(1e-6) - at(-1e-6)) / 2e-6
    torch.testing.assert_close(twin(pairs), expected, rtol=1e-6, atol=1e-7)
    assert (twin(pairs) - at(0.0)).abs().max() > 0.01

    twin(pairs).square().mean().backward()
    slopes = [twin.get_parameter(f"inner.{n}").grad for n in first]
    assert all(g is not None and g.abs().max() > 0 for g in slopes)


@pytest.mark.parametrize("inner", INNERS, ids=KINDS)
def test_its_kernel_stays_that_of_the_start(inner: dict[str, Any]) -> None:
    x, y = torch.randn(7, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    network, twin = make(inner, None), make(inner)
    first = {n: network.get_parameter(n).detach() for n in classify(network)}
    jacobians = [derivatives(network, first, z) for z in (x, y)]
    move(twin, 0.7)
    now = {n: twin.get_parameter(n).detach() for n in classify(twin)}
    torch.testing.assert_close(tangent_kernel(twin, now, x, y), jacobians[0] @ jacobians[1].T)


def test_trained_to_the_limit_it_is_kernel_regression() -> None:
    """With centred outputs: ``k_0(x, X) K_0^{-1} y``; without, of what the start leaves."""
    torch.manual_seed(0)
    x, y, x_test = (torch.randn(*s, dtype=torch.float64) for s in ((6, 5), (6,), (4, 5)))
    for centred in (True, False):
        inner = {"kind": "linearised", "inner": INNERS[1]}
        keys = {"kind": "scaled", "centred": centred, "alpha": 2.0, "inner": inner}
        model = build_model(MODELS["scaled"].from_mapping(keys), SPEC, 0).double()
        trained = {n: model.get_parameter(n) for n in classify(model)}
        start, start_test = model(x).squeeze(1).detach(), model(x_test).squeeze(1).detach()
        first = {n: p.detach().clone() for n, p in trained.items()}
        kernel, cross = (tangent_kernel(model, first, z, x) for z in (x, x_test))
        rate = 0.9 * len(y) / torch.linalg.eigvalsh(kernel).max()
        for _ in range(20_000):
            loss = (model(x).squeeze(1) - y).square().mean()
            if loss < 1e-20:
                break
            for p, g in zip(
                trained.values(), torch.autograd.grad(loss, [*trained.values()]), strict=True
            ):
                p.data -= rate * g
        expected = start_test + cross @ torch.linalg.solve(kernel, y - start)
        torch.testing.assert_close(model(x_test).squeeze(1), expected, rtol=1e-6, atol=1e-6)


def test_an_expansion_shows_no_features() -> None:
    model = make(INNERS[0])
    with recording(model, ACTIVATIONS) as seen:
        model(torch.randn(2, 5, dtype=torch.float64))
    assert not seen


def test_roles_are_the_inner_network_s() -> None:
    for inner in INNERS:
        roles = classify(make(inner, None))
        assert classify(make(inner)) == {f"inner.{name}": role for name, role in roles.items()}


def test_functional_calls_move_the_trainable_copy_alone() -> None:
    twin = make(INNERS[1])
    x = torch.randn(3, 5, dtype=torch.float64)
    zero = {n: torch.zeros_like(twin.get_parameter(n)) for n in classify(twin)}
    assert not torch.equal(functional_call(twin, zero, (x,)), twin(x))


@pytest.mark.parametrize("inner", OF_IMAGES, ids=lambda c: f"{c['kind']}-{c.get('norm', '')}")
def test_networks_of_images_have_an_expansion(inner: dict[str, Any]) -> None:
    """Against the difference quotient along a direction, for inputs of both memory formats."""
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64).to(memory_format=torch.channels_last)
    twin, before = make(inner, spec=IMAGES), make(inner, None, spec=IMAGES)(x).detach()
    torch.testing.assert_close(twin(x), before)
    torch.testing.assert_close(twin(x.contiguous()), before)
    move(twin, 1.0)
    found = []
    for size in (1e-6, -1e-6):
        network = make(inner, None, spec=IMAGES)
        move(network, size)
        found.append(network(x).detach())
    slope = (found[0] - found[1]) / 2e-6
    most = slope.abs().max().item()
    torch.testing.assert_close(twin(x) - before, slope, rtol=1e-4, atol=1e-4 * most)
    twin(x).square().sum().backward()
    assert all(twin.get_parameter(name).grad is not None for name in classify(twin))


def test_running_statistics_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"model\.inner\.norm: got 'batch'"):
        make({"kind": "resnet", "depth": 8, "width": 8}, spec=IMAGES)
