"""Closed forms with an axis of runs against the modules and autograd."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats, IntegerPairs, MatrixEntries

RUNS, N = 3, 7
VECTORS = ModelSpec(Floats((5,)), 1)
SCALES = ((0.5, 0.1), (1.0, 0.3), (4.0, 1.0))
INNER = {"kind": "committee", "width": 4}
EPSILONS = (0.02, 0.5, 1.0)
COMMITTEES = {  # more units than inputs, fewer, and what is always summed over units
    "wide": {"width": 9},
    "narrow": {"width": 3},
    "read": {"width": 9, "trained_readout": True},
    "hermite": {"width": 4, "hermite": 3},
    "both": {"width": 3, "hermite": 4, "trained_readout": True},
}
CASES: dict[str, tuple[ModelSpec, list[dict[str, Any]]]] = {
    **{
        f"committee {name}": (VECTORS, [{**keys, "epsilon": e} for e in EPSILONS])
        for name, keys in COMMITTEES.items()
    },
    **{
        f"linearised {name}": (
            VECTORS,
            [{"inner": {"kind": "committee", **keys, "epsilon": e}} for e in EPSILONS],
        )
        for name, keys in COMMITTEES.items()
    },
    "scaled linearised": (
        VECTORS,
        [
            {
                "alpha": a,
                "centred": True,
                "inner": {"kind": "linearised", "inner": {**INNER, "epsilon": e}},
            }
            for a, e in SCALES
        ],
    ),
    "diagonal": (VECTORS, [{"initial_norm": a} for a in (1.0, 2.0, 8.0)]),
    "matrix_factors": (ModelSpec(MatrixEntries(5), 1), [{"scale": a} for a in (1.0, 2.0, 3.0)]),
    "pair_relu": (ModelSpec(IntegerPairs(5), 5), [{"width": 6, "scale": a} for a in (1, 2, 3)]),
    "scaled": (
        VECTORS,
        [{"alpha": a, "centred": True, "inner": {**INNER, "epsilon": e}} for a, e in SCALES],
    ),
}


def make(case: str) -> tuple[list[Any], list[nn.Module], Tensor, Tensor]:
    spec, keys = CASES[case]
    kind = case.split()[0]
    configs = [MODELS[kind].from_mapping({"kind": kind, **k}) for k in keys]
    models = [build_model(c, spec, seed).double() for seed, c in enumerate(configs)]
    generator = torch.Generator().manual_seed(0)
    for model in models:  # away from symmetric starts
        for p in filter(lambda p: p.requires_grad, model.parameters()):
            p.data += 0.3 * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    if isinstance(spec.inputs, IntegerPairs | MatrixEntries):
        size = spec.inputs.below
        inputs = torch.randint(0, size, (RUNS, N, 2), generator=generator)
    else:
        inputs = torch.randn(RUNS, N, *spec.inputs.shape, generator=generator, dtype=torch.float64)
    classes = [spec.outputs] if spec.outputs > 1 else []
    slopes = torch.randn(RUNS, N, *classes, generator=generator, dtype=torch.float64)
    return configs, models, inputs, slopes


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_autograd(case: str, shared: bool) -> None:
    configs, models, inputs, slopes = make(case)
    inputs = inputs[:1] if shared else inputs
    parameters = {
        name: torch.stack([dict(m.named_parameters())[name].detach() for m in models])
        for name, _ in models[0].named_parameters()
    }
    batched = type(configs[0]).batched(configs, slopes)
    outputs, context = batched.forward(parameters, inputs)
    gradients = batched.backward(parameters, inputs, slopes, context)
    assert outputs.shape == slopes.shape
    for run, model in enumerate(models):
        own = model(inputs[0 if shared else run]).view_as(slopes[run])
        torch.testing.assert_close(outputs[run], own.detach(), rtol=1e-11, atol=1e-12)
        (own * slopes[run]).sum().backward()
        assert set(gradients) == {n for n, p in model.named_parameters() if p.requires_grad}
        for name, p in filter(lambda item: item[1].requires_grad, model.named_parameters()):
            torch.testing.assert_close(gradients[name][run], p.grad, rtol=1e-11, atol=1e-12)


def test_models_without_a_closed_form_have_none_inside_others() -> None:
    mlp = {"kind": "mlp", "width": 4}
    for kind in ("scaled", "linearised"):
        config = MODELS[kind].from_mapping({"kind": kind, "inner": mlp})
        assert type(config).batched([config], torch.zeros(1)) is None
    diagonal = {"kind": "linearised", "inner": {"kind": "diagonal"}}  # has no first order
    config = MODELS["linearised"].from_mapping(diagonal)
    assert type(config).batched([config], torch.zeros(1)) is None


def test_pairs_by_columns_are_products_with_one_hot_codes() -> None:
    spec = ModelSpec(IntegerPairs(7), 7)
    config = MODELS["pair_relu"].from_mapping({"kind": "pair_relu", "width": 11, "scale": 2.0})
    model: Any = build_model(config, spec, 0).double()
    model.hidden.bias.data.normal_()
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    codes = torch.nn.functional.one_hot(pairs, 7).flatten(1).double()
    linear = torch.nn.functional.linear
    torch.testing.assert_close(
        model(pairs), model.readout(linear(codes, model.hidden.weight, model.hidden.bias).relu())
    )


def test_pair_relu_starts_as_he_et_al_with_its_scale_and_is_homogeneous() -> None:
    spec, wide = ModelSpec(IntegerPairs(31), 31), {"kind": "pair_relu", "width": 400}
    config = MODELS["pair_relu"].from_mapping({**wide, "scale": 3.0})
    model: Any = build_model(config, spec, 0)
    assert model.hidden.weight.std().item() == pytest.approx(3 * (2 / 62) ** 0.5, rel=0.02)
    assert model.readout.weight.std().item() == pytest.approx(3 / 20, rel=0.02)
    assert not model.hidden.bias.any()
    pairs = torch.tensor([[3, 4], [30, 0]])
    before = model(pairs)
    for parameter in model.parameters():
        parameter.data *= 1.7
    torch.testing.assert_close(model(pairs), 1.7**model.homogeneity * before)
    silent = MODELS["pair_relu"].from_mapping({**wide, "zero_output": True, "bias": False})
    model = build_model(silent, spec, 0)
    assert not model(pairs).any()
    assert model.hidden.bias is None
