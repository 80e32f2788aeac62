"""What is called scale-invariant is, in float64; what is not is left, with a reason."""

from __future__ import annotations

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CASES, Case, PreNorm, mlp
from torch import Tensor, nn

from suite import Projection
from suite.invariance.forward_passes import Passes, change, reach, tensors_in
from suite.invariance.guessed_inputs import made_up
from suite.invariance.scale_invariance import check_invariant, row_axis, scale_invariant
from suite.norms import Per

EVERY = [pytest.param(case, id=name) for name, case in CASES.items()]


def _seeded(case: Case, seed: int = 0) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(seed)
    return case.make(), torch.randn(case.shape)


@pytest.mark.parametrize("guessed", [False, True])
@pytest.mark.parametrize("case", EVERY)
def test_the_weights_of_networks_as_people_write_them(case: Case, guessed: bool) -> None:
    net, inputs = _seeded(case)
    probe = None if guessed else inputs
    for per, names in (("tensor", case.names), ("row", case.rows)):
        found = scale_invariant(net, probe, per)  # type: ignore[arg-type]
        assert found.names == names
        assert not set(found.names) & set(found.left)
        assert all(found.left.values())
        matrices = {n for n, p in net.named_parameters() if p.ndim > 1 and "original0" not in n}
        assert set(found.names) | set(found.left) == matrices - {"0.weight_g"}


@pytest.mark.parametrize("per", ["tensor", "row"])
@pytest.mark.parametrize("case", EVERY)
def test_an_independent_check_in_float64(case: Case, per: Per) -> None:
    """Each matrix, rescaled in place at weights off the start: outputs stay or they do not."""
    net, inputs = _seeded(case)
    net, inputs = net.double().train(), inputs.double()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    names = case.names if per == "tensor" else case.rows
    for name, p in net.named_parameters():
        if p.ndim < 2 or name.endswith(("original0", "weight_g")):
            continue
        other = copy.deepcopy(p.detach())
        axis = row_axis(net, name)
        assert axis is not None
        shape = [-1 if d == axis else 1 for d in range(p.ndim)]
        factors = torch.linspace(2, 9, p.shape[axis], dtype=p.dtype).view(shape)
        before = _run(net, inputs)
        with torch.no_grad():
            p.mul_(5.0 if per == "tensor" else factors)
        moved = (_run(net, inputs) - before).abs().max() / before.abs().max()
        with torch.no_grad():
            p.copy_(other)
        assert (moved < 1e-2) == (name in names), (name, moved)


def _run(net: nn.Module, inputs: Tensor) -> Tensor:
    """Return the outputs in training mode; draws are those of every other pass."""
    torch.manual_seed(1)
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    out: Tensor = net(inputs).detach()
    for name, buffer in net.named_buffers():
        buffer.copy_(buffers[name])
    return out


def _block(draw: Any, width: int) -> tuple[list[nn.Module], int]:
    """Draw a map, a norm or none, and a nonlinearity."""
    out = draw(st.sampled_from([6, 8]))  # a group of two would be a sign, hardly a function
    norms = [nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d, lambda n: nn.GroupNorm(2, n), None]
    norm = draw(st.sampled_from(norms))
    act = draw(st.sampled_from([nn.ReLU, nn.Tanh, nn.GELU, nn.Identity]))
    layers: list[nn.Module] = [nn.Linear(width, out, bias=draw(st.booleans()))]
    return [*layers, *([norm(out)] if norm else []), act()], out


