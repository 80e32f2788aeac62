"""Networks as people write them, each with the weights whose scale its outputs do not feel."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import utils as old
from torch.nn.utils import parametrizations


class PreNorm(nn.Module):
    """A pre-norm transformer block by hand: RMSNorm, bias-free maps, final norm, head."""

    q: nn.Linear
    k: nn.Linear
    v: nn.Linear
    o: nn.Linear

    def __init__(self, head_first: bool = False, qk_norm: bool = False, width: int = 16) -> None:
        super().__init__()
        if head_first:
            self.head = nn.Linear(width, 5, bias=False)
        self.norm1 = nn.RMSNorm(width)
        for name in ("q", "k", "v", "o"):
            setattr(self, name, nn.Linear(width, width, bias=False))
        self.q_norm = nn.RMSNorm(width) if qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(width) if qk_norm else nn.Identity()
        self.norm2 = nn.RMSNorm(width)
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)
        self.final = nn.RMSNorm(width)
        if not head_first:
            self.head = nn.Linear(width, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Any = self.norm1(x)
        q, k = self.q_norm(self.q(y)), self.k_norm(self.k(y))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        x = x + self.o(scores.softmax(-1) @ self.v(y))
        x = x + self.down(torch.relu(self.up(self.norm2(x))))
        out: Tensor = self.head(self.final(x))
        return out


class MultiHead(nn.Module):
    """The same with `nn.MultiheadAttention` and GELU."""

    def __init__(self, head_first: bool = False) -> None:
        super().__init__()
        if head_first:
            self.head = nn.Linear(16, 5, bias=False)
        self.attention = nn.MultiheadAttention(16, 4, bias=False, batch_first=True)
        self.norm1, self.norm2, self.final = nn.RMSNorm(16), nn.RMSNorm(16), nn.RMSNorm(16)
        self.up, self.down = nn.Linear(16, 32, bias=False), nn.Linear(32, 16, bias=False)
        if not head_first:
            self.head = nn.Linear(16, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.down(nn.functional.gelu(self.up(self.norm2(x))))
        out: Tensor = self.head(self.final(x))
        return out


class PreActivation(nn.Module):
    """A pre-activation residual block behind a stem: of its maps the first is invariant."""

    def __init__(self, projected: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1, self.conv1 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(8, 8, 1, bias=False) if projected else None
        self.bn3, self.head = nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = torch.relu(self.bn1(x))
        kept = x if self.shortcut is None else self.shortcut(y)
        x = kept + self.conv2(torch.relu(self.bn2(self.conv1(y))))
        out: Tensor = self.head(torch.relu(self.bn3(x)).mean((2, 3)))
        return out


class PostNorm(nn.Module):
    """A residual sum behind which there is a norm: neither of its two parts is invariant."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6, bias=False)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(x + self.first(x)))
        return out


class ByHand(nn.Module):
    """Normalisation without a module; the head is registered first and cosine-normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3, bias=False)
        self.hidden = nn.Linear(6, 8, bias=False)
        self.free = nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.hidden(x)
        y = torch.relu(y * (y.square().mean(-1, keepdim=True) + 1e-6).rsqrt())
        y = self.free(y)
        return 10 * nn.functional.linear(y, nn.functional.normalize(self.head.weight, dim=1))


def mlp(norm: nn.Module, bias: bool = False) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8, bias=bias), norm, nn.ReLU(), nn.Linear(8, 3))


def convolutional(norm: nn.Module, bias: bool = False) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=bias), norm, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 4)
    )


def transposed(norm: nn.Module, bias: bool = False) -> nn.Sequential:
    up = nn.ConvTranspose2d(3, 8, 4, stride=2, bias=bias)
    return nn.Sequential(up, norm, nn.ReLU(), nn.ConvTranspose2d(8, 1, 3))


def zero_start() -> nn.Module:
    """Everything that hides what is in front of it begins at zero."""
    net = PreNorm()
    for weight in (net.o.weight, net.down.weight, net.head.weight):
        nn.init.zeros_(weight)
    return net


@dataclass(frozen=True)
class Case:
    """A network, inputs for it, and its scale-invariant weights; by row if that differs.

    Attributes:
        make: builds the network.
        shape: of its inputs.
        names: of the invariant weights.
        rows: those whose rows are.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    names: tuple[str, ...]
    rows: tuple[str, ...] = ()


