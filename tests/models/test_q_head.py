"""The head of a value network: dueling, distributions, and noisy maps against plain autograd."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from suite.interventions.normalize_project import Projection
from suite.invariance.scale_invariance import scale_invariant
from suite.models.base import ModelSpec, build_model
from suite.models.head_spec import HeadSpec
from suite.models.inputs import Floats, Frames
from suite.models.mlp import MlpConfig
from suite.models.noisy import NoisyLinear, draw_noise, noisy_layers
from suite.models.normalize import NormKind
from suite.models.q_head import QHead
from suite.models.q_network import NatureCnnConfig
from suite.params import ParamRole, classify

SPREAD = math.sqrt(2 / math.pi)
"""Variance of ``sign(z) sqrt(|z|)``: the mean of |z|."""

HEADS = [
    HeadSpec(dueling=True),
    HeadSpec(atoms=5),
    HeadSpec(noisy=0.5),
    HeadSpec(dueling=True, atoms=5),
    HeadSpec(dueling=True, noisy=0.5),
    HeadSpec(dueling=True, atoms=5, noisy=0.5),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def make_head(spec: HeadSpec, kind: NormKind = "layer") -> QHead:
    torch.manual_seed(0)
    head = QHead(inputs=6, hidden=8, actions=3, spec=spec, kind=kind).double()
    noise = list(noisy_layers(head))
    if noise:
        draw_noise(noise, seeded())
    return head


def noisy_map(inputs: int = 6, outputs: int = 4, bias: bool = True) -> NoisyLinear:
    torch.manual_seed(0)
    layer = NoisyLinear(inputs, outputs, bias, sigma=0.5).double()
    draw_noise([layer], seeded())
    return layer


def plainly(layer: NoisyLinear, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What Fortunato et al. 2018 write down, with the whole weight of the noise."""
    whole = weight[0] + weight[1] * torch.outer(layer.eps_out, layer.eps_in)
    y = x @ whole.T
    return y if bias is None else y + bias[0] + bias[1] * layer.eps_out


# Dueling and distributions.


@pytest.mark.parametrize("noisy", [None, 0.5])
@pytest.mark.parametrize("atoms", [1, 5])
def test_dueling_is_value_plus_centred_advantages(atoms: int, noisy: float | None) -> None:
    head = make_head(HeadSpec(True, atoms, noisy))
    assert head.value is not None
    x = normal(7, 6)
    value, advantage = head.value(x), head.advantage(x).view(7, 3, atoms)
    q = head(x).view(7, 3, atoms)
    for action in range(3):
        others = sum(advantage[:, a] for a in range(3)) / 3
        torch.testing.assert_close(q[:, action], value + advantage[:, action] - others)
    torch.testing.assert_close(q.mean(1), value)  # the advantages that count have mean zero


@pytest.mark.parametrize("atoms", [1, 5])
def test_value_and_advantages_are_told_apart(atoms: int) -> None:
    head: Any = make_head(HeadSpec(True, atoms), "none")
    x = normal(7, 6)
    before = head(x)
    with torch.no_grad():  # what all actions have in common is not an advantage
        head.advantage.output.bias += torch.arange(1.0, atoms + 1).repeat(3)
    torch.testing.assert_close(head(x), before)
    with torch.no_grad():
        head.value.output.bias += torch.arange(1.0, atoms + 1)
    risen = torch.arange(1.0, atoms + 1).double() if atoms > 1 else 1.0
    torch.testing.assert_close(head(x), before + risen)


def test_one_stream_is_its_outputs_by_action_then_atom() -> None:
    head = make_head(HeadSpec(atoms=5))
    x = normal(7, 6)
    assert head.value is None
    out = head.advantage(x)
    for action in range(3):
        assert torch.equal(head(x)[:, action], out[:, 5 * action : 5 * (action + 1)])