class Residual(nn.Module):
    """The identity plus modules."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.inner(x)
        return out


@st.composite
def random_networks(draw: Any) -> nn.Module:
    torch.manual_seed(draw(st.integers(0, 2**31)))
    layers, width = _block(draw, 5)
    for _ in range(draw(st.integers(0, 3))):
        more, out = _block(draw, width)
        if draw(st.booleans()):
            more, out = [Residual(*more, nn.Linear(out, width, bias=False))], width
        layers, width = [*layers, *more], out
    return nn.Sequential(*layers, nn.Linear(width, 3))


@settings(max_examples=40)
@given(net=random_networks(), seed=st.integers(0, 2**31), per=st.sampled_from(["tensor", "row"]))
def test_projecting_random_networks_leaves_their_outputs(
    net: nn.Module, seed: int, per: Per
) -> None:
    net = net.double()
    torch.manual_seed(seed)
    inputs = torch.randn(12, 5, dtype=torch.float64)
    module: Any
    for module in net.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-12
    if not scale_invariant(net, inputs, per).names:
        with pytest.raises(ValueError, match="selects no tensor"):
            Projection(net, per=per, probe=inputs)
        return
    nap = Projection(net, per=per, probe=inputs)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p))  # as training does; biases are not zero any more
        before = net(inputs)
        nap.step()
        after = net(inputs)
    assert (after - before).abs().max() < 1e-4 * before.abs().max()


@dataclass
class Output:
    logits: Tensor
    hidden: tuple[Tensor, ...] | None = None
    step: int = 3


Pair = namedtuple("Pair", "logits extra")


class Returning(nn.Module):
    """A network of two inputs that returns its logits as asked for."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self.net, self.form = mlp(nn.LayerNorm(8)), form

    def forward(self, x: Tensor, *, scale: Tensor | None = None, flag: bool = True) -> Any:
        assert flag
        logits = self.net(x)
        return self.form(logits if scale is None else logits * scale)


@pytest.mark.parametrize(
    "form",
    [
        lambda y: (y, None, "text"),
        lambda y: {"logits": y, "size": 3},
        lambda y: OrderedDict(loss=y.mean(), logits=y, ids=y.argmax(1)),
        lambda y: Output(y, hidden=(y + 1,)),
        lambda y: Pair(y, [y]),
    ],
)
def test_what_networks_return(form: Any) -> None:
    net = Returning(form)
    x, scale = torch.randn(8, 6), torch.randn(8, 1)
    for probe in (x, (x,), [x], {"x": x, "scale": scale, "flag": True}, {"x": x}):
        assert scale_invariant(net, probe).names == ("net.0.weight",)


def test_hidden_states_that_are_returned_count() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(nn.LayerNorm(8))

        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"hidden": [self.net[0](x)], "logits": self.net(x)}

    assert scale_invariant(Both(), torch.randn(8, 6)).names == ()


