from __future__ import annotations

import pytest
import torch
from torch import nn

from suite.errors import ConfigError
from suite.invariance.scale_invariance import scale_invariant
from suite.models.base import MODELS, ModelSpec, build_model, recording
from suite.models.inputs import Floats, Frames, IntegerPairs, MatrixEntries
from suite.params import ParamRole, classify

SPECS = {
    "mlp": ModelSpec(Floats((1, 8, 8)), 10),
    "cnn": ModelSpec(Floats((3, 32, 32)), 10),
    "transformer": ModelSpec(IntegerPairs(11), 11),
    "nature_cnn": ModelSpec(Frames((4, 84, 84)), 6),
    "data_efficient_cnn": ModelSpec(Frames((4, 84, 84)), 6),
    "impala_cnn": ModelSpec(Frames((4, 84, 84)), 6),
}
THEORY = {
    "committee": ModelSpec(Floats((5,)), 1),
    "diagonal": ModelSpec(Floats((5,)), 1),
    "matrix_factors": ModelSpec(MatrixEntries(5), 1),
}
"""Without norm layers, one output per example."""
FRAMES = ("nature_cnn", "data_efficient_cnn", "impala_cnn")


def _inputs(spec: ModelSpec) -> torch.Tensor:
    return spec.inputs.draw(3, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", THEORY)
def test_models_of_one_output(kind: str) -> None:
    config, spec = MODELS[kind].from_mapping({"kind": kind}), THEORY[kind]
    models = [build_model(config, spec, seed) for seed in (3, 3, 4)]
    inputs = spec.inputs.draw(4, torch.Generator().manual_seed(0))
    first, again, other = (model(inputs) for model in models)
    assert first.shape == (4, 1)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (not config.random_start)
    assert set(classify(models[0]).values()) == {ParamRole.WEIGHT}
    with pytest.raises(ConfigError, match=rf"model\.kind: got '{kind}'"):
        config.build(SPECS["transformer"])


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_shape_seed_and_roles(kind: str, norm: str) -> None:
    config = MODELS[kind].from_mapping({"kind": kind, "norm": norm})
    state = torch.random.get_rng_state()
    model = build_model(config, SPECS[kind], seed=3)
    assert torch.equal(state, torch.random.get_rng_state())
    again = build_model(config, SPECS[kind], seed=3)
    other = build_model(config, SPECS[kind], seed=4)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    assert any(
        not torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )
    assert model(_inputs(SPECS[kind])).shape == (3, SPECS[kind].outputs)
    roles = classify(model)
    assert set(roles) == {name for name, _ in model.named_parameters()}
    assert list(roles.values()).count(ParamRole.OUTPUT) == 1
    if norm == "layer":
        assert ParamRole.BIAS not in roles.values()
        assert ParamRole.GAIN in roles.values()


@pytest.mark.parametrize("kind", ["mlp", "cnn", *FRAMES])
def test_normalised_hidden_weights_are_scale_invariant(kind: str) -> None:
    config = MODELS[kind].from_mapping({"kind": kind, "norm": "layer"})
    model = build_model(config, SPECS[kind], seed=0)
    names = list(scale_invariant(model).names)
    weights = [name for name, role in classify(model).items() if role is ParamRole.WEIGHT]
    assert names == weights
    inputs = _inputs(SPECS[kind])
    before = model(inputs)
    with torch.no_grad():
        for name in names:
            model.get_parameter(name).mul_(3.0)
    torch.testing.assert_close(model(inputs), before, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_a_normalised_mlp_cannot_tell_an_input_from_its_multiple(norm: str) -> None:
    config = MODELS["mlp"].from_mapping({"kind": "mlp", "norm": norm})
    model = build_model(config, SPECS["mlp"], seed=0)
    inputs = _inputs(SPECS["mlp"])
    blind = torch.allclose(model(3 * inputs), model(inputs), rtol=1e-3, atol=1e-4)
    assert blind == (norm == "layer")


def test_features_are_recorded_by_activation() -> None:
    model = build_model(MODELS["mlp"].from_mapping({"kind": "mlp", "depth": 3}), SPECS["mlp"], 0)
    with recording(model, (nn.ReLU,)) as seen:
        model(torch.randn(5, 1, 8, 8))
    assert [tuple(value.shape) for value in seen.values()] == [(5, 256)] * 3
    assert all(not module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(("kind", "spec"), [("cnn", "mlp"), ("transformer", "mlp")])
def test_a_model_that_does_not_fit_says_so(kind: str, spec: str) -> None:
    flat = ModelSpec(Floats((10,)), 3) if kind == "cnn" else SPECS[spec]
    with pytest.raises(ConfigError, match=r"model\.kind"):
        MODELS[kind].from_mapping({"kind": kind}).build(flat)


def test_heads_must_divide_width() -> None:
    with pytest.raises(ConfigError, match=r"heads: got 3; expected a divisor of width = 128"):
        MODELS["transformer"].from_mapping({"kind": "transformer", "heads": 3})
