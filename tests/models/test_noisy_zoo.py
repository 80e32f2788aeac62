"""Noisy layers as DQN Zoo has them, against a slow reference written from its description.

``noisy_linear`` in DQN Zoo: means and noise are two linear maps, that of the noise always with a
bias; inputs and outputs of the latter are multiplied by ``sign(z) sqrt(|z|)``, z from a normal
truncated at 2. Rainbow's hidden layers have biases of means, its output layers have none.
"""

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from suite.agents.base import AGENTS
from suite.models.base import ModelSpec, build_model
from suite.models.head_spec import PLAIN, HeadSpec
from suite.models.inputs import Floats
from suite.models.mlp import MlpConfig
from suite.models.noisy import NoisyLinear, draw_noise, noisy_layers
from suite.models.normalize import NormKind
from suite.models.q_head import QHead


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slowly(
    x: Tensor,
    mean: Tensor,
    sigma: Tensor,
    mean_bias: Tensor | None,
    sigma_bias: Tensor,
    eps_in: Tensor,
    eps_out: Tensor,
) -> Tensor:
    """One output at a time, in Python's own float64."""
    rows = []
    for features in x.tolist():
        row = []
        for j in range(len(mean)):
            mu = sum(m * f for m, f in zip(mean[j].tolist(), features, strict=True))
            mu += 0.0 if mean_bias is None else mean_bias.tolist()[j]
            noisy = sum(
                s * e * f
                for s, e, f in zip(sigma[j].tolist(), eps_in.tolist(), features, strict=True)
            )
            row.append(mu + eps_out.tolist()[j] * (noisy + sigma_bias.tolist()[j]))
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("mean_bias", [True, False])
def test_a_map_equals_the_slow_reference(mean_bias: bool) -> None:
    torch.manual_seed(1)
    layer = NoisyLinear(5, 4, sigma=0.3, bound=2.0, mean_bias=mean_bias).double()
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight[1].add_(0.1 * torch.randn(4, 5))
        layer.bias[-1].add_(0.1 * torch.randn(4))
    draw_noise([layer], generator())
    assert layer.bias.shape == (1 + mean_bias, 4)
    x = torch.randn(3, 5, dtype=torch.float64)
    expected = slowly(
        x,
        layer.weight[0],
        layer.weight[1],
        layer.bias[0] if mean_bias else None,
        layer.bias[-1],
        layer.eps_in,
        layer.eps_out,
    )
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(
        lambda x, w, b: torch.func.functional_call(layer, {"weight": w, "bias": b}, (x,)),
        (x, layer.weight, layer.bias),
    )


def test_without_noise_there_is_no_bias_where_it_has_no_mean() -> None:
    layer = NoisyLinear(6, 3, mean_bias=False)
    x = torch.randn(4, 6)
    torch.testing.assert_close(layer(x), x @ layer.weight[0].T)


@pytest.mark.parametrize("bound", [2.0, 0.7])
def test_noise_is_made_of_a_truncated_normal(bound: float) -> None:
    layers = [NoisyLinear(30_000, 1, bound=bound), NoisyLinear(1, 20_000, bound=bound)]
    for seed in range(3):
        draw_noise(layers, generator(seed))
        for eps in (layers[0].eps_in, layers[1].eps_out):
            z = (eps.sign() * eps.square()).double().numpy()
            assert abs(z).max() <= bound * (1 + 1e-6)
            assert stats.kstest(z, stats.truncnorm(-bound, bound).cdf).pvalue > 1e-3
            assert z.std() == pytest.approx(stats.truncnorm(-bound, bound).std(), rel=0.03)
    draw_noise(layers, generator(0))
    first = layers[0].eps_in.clone()
    draw_noise(layers, generator(0))
    assert torch.equal(first, layers[0].eps_in)


def test_plain_noise_is_not_truncated() -> None:
    layer = NoisyLinear(30_000, 1)
    draw_noise([layer], generator())
    z = (layer.eps_in.sign() * layer.eps_in.square()).double().numpy()
    assert abs(z).max() > 3.5
    assert stats.kstest(z, stats.norm.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("agent", "sigma", "bound", "output_means"),
    [("rainbow", 0.1, 2.0, False), ("der", 0.1, None, True)],
)
def test_the_choice_of_each_agent(
    agent: str, sigma: float, bound: float | None, output_means: bool
) -> None:
    config = AGENTS[agent](kind=agent)
    net = build_model(
        MlpConfig(width=8, depth=2), ModelSpec(Floats((4,)), 3, head=config.head), seed=0
    )
    layers = dict(net.named_modules())
    for stream in ("advantage", "value"):
        hidden, output = layers[f"head.{stream}.hidden"], layers[f"head.{stream}.output"]
        assert hidden.bias.shape == (2, 8)
        assert len(output.bias) == 1 + output_means
        for layer in (hidden, output):
            assert layer.bound == bound
            assert layer.bias[-1].tolist() == pytest.approx(
                [sigma / math.sqrt(layer.weight.shape[2])] * layer.weight.shape[1]
            )
    assert len(list(noisy_layers(net))) == 4


def test_agents_without_noise_ask_for_no_head_of_their_own() -> None:
    assert AGENTS["dqn"](kind="dqn").head == PLAIN
    rainbow: Any = AGENTS["rainbow"]
    plain = rainbow(kind="rainbow", noisy=None, dueling=False, distribution=None)
    assert plain.head == PLAIN


@pytest.mark.parametrize("kind", ["none", "layer"])
def test_with_norm_layers_there_are_no_biases_at_all(kind: NormKind) -> None:
    head = QHead(6, 8, 3, HeadSpec(True, 5, 0.1, 2.0, False), kind)
    for name, layer in head.named_modules():
        if isinstance(layer, NoisyLinear):
            rows = 0 if layer.bias is None else len(layer.bias)
            assert rows == (0 if kind == "layer" else 1 if "output" in name else 2)