def test_a_mapping_that_is_the_one_argument() -> None:
    class Batch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(nn.LayerNorm(8))

        def forward(self, batch: dict[str, Tensor]) -> Tensor:
            out: Tensor = self.net(batch["x"])
            return out

    assert scale_invariant(Batch(), {"x": torch.randn(8, 6)}).names == ("net.0.weight",)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_judged_as_it_trains_and_frozen_parts_stay_frozen(training: bool) -> None:
    def two() -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(),
            nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2),
        )  # fmt: skip

    probe = torch.randn(16, 6)
    assert scale_invariant(two().train(training), probe).names == ("0.weight", "3.weight")
    net = two()
    net[4].eval()  # frozen: it divides by what it once saw
    assert scale_invariant(net, probe).names == ("0.weight",)
    net[4].requires_grad_(False)
    net.train(training)[4].eval()
    assert scale_invariant(net, probe).names == ("0.weight",)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left_behind(training: bool) -> None:
    """Not in parameters, buffers, modes, attributes, nor in the generators; nor in the probe."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(
                nn.ReLU(inplace=True), nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8),
                nn.Dropout(0.5), nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3)),
            )  # fmt: skip
            self.calls = 0
            self.seen: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.seen = out = cast(Tensor, self.net(x))
            return out

    net, probe = Counting().train(training), torch.randn(16, 6)
    state, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    given, drawn = probe.clone(), torch.get_rng_state()
    found = scale_invariant(net, probe)
    assert found.names == ("net.1.weight", "net.4.parametrizations.weight.original")
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.equal(probe, given)
    now = net.state_dict()
    assert now.keys() == state.keys()
    assert all(torch.equal(now[name], value) for name, value in state.items())
    assert [m.training for m in net.modules()] == modes
    assert (net.calls, net.seen) == (0, None)
    assert not any(p.requires_grad is False or p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types(dtype: torch.dtype) -> None:
    net = mlp(nn.BatchNorm1d(8)).to(dtype)
    assert scale_invariant(net, torch.randn(16, 6).to(dtype)).names == ("0.weight",)
    assert scale_invariant(net).names == ("0.weight",)


def test_why_weights_are_left() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2))
    left = scale_invariant(net, torch.randn(8, 6)).left
    assert "bias" in left["0.weight"]
    assert left["3.weight"] == "not scale-invariant: the outputs depend on its scale"
    rows = scale_invariant(mlp(nn.LayerNorm(8)), torch.randn(8, 6), "row").left
    assert "per='tensor'" in rows["0.weight"]


def test_a_weight_that_the_probe_does_not_reach_is_left() -> None:
    """With one token the softmax is 1 whatever the queries and keys are."""
    left = scale_invariant(PreNorm(), torch.randn(3, 1, 16)).left
    assert "do not depend" in left["q.weight"]


def test_a_bias_or_branch_of_zero_hides_nothing() -> None:
    net: Any = mlp(nn.LayerNorm(8), bias=True)
    nn.init.zeros_(net[0].bias)
    nn.init.zeros_(net[3].weight)
    assert scale_invariant(net, torch.randn(8, 6)).names == ()


def test_a_small_branch_of_a_deep_network_is_seen() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.map = nn.LayerNorm(8), nn.Linear(8, 8, bias=False)
            nn.init.normal_(self.map.weight, std=1e-5)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = x + self.map(self.norm(x))
            return out

    net = nn.Sequential(*(Branch() for _ in range(40)), nn.LayerNorm(8), nn.Linear(8, 2))
    assert scale_invariant(net, torch.randn(4, 8)).names == ()


@pytest.mark.parametrize("size", [1e-6, 1e-2, 30.0, 255.0, 1e5])
@pytest.mark.parametrize("width", [4, 32])
def test_inputs_of_any_size(size: float, width: int) -> None:
    """Large ones saturate tanh and drown a bias; both still count."""
    probe = size * torch.randn(4, 6)
    for bias in (False, True):
        first = nn.Linear(6, width, bias=bias)
        bent = nn.Sequential(first, nn.Tanh(), nn.Linear(width, 3))
        assert scale_invariant(bent, probe).names == ()
    offset = nn.Sequential(first, nn.LayerNorm(width), nn.Tanh(), nn.Linear(width, 3))
    assert scale_invariant(offset, probe).names == ()
    if size > 1:  # else the epsilon counts
        right: Any = nn.Sequential(
            nn.Linear(6, width, bias=False), nn.LayerNorm(width), nn.Tanh(),
            nn.Linear(width, width, bias=False), nn.RMSNorm(width), nn.Linear(width, 3),
        )  # fmt: skip
        nn.init.normal_(right[3].weight)
        assert scale_invariant(right, probe).names == ("0.weight", "3.weight")


def test_a_weight_so_small_that_epsilon_counts_is_refused() -> None:
    net: Any = mlp(nn.LayerNorm(8))
    nn.init.normal_(net[0].weight, std=1e-4)
    with pytest.raises(ValueError, match=r"'0\.weight'.*epsilon"):
        scale_invariant(net, torch.randn(8, 6))


def test_a_network_may_list_them_itself_and_is_checked() -> None:
    net: Any = mlp(nn.LayerNorm(8))
    net.scale_invariant_weights = ("0.weight",)
    assert scale_invariant(net).names == ("0.weight",)
    net.scale_invariant_weights = ("3.weight",)
    with pytest.raises(ValueError, match=r"'3\.weight' is not scale-invariant"):
        scale_invariant(net, torch.randn(8, 6))
    with pytest.raises(ValueError, match=r"'3\.weight' is not scale-invariant"):
        check_invariant(net, ["0.weight", "3.weight"], torch.randn(8, 6))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8, bias=False), nn.Linear(5, 8, bias=False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.a(x)) + self.norm(self.b(y)))
        return out


class Varying(nn.Module):
    """Draws from a generator of its own, which nobody can put back."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.own = nn.Linear(6, 8), torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.map(x) * torch.randn(8, generator=self.own)
        return out


