"""What could hide a weight's scale: constants, skips, dropped layers, zeros, modes of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.invariance.scale_invariance import scale_invariant


class Affine(nn.Module):
    """Two maps, with outputs in units of their own and perhaps the inputs added."""

    def __init__(self, mean: list[float], std: list[float], skip: bool = False) -> None:
        super().__init__()
        self.a = nn.Linear(16, 32, bias=False)
        self.b = nn.Linear(32, 16 if skip else len(mean))
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.mean + self.std * self.b(torch.tanh(self.a(x / 255 if self.skip else x)))
        return out + x if self.skip else out


@pytest.mark.parametrize(
    ("net", "probe"),
    [
        (Affine([1013.0], [6.0]), None),
        (Affine([101300.0, 15.0], [600.0, 8.0]), None),
        (Affine([0.0], [1.0], skip=True), 255 * torch.rand(32, 16)),
    ],
    ids=["offset", "units", "skip"],
)
def test_constants_and_inputs_in_the_outputs_hide_nothing(net: nn.Module, probe: Any) -> None:
    assert scale_invariant(net, probe).names == ()


class Dropped(nn.Module):
    """Residual blocks that are dropped at random in training."""

    def __init__(self, share: float, blocks: int = 4, python: bool = False) -> None:
        super().__init__()
        self.embed = nn.Linear(16, 32, bias=False)
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(blocks))
        self.inner = nn.ModuleList(nn.Linear(32, 32, bias=False) for _ in range(blocks))
        self.after = nn.ModuleList(nn.LayerNorm(32) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(32, 32) for _ in range(blocks))
        self.last, self.head = nn.LayerNorm(32), nn.Linear(32, 4)
        self.share, self.python = share, python

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for norm, inner, after, outer in zip(
            self.norms, self.inner, self.after, self.outer, strict=True
        ):
            branch = outer(torch.relu(after(inner(norm(x)))))
            if self.python:
                if not self.training or torch.rand(()) >= self.share:
                    x = x + branch
            else:
                kept = torch.empty(1).bernoulli_(1 - self.share) if self.training else 1.0
                x = x + kept * branch
        out: Tensor = self.head(self.last(x))
        return out


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("blocks", [1, 4])
def test_layers_dropped_at_random_are_judged_as_if_they_were_there(
    blocks: int, share: float, python: bool
) -> None:
    torch.manual_seed(0)
    found = scale_invariant(Dropped(share, blocks, python), torch.randn(32, 16))
    assert found.names == tuple(f"inner.{i}.weight" for i in range(blocks))
    assert "depend on its scale" in found.left["embed.weight"]


class OwnMode(nn.Module):
    """A network that keeps its BatchNorm in evaluation mode, by a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def train(self, mode: bool = True) -> OwnMode:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
        return out


@pytest.mark.parametrize("mode", ["new", "train", "eval"])
def test_a_networks_own_way_into_training_mode_is_followed(mode: str) -> None:
    net = OwnMode()
    if mode != "new":
        net.train(mode == "train")
    before = [m.training for m in net.modules()]
    assert scale_invariant(net).names == ()
    assert [m.training for m in net.modules()] == before
    plain = nn.Sequential(net.conv, nn.BatchNorm2d(8), nn.Flatten(), nn.LazyLinear(4))
    plain(torch.zeros(2, 3, 5, 5))
    assert scale_invariant(plain, torch.randn(4, 3, 5, 5)).names == ("0.weight",)


def _stack(depth: int, factor: float, zero_head: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        linear = nn.Linear(16, 16, bias=False)
        linear.weight.data.mul_(factor)
        layers += [linear, nn.LayerNorm(16), nn.Tanh()]
    head = nn.Linear(16, 2)
    if zero_head:
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, head)


@pytest.mark.parametrize("zero_head", [False, True])
def test_a_head_of_zero_does_not_hide_that_epsilon_counts(zero_head: bool) -> None:
    probe = torch.randn(8, 16)
    assert scale_invariant(_stack(1, 1.0, zero_head), probe).names == ("0.weight",)
    with pytest.raises(ValueError, match=r"'0\.weight' is scale-invariant, but not at its own"):
        scale_invariant(_stack(1, 1e-3, zero_head), probe)


class Parallel(nn.Module):
    """Branches that are summed, each with a norm layer whose epsilon counts a little."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(16, 16, bias=False) for _ in range(12))
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(12))
        for linear in self.maps:
            nn.init.orthogonal_(linear.get_parameter("weight"), factor)
        self.head = nn.Linear(16, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        branches = [n(m(x)) for n, m in zip(self.norms, self.maps, strict=True)]
        out: Tensor = self.head(torch.stack(branches).sum(0))
        return out


def test_epsilon_that_counts_in_many_layers_together_is_refused() -> None:
    torch.manual_seed(0)
    probe = torch.randn(8, 16)
    assert len(scale_invariant(Parallel(1.0), probe).names) == 12
    with pytest.raises(ValueError, match=r"by 0\.\d% and doubling all 12 by [12]\.\d%"):
        scale_invariant(Parallel(0.007), probe)


class Collecting(nn.Module):
    """A network that fills a buffer, a list and a dict, and adds a module, as it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.norm, self.head = (
            nn.Linear(4, 8, bias=False),
            nn.LayerNorm(8),
            nn.Linear(8, 2),
        )
        self.mean: Tensor | None
        self.register_buffer("mean", None)
        self.seen: list[Tensor] = []
        self.cache: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if self.mean is None:
            self.mean = x.mean(0)
            self.extra = nn.Identity()
        self.seen.append(x)
        self.cache[len(x)] = x
        out: Tensor = self.head(self.norm(self.map(x)))
        return out


def test_what_a_network_collects_is_not_left_behind() -> None:
    net: Any = Collecting()
    assert scale_invariant(net).names == ("map.weight",)
    assert (net.mean, net.seen, net.cache) == (None, [], {})
    assert not hasattr(net, "extra")
