"""What the projection holds on to: names, ties, wrappers, replaced tensors, zeros, types."""

from __future__ import annotations

import copy
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from suite import Projection
from suite.clock import Clock
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound
from suite.norms import squared_norms


def _net(norm: nn.Module | None = None) -> Any:
    """An `nn.Sequential`, whose layers are asked for by their places."""
    torch.manual_seed(0)
    first = nn.Linear(6, 8, bias=False)
    return nn.Sequential(first, norm or nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2))


def _norm(tensor: Tensor) -> float:
    return float(tensor.detach().double().norm())


def _held(nap: Projection, tensor: Tensor, target: float) -> None:
    """Check that `tensor` is put back to a norm of `target`."""
    with torch.no_grad():
        tensor.mul_(3)
    nap.step()
    assert _norm(tensor) == pytest.approx(target, rel=1e-5)


# Names.


def test_a_tensor_named_twice_is_scaled_once() -> None:
    net = _net()
    target = _norm(net[0].weight)
    nap = Projection(net, which=["0.weight", "3.weight", "0.weight"])
    assert nap.names == ("0.weight", "3.weight")
    _held(nap, net[0].weight, target)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.hidden = nn.Embedding(6, 8), nn.Linear(8, 8, bias=False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 6, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.hidden(self.embed(x))))
        return out


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ("matrices", ("embed.weight", "hidden.weight")),
        ("invariant", ("hidden.weight",)),
        (["head.weight"], ("head.weight",)),
        (["head.weight", "embed.weight"], ("head.weight",)),
    ],
)
def test_tied_tensors_are_taken_once(which: Any, names: tuple[str, ...]) -> None:
    net = Tied()
    target = _norm(net.head.weight)
    nap = Projection(net, which=which)
    assert nap.names == names
    if len(names) == 2:
        assert nap.left == {"head.weight": "the same tensor as 'embed.weight'"}
    if "hidden.weight" not in names:
        _held(nap, net.embed.weight, target)


def test_ties_that_come_apart_are_noticed() -> None:
    net = Tied()
    nap = Projection(net, which="matrices")
    net.load_state_dict(copy.deepcopy(net.state_dict()), assign=True)
    assert net.head.weight is not net.embed.weight
    with pytest.raises(ValueError, match=r"'head\.weight' and 'embed\.weight' were one tensor"):
        nap.step()
    net.head.weight = net.embed.weight
    nap.step()


def test_words_and_unknown_names_are_refused() -> None:
    for which, message in (
        ("weights", "expected 'invariant', 'matrices' or a list of names"),
        (["0.wieght"], r"got '0\.wieght'; expected '0\.weight'"),
    ):
        with pytest.raises(ValueError, match=message):
            Projection(_net(), which=which)


def test_it_says_what_it_takes_and_what_it_leaves(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="suite"):
        nap = Projection(_net(), probe=torch.randn(5, 6))
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    for text in (record.getMessage(), repr(nap)):
        assert "0.weight" in text
        assert "3.weight" in text
        assert "depend on its scale" in text
    assert nap.left == {"3.weight": "not scale-invariant: the outputs depend on its scale"}


def test_frozen_matrices_are_left() -> None:
    net = _net()
    net[0].requires_grad_(False)
    assert Projection(net, which="matrices").names == ("3.weight",)
    with pytest.raises(ValueError, match=r"'0\.weight': frozen"):
        Projection(net)


# Wrappers and other forms of weights.


@pytest.mark.parametrize("which", ["invariant", "matrices", ["0.weight"]])
def test_a_compiled_network(which: Any) -> None:
    net = _net(nn.BatchNorm1d(8))
    target = _norm(net[0].weight)
    compiled: Any = torch.compile(net, backend="eager")
    nap = Projection(compiled, which=which, probe=torch.randn(9, 6))
    assert nap.names[0] == "_orig_mod.0.weight"
    assert nap.names[0] in dict(compiled.named_parameters())
    assert Projection(compiled, which=nap.names).names == nap.names
    _held(nap, net[0].weight, target)
    plain = Projection(net, which=which)
    plain.load_state_dict(nap.state_dict())
    assert plain.names[0] == "0.weight"