@pytest.mark.parametrize("spec", HEADS)
def test_shapes_and_seeds_of_whole_networks(spec: HeadSpec) -> None:
    shape = (2, 5, spec.atoms) if spec.atoms > 1 else (2, 5)
    cases = [
        (MlpConfig(width=8, depth=1), ModelSpec(Floats((4,)), 5, head=spec), torch.ones(2, 4)),
        (
            NatureCnnConfig(hidden=8, norm="layer"),
            ModelSpec(Frames((4, 36, 36)), 5, head=spec),
            torch.full((2, 4, 36, 36), 9, dtype=torch.uint8),
        ),
    ]
    for config, asked, inputs in cases:
        net = build_model(config, asked, seed=3)
        assert net(inputs).shape == shape
        torch.manual_seed(99)  # which the weights do not see
        again, other = (build_model(config, asked, seed) for seed in (3, 4))
        pairs = zip(net.state_dict().values(), again.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        for name, p in net.named_parameters():
            same = torch.equal(p, other.get_parameter(name))
            assert same == (".norm" in name), name


# Roles and projection.


@pytest.mark.parametrize("noisy", [None, 0.5])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_roles(norm: NormKind, dueling: bool, noisy: float | None) -> None:
    asked = ModelSpec(Floats((4,)), 3, head=HeadSpec(dueling, 5, noisy))
    roles = classify(build_model(MlpConfig(width=8, norm=norm), asked, seed=0))
    expected = {"torso.1.weight": ParamRole.WEIGHT}
    streams = ["advantage", "value"] if dueling else ["advantage"]
    for name in streams:
        expected[f"head.{name}.hidden.weight"] = ParamRole.WEIGHT
        expected[f"head.{name}.output.weight"] = ParamRole.OUTPUT
    norms = ["torso.2", *(f"head.{name}.norm.0" for name in streams)]
    if norm == "none":
        biased = [name.removesuffix(".weight") for name in expected]
        expected |= {f"{name}.bias": ParamRole.BIAS for name in biased}
    else:
        expected |= {f"{name}.weight": ParamRole.GAIN for name in norms}
    if norm == "layer":
        expected |= {f"{name}.bias": ParamRole.OFFSET for name in norms}
    assert roles == expected


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("spec", HEADS)
def test_hidden_weights_are_scale_invariant_and_output_layers_are_not_projected(
    spec: HeadSpec, norm: NormKind
) -> None:
    asked = ModelSpec(Floats((4,)), 3, head=spec)
    net = build_model(MlpConfig(width=16, norm=norm), asked, seed=0).double()
    noise = list(noisy_layers(net))
    if noise:
        draw_noise(noise, seeded())
    streams = ["advantage", "value"] if spec.dueling else ["advantage"]
    hidden = ["torso.1.weight", *(f"head.{name}.hidden.weight" for name in streams)]
    assert list(scale_invariant(net, normal(7, 4)).names) == hidden
    x = 3 * normal(7, 4)
    before = net(x)
    projection = Projection(net)
    assert list(projection.names) == hidden
    with torch.no_grad():
        for factor, name in enumerate(hidden, start=2):
            net.get_parameter(name).mul_(factor)
        torch.testing.assert_close(net(x), before, rtol=1e-2, atol=1e-3)
        projection.step()
        torch.testing.assert_close(net(x), before)
        for name in streams:
            net.get_parameter(f"head.{name}.output.weight").mul_(2)
        projection.step()
        assert not torch.allclose(net(x), before, rtol=0.1)


def test_the_norm_that_is_held_is_that_of_means_and_noise_together() -> None:
    asked = ModelSpec(Floats((4,)), 3, head=HeadSpec(noisy=0.5))
    net: Any = build_model(MlpConfig(width=16, norm="layer"), asked, seed=0).double()
    pair = net.head.advantage.hidden.weight
    norm = math.hypot(pair[0].norm().item(), pair[1].norm().item())
    projection = Projection(net)
    with torch.no_grad():
        pair[0] *= 3
        pair[1] += 1
    ratio = (pair[0] / pair[1]).clone()
    projection.step()
    assert math.hypot(pair[0].norm().item(), pair[1].norm().item()) == pytest.approx(norm)
    torch.testing.assert_close(pair[0] / pair[1], ratio)


def test_means_alone_are_not_scale_invariant() -> None:
    """So that it takes the joint norm: their size decides how much the noise weighs."""
    asked = ModelSpec(Floats((4,)), 3, head=HeadSpec(noisy=0.5))
    net: Any = build_model(MlpConfig(width=16, norm="layer"), asked, seed=0).double()
    draw_noise(list(noisy_layers(net)), seeded())
    x = normal(7, 4)
    before = net(x)
    with torch.no_grad():
        net.head.advantage.hidden.weight[0].mul_(2)
    assert not torch.allclose(net(x), before, rtol=0.05)


# Noisy maps.


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("leaf", [False, True])  # the first map of a network gives x no slope
def test_a_noisy_map_and_its_slopes_equal_plain_autograd(bias: bool, leaf: bool) -> None:
    layer = noisy_map(bias=bias)
    parameters = dict(layer.named_parameters())
    found = []
    for forward in (
        lambda x: layer(x),
        lambda x: plainly(layer, x, parameters["weight"], parameters.get("bias")),
    ):
        x = normal(5, 6).requires_grad_(leaf)
        y = forward(x)
        layer.zero_grad()
        (y.cos() * normal(5, 4, seed=2)).sum().backward()
        found.append([y.detach(), x.grad, *(p.grad for p in layer.parameters())])
    for mine, plain in zip(*found, strict=True):
        if plain is None:
            assert mine is None
        else:
            torch.testing.assert_close(mine, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_slopes_are_those_of_differences(bias: bool) -> None:
    layer = noisy_map(3, 2, bias)
    names = [name for name, _ in layer.named_parameters()]

    def forward(x: Tensor, *parameters: Tensor) -> Tensor:
        out: Tensor = functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))
        return out

    given = (normal(4, 3).requires_grad_(), *layer.parameters())
    assert torch.autograd.gradcheck(forward, given)


