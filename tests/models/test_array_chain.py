"""Small chains on arrays against autograd, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from suite.models.array_chain import MOST, ArrayChain, takes, widest
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats
from suite.training.joint import stack_parameters


def named(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters())


def network(norm: str, place: str = "before", affine: bool = True) -> nn.Module:
    keys = {"kind": "mlp", "width": 5, "depth": 2, "norm": norm, "norm_place": place}
    model = build_model(MODELS["mlp"].from_mapping(keys), ModelSpec(Floats((2, 3)), 3), 0).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # gains and offsets that differ from 1 and 0
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    if not affine:
        for m in model.modules():
            if isinstance(m, nn.LayerNorm | nn.RMSNorm):
                m.register_parameter("weight", None)
                m.register_parameter("bias", None)
    return model


@pytest.mark.parametrize(("rows", "size"), [(4, 4), (9, 4), (1, 1)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("norm", "place"),
    [("none", "before"), *((norm, at) for norm in ("layer", "rms") for at in ("before", "after"))],
)
def test_outputs_and_gradients_are_autograd_s(
    norm: str, place: str, affine: bool, rows: int, size: int
) -> None:
    model = network(norm, place, affine)
    gradients = {name: torch.zeros_like(p).detach() for name, p in model.named_parameters()}
    chain = ArrayChain(model, named(model), gradients, rows, size)
    assert chain.features == 3
    generator = torch.Generator().manual_seed(2)
    for _ in range(2):  # memory is written again, and parameters are read as they are
        inputs, weights = (
            torch.randn(*shape, generator=generator, dtype=torch.float64)
            for shape in ((rows, 6), (size, 3))
        )
        found = torch.from_numpy(chain.forward(inputs.numpy()))
        wanted: Tensor = model(inputs)
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-12, atol=1e-12)
        chain.backward(inputs.numpy()[:size], weights.numpy())
        model.zero_grad()
        (wanted[:size] * weights).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-11, atol=1e-12)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.9)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_several_networks_are_as_each_alone(norm: str, affine: bool) -> None:
    runs, rows, size = 3, 9, 4
    models = [network(norm, affine=affine) for _ in range(runs)]
    with torch.no_grad():
        for factor, model in enumerate(models, 1):
            for parameter in model.parameters():
                parameter.mul_(factor)
    stacks = stack_parameters(models)
    gradients = {name: torch.zeros_like(stack) for name, stack in stacks.items()}
    chain = ArrayChain(models[0], stacks, gradients, rows, size)
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(runs, rows, 6, generator=generator, dtype=torch.float64)
    weights = torch.randn(runs, size, 3, generator=generator, dtype=torch.float64)
    found = torch.from_numpy(chain.forward(inputs.numpy()))
    chain.backward(inputs.numpy()[:, :size], weights.numpy())
    for run, model in enumerate(models):
        wanted = model(inputs[run])
        torch.testing.assert_close(found[run], wanted.detach(), rtol=1e-12, atol=1e-12)
        (wanted[:size] * weights[run]).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(gradients[name][run], parameter.grad, rtol=1e-11, atol=1e-12)


def test_gradients_that_are_not_asked_for_are_left() -> None:
    model = network("layer")
    chain = ArrayChain(model, named(model), {}, 2, 2)
    inputs = torch.randn(2, 6, dtype=torch.float64).numpy()
    chain.backward(inputs, chain.forward(inputs))
    assert all(p.grad is None for p in model.parameters())


def test_what_does_not_fit_is_refused() -> None:
    small = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert takes(small, named(small), MOST // 6)
    assert not takes(small, named(small), MOST // 6 + 1)
    assert widest(small) == 6
    others: list[nn.Module] = [
        nn.Linear(2, 3),
        nn.Sequential(nn.ReLU(), nn.Linear(2, 3)),
        nn.Sequential(nn.Flatten()),
        nn.Sequential(nn.Linear(2, 3), nn.Tanh()),
        nn.Sequential(nn.Linear(2, 3), nn.Dropout()),
        nn.Sequential(nn.Linear(2, 3).bfloat16(), nn.ReLU()),
        nn.Sequential(nn.Linear(2, 3, device="meta"), nn.ReLU()),
        nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2).double()),
    ]
    apart = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    weight = next(apart.parameters())
    weight.data = weight.data.mT.contiguous().mT
    for model in (*others, apart):
        assert not takes(model, named(model), 1)
        with pytest.raises(ValueError, match="not a small chain"):
            ArrayChain(model, named(model), {}, 1, 1)
