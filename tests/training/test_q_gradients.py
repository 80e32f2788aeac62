"""Q-learning in closed form of many networks at once against autograd of each, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats
from suite.training.joint import stack_parameters
from suite.training.q_arrays import QArrays
from suite.training.q_gradients import Block, QGradients
from suite.training.q_learning import (
    LossName,
    double_q_target,
    elementwise_loss,
    q_learning_target,
    td_error,
)

RUNS, SIZE, BATCHES, ACTIONS = 3, 4, 5, 3


def networks(norm: str, first: int, shape: tuple[int, ...] = (5,)) -> list[nn.Module]:
    config = MODELS["mlp"].from_mapping({"kind": "mlp", "width": 7, "depth": 2, "norm": norm})
    spec = ModelSpec(Floats(shape), ACTIONS)
    return [build_model(config, spec, first + run).double() for run in range(RUNS)]


def fields_of(weighted: bool, shape: tuple[int, ...] = (5,)) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    count = (RUNS, BATCHES * SIZE)

    def draw(*tail: int) -> Tensor:
        return torch.randn(*count, *tail, generator=generator, dtype=torch.float64)

    fields = {
        "s_tm1": draw(*shape),
        "a_tm1": torch.randint(0, ACTIONS, count, generator=generator),
        "r_t": 3 * draw(),
        "discount_t": 0.9 * (draw() > 0).double(),
        "s_t": draw(*shape),
    }
    return fields | ({"weights": draw().exp()} if weighted else {})


@pytest.fixture(params=["arrays", "tensors"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the gradients are made."""
    if request.param == "tensors":
        monkeypatch.setattr(QArrays, "fits", lambda *_: False)
    return str(request.param)


pytestmark = pytest.mark.usefixtures("way")


def joined(
    online: list[nn.Module], target: list[nn.Module], double: bool, loss: LossName
) -> QGradients:
    stacks = stack_parameters(online), stack_parameters(target)
    return QGradients(online[0], *stacks, double, loss, axis=1)


def by_autograd(
    online: nn.Module, target: nn.Module, batch: dict[str, Tensor], double: bool, loss: LossName
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return loss, errors and gradients of one network."""
    with torch.no_grad():
        q_t = target(batch["s_t"])
        if double:
            aim = double_q_target(batch["r_t"], batch["discount_t"], q_t, online(batch["s_t"]))
        else:
            aim = q_learning_target(batch["r_t"], batch["discount_t"], q_t)
    error = td_error(online(batch["s_tm1"]), batch["a_tm1"], aim)
    losses = elementwise_loss(error, loss)
    found = (losses * batch["weights"]).mean() if "weights" in batch else losses.mean()
    named = dict(online.named_parameters())
    slopes = torch.autograd.grad(found, list(named.values()))
    return found.detach(), error.detach(), dict(zip(named, slopes, strict=True))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["huber", "mse"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_every_network_has_the_gradients_of_autograd(
    norm: str, double: bool, loss: LossName, weighted: bool, way: str
) -> None:
    online, target = networks(norm, 0), networks(norm, 10)
    q, fields = joined(online, target, double, loss), fields_of(weighted)
    block = Block(fields, SIZE, axis=1)
    for index in range(BATCHES):
        if index == 3:  # the targets change within the block
            with torch.no_grad():
                for stack in q._target.values():
                    stack.mul_(1.1)
        losses = q.gradients_of(block, index)
        rows = slice(index * SIZE, (index + 1) * SIZE)
        for run in range(RUNS):
            batch = {name: field[run, rows] for name, field in fields.items()}
            wanted, errors, slopes = by_autograd(online[run], target[run], batch, double, loss)
            torch.testing.assert_close(losses[run], wanted, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(q.errors[run].flatten(), errors, rtol=1e-12, atol=1e-12)
            for name, slope in slopes.items():
                found = q.gradients[name][run]
                torch.testing.assert_close(found, slope, rtol=1e-10, atol=1e-12)
    assert (q._arrays[SIZE] is not None) is (way == "arrays")


def test_batches_of_a_block_may_come_in_any_order() -> None:
    q = joined(networks("layer", 0), networks("layer", 10), False, "huber")
    block, plain = Block(fields_of(False), SIZE, axis=1), Block(fields_of(False), SIZE, axis=1)
    wanted = [q.gradients_of(plain, index).clone() for index in range(BATCHES)]
    for index in (3, 1, 4, 0):
        torch.testing.assert_close(q.gradients_of(block, index), wanted[index])


def test_inputs_of_several_axes_are_made_flat() -> None:
    shape = (2, 3)
    online, target = networks("layer", 0, shape), networks("layer", 10, shape)
    q, fields = joined(online, target, True, "huber"), fields_of(False, shape)
    losses = q.gradients_of(Block(fields, SIZE, axis=1), 0)
    values = q.values(fields["s_t"])
    for run in range(RUNS):
        batch = {name: field[run, :SIZE] for name, field in fields.items()}
        wanted = by_autograd(online[run], target[run], batch, True, "huber")[0]
        torch.testing.assert_close(losses[run], wanted, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(values[run], online[run](fields["s_t"][run]))
