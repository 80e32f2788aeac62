"""MinAtar's network: sums written out in double precision, heads, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from suite.errors import ConfigError
from suite.invariance.scale_invariance import check_invariant, scale_invariant
from suite.models.base import ModelSpec, build_model
from suite.models.head_spec import HeadSpec
from suite.models.inputs import Floats, Frames
from suite.models.minatar_cnn import MinatarCnnConfig

SPEC = ModelSpec(Floats((4, 10, 10)), outputs=6)


def test_it_is_the_published_network() -> None:
    network: Any = build_model(MinatarCnnConfig(), SPEC, seed=0).double()
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    kernel, bias = state["conv1.weight"], state["conv1.bias"]
    assert kernel.shape == (16, 4, 3, 3)
    assert state["hidden.weight"].shape == (128, 16 * 8 * 8)
    board = np.random.default_rng(0).integers(2, size=(2, 4, 10, 10)).astype(np.float64)
    maps = np.zeros((2, 16, 8, 8))
    for n, channel, row, column in np.ndindex(2, 16, 8, 8):
        patch = board[n, :, row : row + 3, column : column + 3]
        maps[n, channel, row, column] = (patch * kernel[channel]).sum() + bias[channel]
    features = np.maximum(maps, 0).reshape(2, -1)
    hidden = np.maximum(features @ state["hidden.weight"].T + state["hidden.bias"], 0)
    expected = hidden @ state["output.weight"].T + state["output.bias"]
    found = network(torch.from_numpy(board)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_with_norm_layers_all_weights_but_the_output_s_are_scale_invariant() -> None:
    network = build_model(MinatarCnnConfig(norm="layer"), SPEC, seed=0)
    names = list(scale_invariant(network).names)
    assert names == ["conv1.weight", "hidden.weight"]
    check_invariant(network, names, torch.rand(8, 4, 10, 10))


@pytest.mark.parametrize("head", [HeadSpec(dueling=True), HeadSpec(noisy=0.5), HeadSpec(atoms=5)])
def test_it_has_the_heads_that_agents_ask_for(head: HeadSpec) -> None:
    spec = ModelSpec(Floats((7, 10, 10)), outputs=3, head=head)
    values = build_model(MinatarCnnConfig(hidden=8), spec, seed=0)(torch.rand(5, 7, 10, 10))
    assert values.shape == ((5, 3, 5) if head.atoms > 1 else (5, 3))


@pytest.mark.parametrize("inputs", [Floats((4,)), Floats((4, 2, 10)), Frames((4, 84, 84))])
def test_other_inputs_are_refused(inputs: Any) -> None:
    with pytest.raises(ConfigError, match=r"model\.kind: got 'minatar_cnn'"):
        MinatarCnnConfig().build(ModelSpec(inputs, outputs=2))