def test_a_frozen_map_still_passes_slopes_on() -> None:
    layer = noisy_map().requires_grad_(False)
    x = normal(5, 6).requires_grad_()
    layer(x).sum().backward()
    whole = layer.weight[0] + layer.weight[1] * torch.outer(layer.eps_out, layer.eps_in)
    torch.testing.assert_close(x.grad, whole.sum(0).expand(5, 6))
    assert layer.weight.grad is None


def test_without_noise_the_map_is_that_of_the_means() -> None:
    layer = noisy_map()
    assert layer.bias is not None
    fresh = NoisyLinear(6, 4).double()
    fresh.load_state_dict(layer.state_dict())  # noise is no part of the weights
    x = normal(5, 6)
    torch.testing.assert_close(fresh(x), x @ layer.weight[0].T + layer.bias[0])
    assert not torch.allclose(layer(x), fresh(x), rtol=0.01)


def test_initial_means_are_uniform_and_noise_is_constant() -> None:
    torch.manual_seed(0)
    layer = NoisyLinear(400, 300, sigma=0.1)
    assert layer.bias is not None
    for mean, sigma in (layer.weight, layer.bias):
        torch.testing.assert_close(sigma, torch.full_like(sigma, 0.1 / 20))
        assert mean.abs().max() <= 1 / 20
    mean = layer.weight[0]
    assert mean.std().item() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.01)
    assert mean.mean().item() == pytest.approx(0, abs=5e-4)  # 6 standard errors


def test_noise_follows_from_the_generator_alone() -> None:
    layers = [noisy_map(6, 4), noisy_map(4, 3)]

    def draw(generator: torch.Generator) -> list[Tensor]:
        draw_noise(layers, generator)
        return [eps.clone() for layer in layers for eps in (layer.eps_in, layer.eps_out)]

    generator, same = seeded(5), seeded(5)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = draw(generator), draw(generator)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    again = [draw(same), draw(same)]
    for mine, theirs in zip([*first, *second], [*again[0], *again[1]], strict=True):
        assert torch.equal(mine, theirs)
    values = torch.cat([*first, *second])
    assert len(values.unique()) == len(values)  # no two inputs, layers or draws share any


def test_the_size_of_the_noise() -> None:
    layer = NoisyLinear(3000, 2000)
    draw_noise([layer], seeded())
    for eps in (layer.eps_in, layer.eps_out):
        number = len(eps)
        assert eps.mean().item() == pytest.approx(0, abs=5 / math.sqrt(number))
        assert eps.square().mean().item() == pytest.approx(SPREAD, abs=5 / math.sqrt(number))
        # The square is a half-normal variable: 68% of them are below 1.
        assert (eps.abs() < 1).float().mean().item() == pytest.approx(0.683, abs=0.05)


def test_outputs_spread_about_those_of_the_means() -> None:
    """Their variance is that of eps_out times that of the inner sum, and the bias's."""
    layer, x = noisy_map(5, 3), normal(1, 5)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight[1].copy_(0.1 + normal(3, 5, seed=3).abs())
        layer.bias[1].fill_(0.3)
    generator, drawn = seeded(), []
    for _ in range(8000):
        draw_noise([layer], generator)
        drawn.append(layer(x).detach())
    outputs = torch.cat(drawn)
    mean = (x @ layer.weight[0].T + layer.bias[0]).detach()[0]
    inner = SPREAD * ((layer.weight[1] * x) ** 2).sum(1) + 0.3**2
    variance = (SPREAD * inner).detach()
    torch.testing.assert_close(outputs.var(0), variance, rtol=0.1, atol=0)
    error = (variance / 8000).sqrt()
    assert ((outputs.mean(0) - mean).abs() < 5 * error).all()
