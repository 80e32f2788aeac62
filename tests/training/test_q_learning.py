"""Targets and losses against loops over plain numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_rainbow import projected
from torch import Tensor

from suite.training.q_learning import (
    categorical_loss,
    categorical_target,
    double_q_target,
    elementwise_loss,
    expected_values,
    project_distribution,
    q_learning_target,
    support,
    td_error,
)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return {
        "r_t": draw(6),
        "discount_t": torch.tensor([0.99, 0.0, 0.97, 0.99, 0.0, 0.5], dtype=torch.float64),
        "q_t": draw(6, 3),
        "selector": draw(6, 3),
        "q_tm1": draw(6, 3),
        "a_tm1": torch.tensor([0, 1, 2, 2, 1, 0]),
    }


def test_q_learning_target(batch: dict[str, Tensor]) -> None:
    target = q_learning_target(batch["r_t"], batch["discount_t"], batch["q_t"])
    for row in range(6):
        best = max(batch["q_t"][row].tolist())
        expected = batch["r_t"][row] + batch["discount_t"][row] * best
        assert target[row] == pytest.approx(expected.item(), abs=1e-12)


def test_double_q_target_selects_with_one_network_and_values_with_the_other(
    batch: dict[str, Tensor],
) -> None:
    target = double_q_target(batch["r_t"], batch["discount_t"], batch["q_t"], batch["selector"])
    for row in range(6):
        values = batch["selector"][row].tolist()
        best = values.index(max(values))
        expected = batch["r_t"][row] + batch["discount_t"][row] * batch["q_t"][row, best]
        assert target[row] == pytest.approx(expected.item(), abs=1e-12)
    same = double_q_target(batch["r_t"], batch["discount_t"], batch["q_t"], batch["q_t"])
    assert torch.equal(same, q_learning_target(batch["r_t"], batch["discount_t"], batch["q_t"]))


def test_td_error_passes_gradients_to_the_action_taken_and_not_to_the_target(
    batch: dict[str, Tensor],
) -> None:
    q_tm1 = batch["q_tm1"].clone().requires_grad_()
    q_t = batch["q_t"].clone().requires_grad_()
    target = q_learning_target(batch["r_t"], batch["discount_t"], q_t)
    error = td_error(q_tm1, batch["a_tm1"], target)
    error.sum().backward()
    assert q_t.grad is None
    expected = -torch.nn.functional.one_hot(batch["a_tm1"], 3).double()
    assert q_tm1.grad is not None
    assert torch.equal(q_tm1.grad, expected)


def test_the_slope_of_huber_is_the_error_clipped() -> None:
    error = torch.tensor([-4.0, -1.0, -0.3, 0.0, 0.3, 1.0, 4.0], requires_grad=True)
    (slope,) = torch.autograd.grad(elementwise_loss(error, "huber").sum(), error)
    assert torch.allclose(slope, error.detach().clamp(-1, 1))
    (slope,) = torch.autograd.grad(elementwise_loss(error, "mse").sum(), error)
    assert torch.allclose(slope, error.detach())


@st.composite
def distributions(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """A support in double precision, and a batch of distributions on returns in and around it."""
    atoms, batch = draw(st.integers(2, 60)), draw(st.integers(1, 5))
    v_min, width = draw(st.floats(-50, 50)), draw(st.floats(0.1, 100))
    reach = draw(st.sampled_from([0.3, 1.0, 2.0]))  # within the support, about it, beyond it
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    z = torch.linspace(v_min, v_min + width, atoms, dtype=torch.float64)
    drawn = torch.randn(2, batch, atoms, generator=generator, dtype=torch.float64)
    returns = z[[0, -1]].mean() + reach * width / 2 * drawn[0].tanh()
    return z, returns, (3 * drawn[1]).softmax(1)


@settings(max_examples=60)
@given(distributions())
def test_projection_equals_the_loop_over_atoms(drawn: tuple[Tensor, Tensor, Tensor]) -> None:
    z, returns, probabilities = drawn
    found = project_distribution(returns, probabilities, z)
    expected = projected(returns, probabilities, z[0].item(), z[-1].item())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@settings(max_examples=60)
@given(distributions())
def test_projection_keeps_mass_and_the_mean_of_the_clipped_returns(
    drawn: tuple[Tensor, Tensor, Tensor],
) -> None:
    z, returns, probabilities = drawn
    found = project_distribution(returns, probabilities, z)
    assert found.shape == returns.shape
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(len(found), dtype=z.dtype))
    mean = (returns.clamp(z[0], z[-1]) * probabilities).sum(1)
    torch.testing.assert_close(found @ z, mean, rtol=0, atol=1e-10 * z.abs().max().item())


@settings(max_examples=30)
@given(distributions())
def test_projection_in_single_precision(drawn: tuple[Tensor, Tensor, Tensor]) -> None:
    exact = project_distribution(*(drawn[i] for i in (1, 2, 0)))
    z, returns, probabilities = (tensor.float() for tensor in drawn)
    # A place is known to a rounding of its largest term, in units of the distance of atoms.
    gap = ((drawn[0][-1] - drawn[0][0]) / (len(z) - 1)).item()
    size = max(z.abs().max().item(), gap)
    found = project_distribution(returns, probabilities, z)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-6 * (1 + size / gap))


@pytest.mark.parametrize(("atoms", "v_min", "v_max"), [(51, -10.0, 10.0), (2, 0.0, 1.0)])
def test_projection_in_closed_form(atoms: int, v_min: float, v_max: float) -> None:
    gap = (v_max - v_min) / (atoms - 1)
    z = torch.tensor([v_min + i * gap for i in range(atoms)], dtype=torch.float64)
    torch.testing.assert_close(support(atoms, v_min, v_max), z.float())
    p = torch.linspace(1, 2, atoms, dtype=z.dtype).unsqueeze(0)
    p /= p.sum()
    torch.testing.assert_close(project_distribution(z.unsqueeze(0), p, z), p)
    up = project_distribution(z.unsqueeze(0) + gap, p, z)  # the two upper atoms become one
    torch.testing.assert_close(up[0, 1:-1], p[0, :-2])
    assert up[0, -1].item() == pytest.approx(p[0, -2:].sum().item())
    for beyond, end in ((100.0, -1), (-100.0, 0)):
        found = project_distribution(z.unsqueeze(0) + beyond, p, z)
        assert found[0, end].item() == pytest.approx(1.0)
        assert found.sum().item() == pytest.approx(1.0)
    returns = torch.full((1, atoms), (z[0] + 0.25 * gap).item(), dtype=z.dtype)
    quarter = project_distribution(returns, p, z)
    assert quarter[0, :2].tolist() == pytest.approx([0.75, 0.25])


def test_projection_passes_on_what_is_not_a_number() -> None:
    z, p = support(3, -1.0, 1.0), torch.full((2, 3), 1 / 3)
    returns = torch.tensor([[0.0, torch.nan, 1.0], [0.0, 0.5, 1.0]])
    found = project_distribution(returns, p, z)
    assert found[0].isnan().any()
    assert found[1].sum() == pytest.approx(1.0)
    infinite = torch.tensor([[torch.inf, 0.0, -torch.inf]])
    torch.testing.assert_close(project_distribution(infinite, p[:1], z), p[:1])


def test_projection_takes_memory_in_proportion_to_the_atoms() -> None:
    batch, atoms = 4, 512
    z, p = support(atoms, -1.0, 1.0), torch.full((batch, atoms), 1 / atoms)
    with torch.profiler.profile(profile_memory=True) as profile:
        project_distribution(z.repeat(batch, 1), p, z)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest <= 8 * batch * atoms


@pytest.fixture
def spread(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch with distributions of 7 atoms from -2 to 2 in place of values."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 6, 3, 7, generator=generator, dtype=torch.float64)
    z = torch.linspace(-2, 2, 7, dtype=torch.float64)
    return {**batch, "logits_t": logits[0], "logits_tm1": logits[1], "z": z}


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(x) for x in logits]
    return [x / sum(powers) for x in powers]


def test_expected_values(spread: dict[str, Tensor]) -> None:
    z = spread["z"].tolist()
    found = expected_values(spread["logits_t"], spread["z"])
    assert found.shape == (6, 3)
    for row in range(6):
        for action in range(3):
            chances = softmax(spread["logits_t"][row, action].tolist())
            expected = sum(p * x for p, x in zip(chances, z, strict=True))
            assert found[row, action] == pytest.approx(expected, abs=1e-12)


def target_of(spread: dict[str, Tensor]) -> Tensor:
    names = ("r_t", "discount_t", "logits_t", "selector", "z")
    return categorical_target(*(spread[name] for name in names))


def test_categorical_target_selects_with_one_network_and_spreads_with_the_other(
    spread: dict[str, Tensor],
) -> None:
    target = target_of(spread)
    z = spread["z"].tolist()
    for row in range(6):
        values = spread["selector"][row].tolist()
        chances = softmax(spread["logits_t"][row, values.index(max(values))].tolist())
        expected = [0.0] * 7
        for chance, x in zip(chances, z, strict=True):
            value = spread["r_t"][row].item() + spread["discount_t"][row].item() * x
            place = (min(max(value, -2.0), 2.0) + 2.0) / (4 / 6)
            for atom in range(7):
                expected[atom] += chance * max(0.0, 1 - abs(place - atom))
        assert target[row].tolist() == pytest.approx(expected, abs=1e-12)


def test_where_nothing_is_bootstrapped_the_target_is_the_reward(spread: dict[str, Tensor]) -> None:
    reward = torch.full((6,), 0.5, dtype=torch.float64)  # three quarters of the way to the atom
    target = target_of({**spread, "r_t": reward, "discount_t": torch.zeros_like(reward)})
    expected = torch.tensor([0, 0, 0, 0.25, 0.75, 0, 0]).double().expand(6, 7)
    torch.testing.assert_close(target, expected)


def test_the_slope_of_the_cross_entropy_is_the_difference_of_distributions(
    spread: dict[str, Tensor],
) -> None:
    logits, logits_t = spread["logits_tm1"].requires_grad_(), spread["logits_t"].requires_grad_()
    target = target_of({**spread, "logits_t": logits_t})
    losses = categorical_loss(logits, spread["a_tm1"], target)
    losses.sum().backward()
    assert logits_t.grad is None
    expected = torch.zeros(6, 3, 7, dtype=torch.float64)
    for row, action in enumerate(spread["a_tm1"].tolist()):
        chances = softmax(logits[row, action].tolist())
        terms = zip(target[row].tolist(), chances, strict=True)
        loss = -sum(t * math.log(p) for t, p in terms)
        assert losses[row].item() == pytest.approx(loss, abs=1e-12)
        expected[row, action] = torch.tensor(chances, dtype=torch.float64) - target[row].detach()
    torch.testing.assert_close(logits.grad, expected, rtol=0, atol=1e-12)


def test_the_cross_entropy_is_least_at_the_target(spread: dict[str, Tensor]) -> None:
    target = target_of(spread).clamp_min(1e-9)
    taken = spread["a_tm1"]
    entropy = -(target * target.log()).sum(1)
    equal = categorical_loss(target.log().unsqueeze(1).expand(6, 3, 7), taken, target)
    torch.testing.assert_close(equal, entropy, rtol=0, atol=1e-6)
    assert (categorical_loss(spread["logits_tm1"], taken, target) > entropy).all()
