"""Q-learning in closed form against autograd, in double precision."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats
from suite.optimizers import AdamConfig, step_of
from suite.training.q_arrays import QArrays
from suite.training.q_chain import QChain
from suite.training.q_learning import (
    LossName,
    double_q_target,
    elementwise_loss,
    q_learning_target,
    td_error,
)

ACTIONS = 3


def network(norm: str, seed: int) -> nn.Module:
    config = MODELS["mlp"].from_mapping({"kind": "mlp", "width": 7, "depth": 2, "norm": norm})
    return build_model(config, ModelSpec(Floats((5,)), ACTIONS), seed).double()


def batch_of(size: int, weighted: bool) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(size)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    batch = {
        "s_tm1": draw(size, 5),
        "a_tm1": torch.randint(0, ACTIONS, (size,), generator=generator),
        "r_t": 3 * draw(size),
        "discount_t": 0.9 * (draw(size) > 0).double(),
        "s_t": draw(size, 5),
    }
    return batch | ({"weights": draw(size).exp()} if weighted else {})


def by_arrays(chain: QChain, size: int) -> bool:
    """Return whether batches of a size are learnt from by arrays."""
    return chain._quick._arrays[size] is not None


def by_autograd(
    online: nn.Module, target: nn.Module, batch: dict[str, Tensor], double: bool, loss: LossName
) -> tuple[Tensor, Tensor]:
    """Return the losses and errors, with gradients in the online network."""
    q_t = target(batch["s_t"]).detach()
    if double:
        aim = double_q_target(batch["r_t"], batch["discount_t"], q_t, online(batch["s_t"]))
    else:
        aim = q_learning_target(batch["r_t"], batch["discount_t"], q_t)
    error = td_error(online(batch["s_tm1"]), batch["a_tm1"], aim)
    losses = elementwise_loss(error, loss)
    (losses * batch.get("weights", torch.ones_like(losses))).mean().backward()
    return losses.detach(), error.detach()


@pytest.fixture(params=["arrays", "tensors"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who makes the updates; of networks that are small enough, arrays."""
    if request.param == "tensors":
        monkeypatch.setattr(QArrays, "fits", lambda *_: False)
    return str(request.param)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    norm=st.sampled_from(["none", "layer", "rms"]),
    double=st.booleans(),
    loss=st.sampled_from(["huber", "mse"]),
    weighted=st.booleans(),
    size=st.integers(1, 9),
)
def test_losses_errors_and_gradients_are_those_of_autograd(
    way: str, norm: str, double: bool, loss: LossName, weighted: bool, size: int
) -> None:
    online, target = network(norm, 0), network(norm, 1)
    plain, batch = copy.deepcopy(online), batch_of(size, weighted)
    each, errors = by_autograd(plain, target, batch, double, loss)
    chain = QChain(online, target, double, loss)
    for _ in range(2):  # gradients are written, not added up
        found = chain.gradients(batch)
    assert by_arrays(chain, size) is (way == "arrays")
    weights = batch.get("weights", torch.ones(size))
    torch.testing.assert_close(found, (each * weights).mean(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(chain.each, each, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(chain.errors, errors, rtol=1e-12, atol=1e-12)
    for (name, mine), theirs in zip(online.named_parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-12, msg=name)
    assert all(p.grad is None for p in target.parameters())


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.usefixtures("way")
def test_fifty_updates_by_blocks_are_those_of_autograd(
    size: int, double: bool, weighted: bool, norm: str
) -> None:
    """The target is copied every seventh update, which lies within blocks of three and of eight."""
    online, target = network(norm, 0), network(norm, 1)
    plain, old = copy.deepcopy(online), copy.deepcopy(target)
    mine = AdamConfig(lr=0.01).build(online)
    theirs = torch.optim.Adam(plain.parameters(), lr=0.01)
    chain, step, update = QChain(online, target, double, "huber"), step_of(mine), 0
    while update < 50:
        fields = batch_of(6 * size, weighted)
        for batch in chain.split(fields, 6):
            assert set(batch) == set(fields)
            found = chain.gradients(batch)
            step()
            theirs.zero_grad()
            each, errors = by_autograd(plain, old, dict(batch), double, "huber")
            theirs.step()
            weights = batch.get("weights", torch.ones(6))
            torch.testing.assert_close(found, (each * weights).mean(), rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(chain.each, each, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(chain.errors, errors, rtol=1e-9, atol=1e-12)
            update += 1
            if update % 7 == 0:
                for net, its in ((target, online), (old, plain)):
                    net.load_state_dict(its.state_dict())
    for one, other in zip(online.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-11)


@pytest.mark.usefixtures("way")
def test_parameters_that_move_in_memory_are_found_again() -> None:
    online, target = network("layer", 0), network("layer", 1)
    chain, batch = QChain(online, target, False, "mse"), batch_of(4, False)
    chain.gradients(batch)
    with torch.no_grad():
        for parameter in online.parameters():
            parameter.data = 2 * parameter
    plain = copy.deepcopy(online)
    plain.zero_grad()
    by_autograd(plain, target, batch, False, "mse")
    chain.gradients(batch)
    for mine, theirs in zip(online.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("way")
def test_networks_that_are_loaded_or_copied_are_read_as_they_are() -> None:
    online, target = network("layer", 0), network("layer", 1)
    chain, batch = QChain(online, target, True, "mse"), batch_of(4, False)
    chain.gradients(batch)
    before = copy.deepcopy(online)
    online.load_state_dict(network("layer", 2).state_dict())
    target.load_state_dict(network("layer", 3).state_dict())
    plain = network("layer", 2)
    each, _ = by_autograd(plain, network("layer", 3), batch, True, "mse")
    torch.testing.assert_close(chain.gradients(batch), each.mean(), rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(online.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-12)
    other = QChain(before, target, True, "mse")  # gradients of a copy are its own
    kept = [p.grad.clone() for p in online.parameters() if p.grad is not None]
    other.gradients(batch)
    for parameter, gradient in zip(online.parameters(), kept, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)


@pytest.mark.usefixtures("way")
def test_a_target_network_that_moves_in_memory_is_found_again() -> None:
    online, target = network("none", 0), network("none", 1)
    chain, batch = QChain(online, target, False, "huber"), batch_of(4, False)
    chain.gradients(batch)
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.data = 2 * parameter
    each, _ = by_autograd(copy.deepcopy(online), target, batch, False, "huber")
    torch.testing.assert_close(chain.gradients(batch), each.mean(), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("double", [False, True])
def test_a_resumed_run_is_the_same_to_the_last_bit(double: bool) -> None:
    online, target = network("layer", 0).float(), network("layer", 1).float()
    optimizer = AdamConfig(lr=0.01).build(online)

    def go(online: nn.Module, target: nn.Module, optimizer: Any, numbers: range) -> None:
        chain, step = QChain(online, target, double, "huber"), step_of(optimizer)
        for number in numbers:
            fields = batch_of(4 * (5 + number), True)
            plain = {k: v if k == "a_tm1" else v.float() for k, v in fields.items()}
            for index, batch in enumerate(chain.split(plain, 4)):
                chain.gradients(batch)
                step()
                if index == number:
                    target.load_state_dict(online.state_dict())

    go(online, target, optimizer, range(3))
    file = io.BytesIO()
    torch.save([x.state_dict() for x in (online, target, optimizer)], file)
    file.seek(0)
    again: list[Any] = [network("layer", 2).float(), network("layer", 3).float()]
    rest = AdamConfig(lr=0.5).build(again[0])
    for thing, state in zip([*again, rest], torch.load(file, weights_only=True), strict=True):
        thing.load_state_dict(state)
    go(online, target, optimizer, range(3, 6))
    go(again[0], again[1], rest, range(3, 6))
    for one, other in zip(online.parameters(), again[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_updates_go_on_where_the_network_no_longer_fits_arrays() -> None:
    """Within a block, from the second batch on a weight is not contiguous."""
    online, target = network("none", 0), network("none", 1)
    chain, plain = QChain(online, target, False, "mse"), copy.deepcopy(online)
    for number, batch in enumerate(chain.split(batch_of(12, True), 3)):
        if number == 1:
            weight = next(online.parameters())
            weight.data = weight.data.mT.contiguous().mT
        chain.gradients(batch)
        assert by_arrays(chain, 3) is (number == 0)
        plain.zero_grad()
        by_autograd(plain, target, dict(batch), False, "mse")
        for one, other in zip(online.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-12)


def test_actions_of_another_type_are_learnt_from_by_tensors() -> None:
    chain, batch = QChain(network("none", 0), network("none", 1), False, "mse"), batch_of(4, False)
    block = chain.split({**batch, "a_tm1": batch["a_tm1"].int()}, 4)[0].block
    assert not block.readable(torch.float64)
    found = chain.gradients(batch)
    other = chain.gradients({**batch, "a_tm1": batch["a_tm1"].int()})
    torch.testing.assert_close(found, other, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("way")
def test_errors_that_were_asked_for_stay() -> None:
    chain = QChain(network("none", 0), network("none", 1), False, "mse")
    first, second = (batch_of(4, weighted) for weighted in (False, True))
    second["r_t"] = second["r_t"] + 1
    chain.gradients(first)
    errors, kept = chain.errors, chain.errors.clone()
    chain.gradients(second)
    assert torch.equal(errors, kept)
    assert not torch.equal(chain.errors, kept)


@pytest.mark.usefixtures("way")
def test_a_loss_that_is_not_finite_is_told_and_not_warned_of() -> None:
    chain, batch = QChain(network("layer", 0), network("layer", 1), True, "mse"), batch_of(4, True)
    batch["r_t"][2] = float("inf")
    batch["discount_t"][1] = float("nan")
    assert not chain.gradients(batch).isfinite()


def test_other_networks_are_refused() -> None:
    other: Any = nn.Sequential(nn.Linear(5, 3), nn.Softplus())
    with pytest.raises(ValueError, match="not a chain"):
        QChain(other, copy.deepcopy(other), False, "mse")