def quiet(norm: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    """Return `norm` without the warning that there is a newer one."""

    def apply(module: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return norm(module)

    return apply


def parametrized(norm: Callable[[nn.Module], nn.Module]) -> Callable[[], nn.Module]:
    """A map that is kept in another form, before a nonlinearity, without any norm layer."""
    return lambda: nn.Sequential(norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


def two_maps() -> nn.Module:
    """ReLU hands a positive factor on, so the norm takes that of both maps away."""
    maps = (nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 8, bias=False))
    return nn.Sequential(*maps, nn.LayerNorm(8), nn.Linear(8, 2))


VECTORS, IMAGES, TOKENS = (16, 6), (8, 3, 16, 16), (3, 7, 16)
FIRST, OLD_V = ("0.weight",), ("0.weight_v",)
STEM = ("stem.weight", "conv1.weight")
V, S = ("0.parametrizations.weight.original1",), ("0.parametrizations.weight.original",)

CASES = {
    "linear-layer": Case(lambda: mlp(nn.LayerNorm(8)), VECTORS, FIRST),
    "linear-rms": Case(lambda: mlp(nn.RMSNorm(8)), VECTORS, FIRST),
    "linear-bias-layer": Case(lambda: mlp(nn.LayerNorm(8), True), VECTORS, ()),
    "linear-bias-batch": Case(lambda: mlp(nn.BatchNorm1d(8), True), VECTORS, FIRST, FIRST),
    "linear-batch": Case(lambda: mlp(nn.BatchNorm1d(8)), VECTORS, FIRST, FIRST),
    "linear-none": Case(lambda: mlp(nn.Identity()), VECTORS, ()),
    "two-maps": Case(two_maps, VECTORS, ("0.weight", "2.weight")),
    "conv-batch": Case(lambda: convolutional(nn.BatchNorm2d(8)), IMAGES, FIRST, FIRST),
    "conv-bias-batch": Case(lambda: convolutional(nn.BatchNorm2d(8), True), IMAGES, FIRST, FIRST),
    "conv-group": Case(lambda: convolutional(nn.GroupNorm(1, 8)), IMAGES, FIRST),
    "conv-bias-group": Case(lambda: convolutional(nn.GroupNorm(1, 8), True), IMAGES, ()),
    "conv-instance": Case(lambda: convolutional(nn.InstanceNorm2d(8), True), IMAGES, FIRST, FIRST),
    "transposed-batch": Case(lambda: transposed(nn.BatchNorm2d(8)), IMAGES, FIRST, FIRST),
    "transposed-bias-batch": Case(
        lambda: transposed(nn.BatchNorm2d(8), True), IMAGES, FIRST, FIRST
    ),
    "transposed-group": Case(lambda: transposed(nn.GroupNorm(1, 8)), IMAGES, FIRST),
    "pre-norm": Case(PreNorm, TOKENS, ()),
    "pre-norm-head-first": Case(lambda: PreNorm(head_first=True), TOKENS, ()),
    "pre-norm-qk-norm": Case(lambda: PreNorm(qk_norm=True), TOKENS, ("q.weight", "k.weight")),
    "pre-norm-zeros": Case(zero_start, TOKENS, ()),
    "multi-head": Case(MultiHead, TOKENS, ()),
    "multi-head-head-first": Case(lambda: MultiHead(head_first=True), TOKENS, ()),
    "encoder-layer": Case(
        lambda: nn.TransformerEncoderLayer(16, 2, 32, bias=False, norm_first=True, dropout=0.1),
        TOKENS,
        (),
    ),
    "pre-activation": Case(lambda: PreActivation(False), IMAGES, STEM[1:], STEM[1:]),
    "pre-activation-projected": Case(lambda: PreActivation(True), IMAGES, STEM, STEM),
    "post-norm": Case(PostNorm, VECTORS, ()),
    "by-hand": Case(ByHand, VECTORS, ("head.weight", "hidden.weight"), ("head.weight",)),
    "weight-norm": Case(parametrized(parametrizations.weight_norm), VECTORS, V, V),
    "spectral-norm": Case(parametrized(parametrizations.spectral_norm), VECTORS, S),
    "old-weight-norm": Case(parametrized(quiet(old.weight_norm)), VECTORS, OLD_V, OLD_V),
    "old-spectral-norm": Case(parametrized(quiet(old.spectral_norm)), VECTORS, ("0.weight_orig",)),
    "dropout": Case(
        lambda: nn.Sequential(nn.Dropout(0.3), *mlp(nn.LayerNorm(8))), VECTORS, ("1.weight",)
    ),
}
