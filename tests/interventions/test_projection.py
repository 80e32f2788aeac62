from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from suite import Projection
from suite.clock import Clock
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, InterventionStack
from suite.interventions.normalize_project import decay_to_init_, joint_project_, project_
from suite.invariance.scale_invariance import check_invariant
from suite.norms import Per, squared_norms


def _net(norm: bool = True) -> Any:
    """An `nn.Sequential`, whose layers are asked for by their places."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(6, 16, bias=False), nn.LayerNorm(16), nn.ReLU()]
    if not norm:
        layers = [nn.Linear(6, 16), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 3, bias=not norm))


def _reference(weight: Tensor, initial: Tensor, per: str) -> Tensor:
    """W |W_0| / |W| in float64, one norm for the tensor or one per row."""
    w, w0 = weight.double(), initial.double()
    if per == "row":
        rows = [w[i] * (w0[i].pow(2).sum() / w[i].pow(2).sum()).sqrt() for i in range(len(w))]
        return torch.stack(rows)
    return w * (w0.pow(2).sum() / w.pow(2).sum()).sqrt()


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    seed=st.integers(0, 2**31),
    per=st.sampled_from(["tensor", "row"]),
    last=st.booleans(),
)
def test_projection_equals_the_formula(shape: list[int], seed: int, per: Per, last: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    initial, weight = (torch.randn(shape, generator=generator) for _ in range(2))
    if last and len(shape) == 4:
        weight = weight.contiguous(memory_format=torch.channels_last)
    expected = _reference(weight, initial, per)
    targets = [s.sqrt() for s in squared_norms([initial], per)]
    project_([weight], targets, per)
    torch.testing.assert_close(weight.double(), expected, rtol=1e-5, atol=1e-6)


def test_norms_of_views_that_are_not_dense() -> None:
    wide = torch.randn(4, 10)
    torch.testing.assert_close(squared_norms([wide[:, ::2]])[0], wide[:, ::2].square().sum())
    torch.testing.assert_close(squared_norms([wide.T])[0], wide.square().sum())


def test_only_weights_before_a_norm_layer_are_projected_by_default() -> None:
    nap = Projection(_net())
    assert nap.names == ("0.weight",)
    everything = Projection(_net(norm=False), which="matrices")
    assert everything.names == ("0.weight", "2.weight")
    assert Projection(_net(), which=["3.weight"]).names == ("3.weight",)


def test_every_and_the_function_is_unchanged() -> None:
    net = _net().double()
    nap = Projection(net, every=3)
    target = nap.targets["0.weight"].clone()
    inputs = torch.randn(5, 6, dtype=torch.float64)
    with torch.no_grad():
        net[0].weight.mul_(10.0)
    before = net(inputs)
    scaled = net[0].weight.norm().item()
    nap.step()
    nap.step()
    assert net[0].weight.norm().item() == pytest.approx(scaled)
    nap.step()
    assert net[0].weight.norm().item() == pytest.approx(target.item(), rel=1e-12)
    torch.testing.assert_close(net(inputs), before, rtol=1e-3, atol=1e-3)


def test_state_continues_and_refuses_another_networks() -> None:
    net = _net()
    nap = Projection(net, every=2)
    with torch.no_grad():
        net[0].weight.mul_(2.0)
    nap.step()
    again = Projection(net, every=2)
    again.load_state_dict(nap.state_dict())
    again.step()
    assert net[0].weight.norm().item() == pytest.approx(nap.targets["0.weight"].item(), rel=1e-6)
    with pytest.raises(ValueError, match="targets"):
        again.load_state_dict({"targets": {"other": torch.ones(())}, "calls": 0})


def test_a_model_that_moves_after_binding_is_still_projected() -> None:
    net = _net()
    nap = Projection(net)
    nap.step()
    net.double()  # replaces the storage of every parameter
    with torch.no_grad():
        net[0].weight.mul_(5.0)
    nap.step()
    target = nap.targets["0.weight"]
    assert target.dtype == torch.float64
    assert net[0].weight.norm().item() == pytest.approx(target.item(), rel=1e-6)


def test_weights_that_are_not_dense_are_read_anew_each_time() -> None:
    net = _net()
    net[0].weight = nn.Parameter(torch.randn(16, 12)[:, ::2])
    nap = Projection(net)
    for _ in range(2):
        with torch.no_grad():
            net[0].weight.mul_(5.0)
        nap.step()
        torch.testing.assert_close(net[0].weight.detach().norm(), nap.targets["0.weight"])


def test_a_vanished_tensor_stays_finite() -> None:
    weight = torch.zeros(3, 3)
    project_([weight], [torch.tensor(1.0)])
    assert torch.equal(weight, torch.zeros(3, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "every: got 0"),
        ({"which": ["nope"]}, "which: got 'nope'"),
        ({"which": []}, "selects no tensor"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Projection(_net(), **arguments)  # type: ignore[arg-type]


def test_a_network_without_norm_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="selects no tensor"):
        Projection(_net(norm=False))


def test_invariance_is_checked_numerically() -> None:
    net = _net()
    check_invariant(net, ["0.weight"], torch.randn(4, 6))
    with pytest.raises(ValueError, match=r"'3\.weight' is not scale-invariant"):
        check_invariant(net, ["0.weight", "3.weight"], torch.randn(4, 6))

    class Residual(nn.Module):
        """A norm layer is registered after the weight, but does not follow it."""

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 6, bias=False)
            self.norm = nn.LayerNorm(6)
            self.out = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.out(x + self.linear(self.norm(x)))
            return out

    with pytest.raises(ValueError, match="not scale-invariant"):
        Projection(Residual(), probe=torch.randn(4, 6))


def test_decay_to_init_and_joint_norm_against_closed_forms() -> None:
    gain, offset = torch.tensor([3.0, 1.0]), torch.tensor([2.0, -2.0])
    decay_to_init_([gain], [offset], 0.9)
    torch.testing.assert_close(gain, torch.tensor([2.8, 1.0]))
    torch.testing.assert_close(offset, torch.tensor([1.8, -1.8]))
    gain, offset = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    joint_project_([gain], [offset], [torch.tensor(1.0)])
    torch.testing.assert_close(gain, torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(offset, torch.tensor([0.0, 0.8]))


@pytest.mark.parametrize("gains", ["free", "decay_to_init", "joint", "dropped"])
def test_gains_under_training(gains: str) -> None:
    net = _net()
    config = INTERVENTIONS["nap"].from_mapping({"kind": "nap", "gains": gains, "alpha": 0.5})
    stack = InterventionStack([config], Bound.of(net, Clock(10), torch.randn(4, 6)))
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.1)
    target = net[0].weight.detach().norm()
    for step in range(10):
        optimizer.zero_grad()
        net(torch.randn(8, 6)).square().sum().backward()
        stack.before_step(step, 0.1)
        optimizer.step()
        stack.after_step(step, 0.1)
        torch.testing.assert_close(net[0].weight.detach().norm(), target, rtol=1e-5, atol=0.0)
    gain, offset = net[1].weight.detach(), net[1].bias.detach()
    joint = (gain.square().sum() + offset.square().sum()).sqrt().item()
    if gains == "dropped":
        assert torch.equal(gain, torch.ones(16))
        assert torch.equal(offset, torch.zeros(16))
    elif gains == "joint":
        assert joint == pytest.approx(4.0, rel=1e-5)
    elif gains == "decay_to_init":
        assert (gain - 1).abs().max() < 0.2
    else:
        assert (gain - 1).abs().max() > 0.2


def test_nap_as_an_intervention_names_what_is_wrong() -> None:
    config = INTERVENTIONS["nap"].from_mapping({"kind": "nap"})
    with pytest.raises(ConfigError, match=r"interventions\.nap"):
        config.bind(Bound.of(_net(norm=False), Clock(1)))
    assert config.skip_reason(has_norm_layers=False) is not None


def test_rows_of_noisy_maps_are_their_output_units() -> None:
    from suite.models.noisy import NoisyLinear

    noisy = NoisyLinear(4, 6, bias=False)
    net = nn.Sequential(noisy, nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(ValueError, match="not scale-invariant by row"):
        Projection(net, per="row")
    nap = Projection(net, per="row", which=["0.weight"])
    weight = noisy.weight
    before = weight.detach().square().sum((0, 2)).sqrt()
    assert nap.targets["0.weight"].shape == (1, 6, 1)
    with torch.no_grad():
        weight.mul_(torch.rand_like(weight) + 0.5)
    nap.step()
    torch.testing.assert_close(weight.detach().square().sum((0, 2)).sqrt(), before)


@pytest.mark.parametrize("per", ["tensor", "row"])
def test_a_norm_that_overflows_is_seen(per: Per) -> None:
    """Its square is infinite in single precision: a factor of 0 would end the weight for good."""
    weight = torch.full((2, 3), 1e25)
    weight[1] = 1.0
    targets = [torch.ones(2, 1) if per == "row" else torch.tensor(1.0)]
    project_([weight], targets, per)
    assert weight[0].isnan().all()
    assert weight[1].isnan().all() == (per == "tensor")