@pytest.mark.parametrize(
    ("net", "probe", "message"),
    [
        (TwoInputs(), None, "pass probe="),
        (TwoInputs(), torch.randn(3, 6), r"the model fails on it \(TypeError.*pass probe="),
        (mlp(nn.LayerNorm(8)), torch.randn(3, 7), r"fails on it \(RuntimeError.*pass probe="),
        (mlp(nn.BatchNorm1d(8)), torch.randn(1, 6), "fails on it .*more than 1 value per channel"),
        (Varying(), torch.randn(3, 6), "vary from pass to pass"),
        (mlp(nn.LayerNorm(8)), torch.full((3, 6), float("nan")), "not finite"),
        (Returning(lambda y: y.argmax(1)), torch.randn(3, 6), "no tensor of real numbers"),
    ],
)
def test_what_cannot_be_told_is_refused(net: nn.Module, probe: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scale_invariant(net, probe)


def test_with_the_right_probe_it_can() -> None:
    names = scale_invariant(TwoInputs(), (torch.randn(3, 6), torch.randn(3, 5))).names
    assert names == ("a.weight", "b.weight")


def test_a_module_without_a_forward_is_a_chain_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    net = nn.ModuleDict({"first": nn.Linear(6, 8, bias=False), "norm": nn.LayerNorm(8)})
    assert scale_invariant(net).names == ("first.weight",)
    assert "has no forward" in caplog.text


def test_on_the_meta_device_structure_alone_tells() -> None:
    with torch.device("meta"):
        net = mlp(nn.LayerNorm(8))
    for probe in (None, torch.empty(4, 6, device="meta")):
        assert scale_invariant(net, probe).names == ("0.weight",)
    assert all(p.is_meta for p in net.parameters())


def test_change_is_relative_to_what_parameters_can_do_to_each_unit() -> None:
    small, large = torch.tensor([1.0, -2.0]), torch.tensor([1e6])
    sizes = reach([small, large], [small + torch.tensor([1.0, -2.0]), large + 10])
    assert [size.item() for size in sizes] == [2, 10]
    assert change([small, large], [small, large], sizes) == 0
    assert change([small, large], [small + torch.tensor([0.0, 0.5]), large], sizes) == 0.25
    assert change([small, large], [small, large + 5], sizes) == 0.5
    masked = torch.tensor([-torch.inf, 1.0])
    size = reach([masked], [masked + torch.tensor([0.0, 1.0])])
    assert change([masked], [masked], size) == 0
    assert change([masked], [torch.tensor([0.0, 1.0])], size) == float("inf")
    assert change([small], [torch.tensor([torch.nan, 0.0])], sizes[:1]) == float("inf")
    assert change([small], [small, small], sizes[:1]) == float("inf")


@pytest.mark.parametrize("shape", [(5, 2), (5, 4, 2), (5, 2, 4, 4)])
def test_units_of_outputs_are_judged_by_themselves(shape: tuple[int, ...]) -> None:
    axis = 1 if len(shape) == 4 else len(shape) - 1
    per_unit = torch.tensor([600.0, 8.0]).view([2 if d == axis else 1 for d in range(len(shape))])
    before = torch.full(shape, 15.0)
    (size,) = sizes = reach([before], [before + per_unit])
    assert set(size.flatten().tolist()) == {600.0, 8.0}
    assert change([before], [before + 0.5 * per_unit], sizes) == 0.5
    still = reach([before], [before])
    assert still[0].max().item() == pytest.approx(15e-6)


def test_tensors_of_nested_values() -> None:
    a, b = torch.zeros(1), torch.ones(2)
    assert [*map(len, tensors_in({"x": [a, (b, None)], "y": Output(b, (a,))}))] == [1, 2, 2, 1]


def test_dropout_draws_the_same_in_every_pass() -> None:
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
    passes = Passes(net, torch.randn(4, 6))
    values: dict[str, Tensor] = dict(net.named_parameters())
    first = passes(values)
    sizes = reach(first, passes(values, seed=1))
    assert change(first, passes(values), sizes) == 0
    assert change(first, passes(values, seed=1), sizes) == 1


def test_made_up_inputs_are_tokens_images_or_vectors() -> None:
    tokens = next(made_up(nn.Sequential(nn.Linear(8, 4), nn.Embedding(7, 8))))
    assert (tokens.dtype, int(tokens.max()) < 7) == (torch.int64, True)
    assert next(made_up(nn.Sequential(nn.Linear(8, 4), nn.Conv2d(3, 8, 3)))).shape == (3, 3, 32, 32)
    assert next(made_up(nn.Linear(8, 4))).shape == (7, 8)