@pytest.mark.parametrize("inside", [True, False])
def test_parts_that_are_compiled(inside: bool) -> None:
    net = _net()
    if inside:
        net[0] = torch.compile(net[0], backend="eager")
        expected = ("0._orig_mod.weight",)
        assert Projection(net, which=["0.weight"]).names == expected
    else:
        net.compile(backend="eager")
        expected = ("0.weight",)
    assert Projection(net, probe=torch.randn(5, 6)).names == expected


@pytest.fixture
def process_group(tmp_path: Path) -> Any:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def test_a_data_parallel_network(process_group: None) -> None:
    net = _net()
    target = _norm(net[0].weight)
    parallel = nn.parallel.DistributedDataParallel(net)
    for wrapped, prefix in (
        (parallel, "module."),
        (torch.compile(parallel, backend="eager"), "_orig_mod.module."),
    ):
        nap = Projection(wrapped, probe=torch.randn(5, 6))  # type: ignore[arg-type]
        assert nap.names == (f"{prefix}0.weight",)
        assert Projection(wrapped, which=["0.weight"]).names == nap.names  # type: ignore[arg-type]
        _held(nap, net[0].weight, target)


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_of_a_normalised_weight_the_direction_is_held(norm: Callable[..., nn.Module]) -> None:
    net = _net()
    net[0] = norm(net[0])
    inputs = torch.randn(5, 6)
    before = net(inputs)
    for which in ("invariant", "matrices"):
        nap = Projection(net, which=which)
        name, *_ = nap.names
        assert name in ("0.parametrizations.weight.original1", "0.weight_v")
        with torch.no_grad():
            net.get_parameter(name).mul_(7)
        nap.step()
        torch.testing.assert_close(net(inputs), before)


def test_rows_of_transposed_convolutions_are_their_outputs() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(3, 5, 2, bias=False), nn.BatchNorm2d(5), nn.ReLU())
    nap = Projection(net, per="row", probe=torch.randn(4, 3, 6, 6))
    assert nap.targets["0.weight"].shape == (1, 5, 1, 1)
    grouped = nn.Sequential(nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False), nn.BatchNorm2d(6))
    assert Projection(grouped, probe=torch.randn(4, 4, 6, 6)).names == ("0.weight",)
    with pytest.raises(ValueError, match="do not lie along one axis"):
        Projection(grouped, per="row", probe=torch.randn(4, 4, 6, 6))
    with pytest.raises(ValueError, match="do not lie along one axis"):
        Projection(grouped, per="row", which=["0.weight"])


