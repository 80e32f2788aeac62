"""Where norm layers stand, the blocks of the CNN, and what both mean for scale invariance."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.invariance.scale_invariance import scale_invariant
from suite.models.base import MODELS, ModelSpec, build_model, dry_model
from suite.models.inputs import Floats
from suite.models.normalize import RmsNorm2d
from suite.params import ParamRole, classify
from suite.run_config import RunConfig

FLAT, IMAGES = ModelSpec(Floats((6,)), 3), ModelSpec(Floats((1, 28, 28)), 10)


def network(spec: ModelSpec = FLAT, **config: Any) -> nn.Module:
    return build_model(MODELS[config["kind"]].from_mapping(config), spec, 0).double()


def normalised(h: Tensor, kind: str) -> Tensor:
    """LayerNorm or RMSNorm of one vector at its start, entry by entry."""
    values = h.tolist()
    mean = sum(values) / len(values) if kind == "layer" else 0.0
    square = sum((v - mean) ** 2 for v in values) / len(values)
    eps = 1e-5 if kind == "layer" else 1e-6
    return torch.tensor([(v - mean) / (square + eps) ** 0.5 for v in values]).double()


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_the_mlp_by_hand(norm: str, place: str) -> None:
    net = network(kind="mlp", width=8, norm=norm, norm_place=place)
    maps = [m.weight for m in net.modules() if isinstance(m, nn.Linear)]
    assert len(maps) == 3
    inputs = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for x, y in zip(inputs, net(inputs), strict=True):
        for weight in maps[:-1]:
            x = weight @ x
            x = normalised(x, norm).clamp_min(0) if place == "before" else x.clamp_min(0)
            x = x if place == "before" else normalised(x, norm)
        torch.testing.assert_close(maps[-1] @ x, y, rtol=1e-6, atol=1e-7)


def test_rms_of_images_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 2, 4, 5, dtype=torch.float64, generator=generator)
    layer = RmsNorm2d(2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, -3.0]))
    for image, out in zip(x, layer(x), strict=True):
        size = (sum(v**2 for v in image.flatten().tolist()) / 40 + 1e-6) ** 0.5
        for channel, gain in enumerate((2.0, -3.0)):
            torch.testing.assert_close(out[channel], gain * image[channel] / size)
    assert list(classify(nn.Sequential(layer)).values()) == [ParamRole.GAIN]


@pytest.mark.parametrize("kind", ["mlp", "cnn", "blocks"])
@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "crelu", "gelu", "fourier"])
def test_behind_homogeneous_nonlinearities_weights_are_scale_invariant(
    kind: str, norm: str, activation: str
) -> None:
    """norm(f(cWx)) = norm(c f(Wx)) = norm(f(Wx)) for these f; not for GELU and sines."""
    config: dict[str, Any] = {"kind": kind, "norm": norm, "norm_place": "after"}
    if kind == "blocks":
        config |= {"kind": "cnn", "blocks": [3, 4], "hidden": 16}
    elif kind == "cnn":
        config |= {"channels": 4, "hidden": 16}
    config["activation"] = activation
    net = network(IMAGES, **config)
    weights = {name for name, role in classify(net).items() if role is ParamRole.WEIGHT}
    homogeneous = activation not in ("gelu", "fourier")
    dry = dry_model(MODELS[config["kind"]].from_mapping(config), IMAGES)
    for found in (scale_invariant(net.float()), scale_invariant(dry)):
        assert set(found.names) == (weights if homogeneous else set())
    net = net.double()
    inputs = torch.randn(5, 1, 28, 28, dtype=torch.float64)
    for name in weights:
        before, weight = net(inputs), net.get_parameter(name)
        with torch.no_grad():
            weight.mul_(5.0)
            moved = (net(inputs) - before).abs().max() / before.abs().max()
            weight.div_(5.0)
        assert (moved < 1e-2) == homogeneous, (name, moved)


def test_norm_layers_behind_the_nonlinearity_do_not_undo_an_offset() -> None:
    """A bias before ReLU would break homogeneity; with norm layers there are none."""
    net = network(kind="mlp", width=8, norm="layer", norm_place="after")
    assert ParamRole.BIAS not in classify(net).values()


def test_the_blocks_are_two_convolutions_and_a_pool() -> None:
    net = network(IMAGES, kind="cnn", blocks=[32, 64], hidden=512, norm="none")
    assert isinstance(net, nn.Sequential)
    kinds = "".join(type(m).__name__[0] for m in net)
    assert kinds == "CRCRM" * 2 + "FLRL"
    assert [m.out_channels for m in net if isinstance(m, nn.Conv2d)] == [32, 32, 64, 64]
    convolutions = 9 * (1 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (32 + 64)
    dense = 7 * 7 * 64 * 512 + 512 + 512 * 10 + 10
    assert sum(p.numel() for p in net.parameters()) == convolutions + dense


def test_a_post_norm_network_is_projected() -> None:
    run = RunConfig.from_mapping(
        {
            "task": {"kind": "random_labels", "dataset": "digits", "tasks": 1, "steps": 2},
            "model": {"kind": "mlp", "norm": "layer", "norm_place": "after"},
            "interventions": ["nap"],
        }
    )
    run.check()
    other = {**run.model_dump(mode="json")}
    other["model"]["activation"] = "gelu"
    with pytest.raises(ConfigError, match=r"interventions\.nap"):
        RunConfig.from_mapping(other).check()


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"kind": "mlp", "norm": "none", "norm_place": "after"}, "norm_place"),
        ({"kind": "cnn", "norm": "none", "norm_place": "after"}, "norm_place"),
        ({"kind": "cnn", "blocks": [4], "channels": 8}, "channels"),
        ({"kind": "cnn", "blocks": [4], "strides": [1, 1, 1]}, "strides"),
        ({"kind": "cnn", "blocks": [0]}, "blocks[0]"),
    ],
)
def test_bad_settings_name_their_key(config: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        MODELS[config["kind"]].from_mapping(config)
    assert error.value.key == key


def test_images_that_the_pools_would_use_up_are_refused() -> None:
    config = MODELS["cnn"].from_mapping({"kind": "cnn", "blocks": [2, 2, 2, 2]})
    dry_model(config, ModelSpec(Floats((1, 16, 16)), 2))
    with pytest.raises(ConfigError, match=r"model\.blocks: got .*at most 3 blocks"):
        dry_model(config, ModelSpec(Floats((1, 15, 16)), 2))


def test_value_networks_have_norm_layers_before_the_nonlinearity() -> None:
    run = RunConfig.from_mapping(
        {
            "task": {"kind": "classic_control"},
            "agent": "rainbow",
            "model": {"kind": "mlp", "norm": "layer", "norm_place": "after"},
            "budget": {"agent_steps": 2000},
        }
    )
    with pytest.raises(ConfigError, match=r"model\.norm_place: got 'after'"):
        run.check()
