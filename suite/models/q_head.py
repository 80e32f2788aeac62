"""The last layers of a value network: one stream or two, values or distributions, noisy or not.

A stream is a hidden layer and a linear output. One stream gives an output per action (and atom);
a dueling head has a stream for the value and one for the advantages (Wang et al. 2016)::

    q(a) = v + adv(a) - mean_a' adv(a')

With atoms the outputs are the logits of a distribution over returns (Bellemare et al. 2017), one
per action and atom; the mean over actions is then taken for each atom. With noise every linear map
of the head is noisy (Fortunato et al. 2018; Hessel et al. 2018).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from suite.models.base import ModelSpec
from suite.models.head_spec import PLAIN, HeadSpec
from suite.models.noisy import NoisyLinear
from suite.models.normalize import NormKind, norm


def linear(
    inputs: int, outputs: int, bias: bool, spec: HeadSpec, mean_bias: bool = True
) -> nn.Module:
    """Return a linear map, noisy if asked for."""
    if spec.noisy is None:
        return nn.Linear(inputs, outputs, bias=bias)
    return NoisyLinear(inputs, outputs, bias, spec.noisy, spec.noise_bound, mean_bias)


class Stream(nn.Module):
    """A hidden layer, normalised if asked for, and a linear output."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kind: NormKind, spec: HeadSpec
    ) -> None:
        super().__init__()
        bias = kind == "none"
        self.hidden = linear(inputs, hidden, bias, spec)
        self.norm = nn.Sequential(*norm(kind, hidden))
        self.relu = nn.ReLU(inplace=True)
        self.output = linear(hidden, outputs, bias, spec, spec.noisy_output_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs) for features (batch, inputs)."""
        y: Tensor = self.output(self.relu(self.norm(self.hidden(x))))
        return y


class QHead(nn.Module):
    """The streams and how they are put together.

    Args:
        inputs: features of the torso.
        hidden: units of each stream.
        actions: number of actions.
        spec: what is asked for.
        kind: normalisation before the nonlinearities.
    """

    def __init__(
        self, inputs: int, hidden: int, actions: int, spec: HeadSpec, kind: NormKind
    ) -> None:
        super().__init__()
        self.actions, self.atoms = actions, spec.atoms
        self.advantage = Stream(inputs, hidden, actions * spec.atoms, kind, spec)
        self.value: Stream | None = None
        if spec.dueling:
            self.value = Stream(inputs, hidden, spec.atoms, kind, spec)

    def forward(self, x: Tensor) -> Tensor:
        """Return values (batch, actions), or logits (batch, actions, atoms) with atoms."""
        out: Tensor = self.advantage(x).view(-1, self.actions, self.atoms)
        if self.value is not None:
            value = self.value(x).view(-1, 1, self.atoms)
            out = out + (value - out.mean(1, keepdim=True))
        return out if self.atoms > 1 else out.squeeze(2)


class QNetwork(nn.Sequential):
    """A torso and a head."""

    head_modules = ("head",)

    def __init__(self, torso: nn.Module, head: QHead) -> None:
        super().__init__(OrderedDict(torso=torso, head=head))
        streams = ("advantage",) if head.value is None else ("advantage", "value")
        self.output_layers = tuple(f"head.{name}.output" for name in streams)


def with_head(
    torso: nn.Module, units: int, hidden: int, spec: ModelSpec, kind: NormKind
) -> nn.Module:
    """Return the network of a torso with `units` features and the head that `spec` asks for."""
    head = QHead(units, hidden, spec.outputs, spec.head, kind)
    return QNetwork(torso, head)


def value_network(
    torso: OrderedDict[str, nn.Module], units: int, hidden: int, spec: ModelSpec, kind: NormKind
) -> nn.Module:
    """Return the network of the modules of a torso and what follows them.

    That is a hidden layer and an output, in line with the torso, where `spec` asks for no more;
    else a head of its own.

    Args:
        torso: modules by name; gives (batch, units).
        units: its features.
        hidden: units of the hidden layer, of each stream if there are two.
        spec: what is asked for.
        kind: normalisation before the nonlinearities.
    """
    if spec.head != PLAIN:
        return with_head(nn.Sequential(torso), units, hidden, spec, kind)
    bias = kind == "none"
    torso["hidden"] = nn.Linear(units, hidden, bias=bias)
    for layer in norm(kind, hidden):
        torso["norm_hidden"] = layer
    torso["relu_hidden"] = nn.ReLU(inplace=True)
    torso["output"] = nn.Linear(hidden, spec.outputs, bias=bias)
    return nn.Sequential(torso)