def test_tensors_without_a_norm_of_their_own_are_refused() -> None:
    lazy = nn.Sequential(nn.LazyLinear(8, bias=False), nn.LayerNorm(8))
    broken = _net()
    nn.init.constant_(broken[0].weight, float("nan"))
    for net, message in (
        (lazy, "has no shape yet"),
        (broken, "not finite"),
        (nn.Sequential(nn.Linear(2, 2, dtype=torch.complex64)), "expected real numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            Projection(net, which="matrices")


# Zeros.


def test_a_matrix_that_is_zero_is_left_free_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    net = _net()
    nn.init.zeros_(net[3].weight)
    with caplog.at_level(logging.INFO, logger="suite"):
        nap = Projection(net, which="matrices")
    assert nap.names == ("0.weight",)
    assert "3.weight (all zeros" in caplog.text
    with torch.no_grad():
        net[3].weight.add_(1.0)
    nap.step()
    assert torch.equal(net[3].weight, torch.ones(2, 8))
    nn.init.zeros_(net[3].weight)
    with pytest.raises(ValueError, match=r"got '3\.weight', which is zero"):
        Projection(net, which=["0.weight", "3.weight"])
    nn.init.zeros_(net[0].weight)
    with pytest.raises(ValueError, match="all zeros"):
        Projection(net, which="matrices")


def test_a_run_goes_on_with_the_tensors_it_began_with() -> None:
    net = _net()
    nn.init.zeros_(net[3].weight)
    nap = Projection(net, which="matrices")
    nn.init.ones_(net[3].weight)
    later = Projection(net, which="matrices")
    file = io.BytesIO()
    torch.save(nap.state_dict(), file)
    file.seek(0)
    later.load_state_dict(torch.load(file, weights_only=True))
    assert later.names == nap.names == ("0.weight",)
    assert "3.weight" in later.left
    with pytest.raises(ValueError, match="targets"):
        Projection(net, which=["3.weight"]).load_state_dict(nap.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_rows_of_zeros_are_left_free(dtype: torch.dtype, caplog: pytest.LogCaptureFixture) -> None:
    net: Any = nn.Sequential(nn.Embedding(5, 8, padding_idx=2)).to(dtype)
    with caplog.at_level(logging.WARNING, logger="suite"):
        nap = Projection(net, per="row", which=["0.weight"])
    assert "1 rows are zero" in caplog.text
    with torch.no_grad():
        net[0].weight.mul_(2)
        net[0].weight[2] = 3.0
    nap.step()
    norms = net[0].weight.detach().float().norm(dim=1)
    assert norms[2].item() == pytest.approx(3 * 8**0.5)
    others = nap.targets["0.weight"].flatten()
    torch.testing.assert_close(norms[[0, 1, 3, 4]], others[[0, 1, 3, 4]], rtol=2e-3, atol=0)


# Types.


@pytest.mark.parametrize("per", ["tensor", "row"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_summed_and_scaled_in_float32(dtype: torch.dtype, per: Any) -> None:
    """131,072 entries of about 1: their squares add up past the largest half, 65,504."""
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Embedding(1024, 128)).to(dtype)
    dim = None if per == "tensor" else 1
    before = net[0].weight.detach().double()
    nap = Projection(net, per=per, which="matrices")
    (target,) = nap.targets.values()
    assert target.dtype == torch.float32
    exact = torch.linalg.vector_norm(before, dim=dim)
    torch.testing.assert_close(target.double().flatten(), exact.flatten(), rtol=1e-5, atol=0)
    with torch.no_grad():
        net[0].weight.mul_(1.5)
    nap.step()
    after = net[0].weight.detach()
    assert after.dtype == dtype
    norms = torch.linalg.vector_norm(after.double(), dim=dim)
    rounding = 2.0**-7 if dtype is torch.bfloat16 else 2.0**-10
    torch.testing.assert_close(norms, exact, rtol=rounding, atol=0)
    assert (after.double() - before).abs().max() <= 3 * rounding * before.abs().max()


def test_networks_of_several_types() -> None:
    net = _net()
    net[3].to(torch.bfloat16)
    targets = [_norm(net[0].weight), _norm(net[3].weight)]
    nap = Projection(net, which="matrices")
    with torch.no_grad():
        net[0].weight.mul_(3)
        net[3].weight.mul_(3)
    nap.step()
    assert [_norm(net[0].weight), _norm(net[3].weight)] == pytest.approx(targets, rel=1e-2)
    assert _norm(net[0].weight) == pytest.approx(targets[0], rel=1e-6)


def test_a_network_that_turns_half_after_binding() -> None:
    net = _net()
    nap = Projection(net)
    target = _norm(net[0].weight)
    net.to(torch.bfloat16)
    with torch.no_grad():
        net[0].weight.mul_(3)
    nap.step()
    assert nap.targets["0.weight"].dtype == torch.float32
    assert _norm(net[0].weight) == pytest.approx(target, rel=1e-2)


# Replaced tensors.


def _assign(net: Any) -> None:
    net.load_state_dict({k: 3 * v for k, v in net.state_dict().items()}, assign=True)


def _parameter(net: Any) -> None:
    net[0].weight = nn.Parameter(3 * net[0].weight.detach())


def _module(net: Any) -> None:
    net[0] = nn.Linear(6, 8, bias=False)


def _data(net: Any) -> None:
    net[0].weight.data = 3 * net[0].weight.data


@pytest.mark.parametrize("replace", [_assign, _parameter, _module, _data])
def test_replaced_tensors_are_projected_from_the_next_step_on(replace: Any) -> None:
    net: Any = nn.Sequential(_net(), nn.Identity())
    nap = Projection(net)
    target = nap.targets["0.0.weight"].item()
    nap.step()
    replace(net[0])
    nap.step()
    assert _norm(net[0][0].weight) == pytest.approx(target, rel=1e-5)
    net[0] = copy.deepcopy(net[0])  # a module further up
    _held(nap, net[0][0].weight, target)


def test_what_does_not_fit_any_more_is_refused() -> None:
    net = _net()
    nap = Projection(net)
    net[0] = nn.Linear(7, 8, bias=False)
    for _ in range(2):  # it does not act on what is left of the old one either
        with pytest.raises(ValueError, match=r"'0\.weight' was replaced by .*\(8, 7\)"):
            nap.step()
    net[0] = parametrizations.weight_norm(nn.Linear(6, 8, bias=False))
    with pytest.raises(ValueError, match=r"'0\.weight' was projected and is no longer a parameter"):
        nap.step()


def test_a_copy_of_both_is_on_its_own() -> None:
    net = _net()
    target = _norm(net[0].weight)
    nap = Projection(net)
    other, its = copy.deepcopy((net, nap))
    _held(its, other[0].weight, target)
    assert _norm(net[0].weight) == pytest.approx(target)


# As an intervention.


def test_rows_behind_layer_norm_are_refused_before_the_run() -> None:
    config = INTERVENTIONS["nap"].from_mapping({"kind": "nap", "per": "row"})
    with torch.device("meta"):
        dry = _net()
        right = _net(nn.BatchNorm1d(8))
    with pytest.raises(ConfigError, match=r"interventions\.nap.*per='tensor'"):
        config.bind(Bound.of(dry, Clock(1)))
    config.bind(Bound.of(right, Clock(1)))
    config.bind(Bound.of(_net(nn.BatchNorm1d(8)), Clock(1), torch.randn(9, 6)))


@pytest.mark.parametrize("gains", ["decay_to_init", "joint", "dropped"])
def test_gains_that_are_replaced_are_treated_as_those_before(gains: str) -> None:
    net = _net()
    config = INTERVENTIONS["nap"].from_mapping({"kind": "nap", "gains": gains, "alpha": 0.5})
    bound = config.bind(Bound.of(net, Clock(10)))
    net[1].weight = nn.Parameter(torch.full((8,), 3.0))
    net.load_state_dict({**net.state_dict(), "1.bias": torch.ones(8)}, assign=True)
    bound.after_step(1, 0.1)
    gain, offset = net[1].weight.detach(), net[1].bias.detach()
    if gains == "decay_to_init":
        assert torch.equal(gain, torch.full((8,), 2.0))
        assert torch.equal(offset, torch.full((8,), 0.5))
    elif gains == "joint":
        assert torch.cat([gain, offset]).norm().item() == pytest.approx(8**0.5)
    else:
        assert not net[1].weight.requires_grad
        assert not net[1].bias.requires_grad


# States and arguments that do not fit.


@pytest.mark.parametrize(
    ("given", "taken", "message"),
    [("row", "tensor", "norms of shape"), ("tensor", "row", "norms of shape")],
)
def test_a_state_of_another_grain_is_refused(given: Any, taken: Any, message: str) -> None:
    net = _net(nn.BatchNorm1d(8))
    nap, other = Projection(net, per=taken), Projection(net, per=given)
    before = copy.deepcopy(nap.state_dict())
    with pytest.raises(ValueError, match=message):
        nap.load_state_dict(other.state_dict() | {"calls": 7})
    after = nap.state_dict()
    assert after["calls"] == before["calls"]
    assert torch.equal(after["targets"]["0.weight"], before["targets"]["0.weight"])


def test_a_state_with_a_norm_that_is_not_finite_is_refused() -> None:
    nap = Projection(_net())
    state = nap.state_dict()
    state["targets"] = {name: target * torch.nan for name, target in state["targets"].items()}
    with pytest.raises(ValueError, match="not finite"):
        nap.load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per": "rows"}, r"per: got 'rows'; expected tensor or row"),
        ({"every": 1.5}, r"every: got 1\.5; expected a whole number"),
        ({"every": True}, r"every: got True; expected a whole number"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Projection(_net(), which="matrices", **arguments)


def test_norms_are_taken_device_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from suite.interventions import normalize_project

    counts = []

    def counted(tensors: Any, *arguments: Any, **options: Any) -> Any:
        counts.append(len({t.device for t in tensors}))
        return squared_norms(tensors, *arguments, **options)

    monkeypatch.setattr(normalize_project, "squared_norms", counted)
    net = _net()
    net[3].to("meta")
    nap = Projection(net, which=["0.weight", "3.weight"])
    assert nap.names == ("0.weight", "3.weight")
    assert set(counts) == {1}
