"""Norm layers put into built networks: names, biases, and that the weights are scale-invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.interventions.normalize_project import Projection
from suite.invariance.scale_invariance import scale_invariant
from suite.rllib.normalise import normalise_, output_maps
from suite.rllib.part import Part, names_of


def image_network() -> nn.Module:
    from ray.rllib.core.models.torch.primitives import TorchCNN

    filters: list[list[Any]] = [[4, 3, 2], [6, 3, 2]]
    cnn = TorchCNN(input_dims=[8, 8, 3], cnn_filter_specifiers=filters)
    return nn.Sequential(cnn, nn.Flatten(), nn.Linear(24, 5))


def vector_network(layernorm: bool = False) -> nn.Module:
    from ray.rllib.core.models.torch.primitives import TorchMLP

    network: nn.Module = TorchMLP(
        input_dim=6,
        hidden_layer_dims=[7, 5],
        hidden_layer_activation="tanh",
        hidden_layer_use_layernorm=layernorm,
        output_dim=3,
    )
    return network


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(
    ("make", "inputs", "expected"),
    [
        (vector_network, (16, 6), {"mlp.0.weight", "mlp.2.weight"}),
        (image_network, (16, 8, 8, 3), {"0.cnn.1.weight", "0.cnn.4.weight"}),
    ],
)
def test_passes_through_the_network_agree_with_the_list(
    make: Callable[[], nn.Module], inputs: tuple[int, ...], expected: set[str], affine: bool
) -> None:
    network = make()
    probe = torch.randn(inputs)
    assert not scale_invariant(network, probe).names
    names = normalise_(network, affine)
    assert set(names) == expected
    assert set(scale_invariant(network, probe).names) == expected
    assert set(Projection(network, probe=probe).names) == expected
    norms = [m for m in network.modules() if isinstance(m, nn.LayerNorm | nn.GroupNorm)]
    assert len(norms) == 2
    assert all((m.weight is not None) is affine for m in norms)


def test_norm_layers_of_rllib_are_kept() -> None:
    network = vector_network(layernorm=True)
    before = [type(m) for m in network.modules()]
    assert normalise_(network) == ("mlp.0.weight", "mlp.3.weight")
    assert [type(m) for m in network.modules()] == before
    assert set(scale_invariant(network, torch.randn(16, 6)).names) == {
        "mlp.0.weight",
        "mlp.3.weight",
    }


def test_outputs_are_the_maps_with_nothing_behind_them() -> None:
    network = nn.ModuleDict({"a": vector_network(), "b": nn.Sequential(nn.Linear(3, 2))})
    assert output_maps(network) == ["a.mlp.4", "b.0"]
    assert output_maps(nn.ModuleDict({"c": nn.Linear(2, 2)})) is None


def test_a_part_shares_the_parameters_of_its_optimizer_alone() -> None:
    network = nn.Module()
    network.both = nn.ModuleDict({"actor": vector_network(), "critic": vector_network()})
    network.scale = nn.Parameter(torch.ones(1))
    normalise_(network)
    wanted: list[Tensor] = [*network.both["actor"].parameters(), network.scale]
    part = Part(network, names_of(network, wanted))
    assert [id(p) for p in part.parameters()] == [id(network.scale), *map(id, wanted[:-1])]
    assert set(dict(part.named_parameters())) == {
        "scale",
        *(n for n, _ in network.named_parameters() if "actor" in n),
    }
    assert part.output_layers == ["both.actor.mlp.4"]
    with pytest.raises(RuntimeError, match="no forward pass"):
        part(torch.zeros(1))


@pytest.mark.ray
def test_a_module_without_a_place_for_norm_layers_is_refused() -> None:
    import gymnasium
    import numpy as np
    from ray.rllib.core.rl_module.torch import TorchRLModule

    from suite.rllib import nap_module

    class Bare(TorchRLModule):
        def setup(self) -> None:
            self.map = nn.Linear(4, 2)

        def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
            return {"action_dist_inputs": torch.relu(self.map(batch["obs"]))}

    box = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
    with pytest.raises(ConfigError, match="base: got 'Bare'"):
        nap_module(Bare)(
            observation_space=box, action_space=gymnasium.spaces.Discrete(2), model_config={}
        )
