"""One phase of a stream: which examples, with what inputs and labels, for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from suite.errors import ConfigError


@dataclass(frozen=True)
class Length:
    """The size of a phase, known from the config alone.

    Attributes:
        examples: number of training examples.
        steps: gradient steps, at most.
    """

    examples: int
    steps: int


def check_one_length(epochs: int | None, steps: int | None) -> None:
    """Check that exactly one of the two keys is given.

    Raises:
        ConfigError: if both or none are.
    """
    if (epochs is None) == (steps is None):
        raise ConfigError("epochs", epochs, "either 'epochs' or 'steps', not both")


@dataclass(frozen=True)
class Pool:
    """The training examples that the phases of a stream choose from.

    Attributes:
        labels: (n,) integers, the class of each example, on the CPU.
        classes: number of classes.
        shape: of one input.
    """

    labels: Tensor
    classes: int
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def of_class(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """Return `count` examples of a class in random order, (count,).

        Raises:
            ConfigError: if there are fewer.
        """
        found = (self.labels == label).nonzero().squeeze(1)
        if len(found) < count:
            wanted = f"at most the {len(found)} training examples of class {label}"
            raise ConfigError("task.per_class", count, wanted)
        return found[torch.randperm(len(found), generator=generator)[:count]]


@dataclass(frozen=True)
class Phase:
    """One phase. All tensors are on the CPU.

    Attributes:
        examples: (n,) positions in the pool.
        order: random stream of the orders of its epochs. Phases of one name see their examples in
            the same orders, whatever came before.
        labels: (n,) labels in place of the examples' own; None keeps those.
        relabel: (classes,) the label that each class has in this phase, -1 for a class that is not
            asked for; None keeps all. Held-out data follow it. It does not touch `labels`.
        permutation: (inputs,) input i of the network is input ``permutation[i]`` of the data, all
            axes flattened; None leaves inputs as they are. Held-out data follow it.
        inputs: what is done to the inputs last, after `permutation` and augmentation: standardised
            floats (n, *shape) on the device of the run to as many of the same shape and type. Each
            row for itself, and always alike: inputs are kept, or made again. None leaves them.
            Held-out data follow it.
        outputs: (outputs,) booleans, which outputs count with ``head: masked``; None for all.
        tested: whether held-out data have right answers.
    """

    examples: Tensor
    order: str
    labels: Tensor | None = None
    relabel: Tensor | None = None
    permutation: Tensor | None = None
    inputs: Callable[[Tensor], Tensor] | None = None
    outputs: Tensor | None = None
    tested: bool = True

    def shown(self, inputs: Tensor) -> Tensor:
        """Return inputs (n, *shape) as the network sees them in this phase.

        Args:
            inputs: with `permutation` and augmentation done.

        Raises:
            ConfigError: if `inputs` makes anything but as many of the same shape and type.
        """
        if self.inputs is None:
            return inputs
        made = self.inputs(inputs.clone())  # the data may not be changed in place
        if not isinstance(made, Tensor):
            raise ConfigError("Phase.inputs", type(made).__name__, "a tensor")
        if (made.shape, made.dtype) != (inputs.shape, inputs.dtype):
            wanted = f"{inputs.dtype} of shape {tuple(inputs.shape)}, as it gets them"
            raise ConfigError("Phase.inputs", f"{made.dtype} of shape {tuple(made.shape)}", wanted)
        return made

    def targets(self, own: Tensor) -> Tensor:
        """Return the labels of its examples, (n,).

        Args:
            own: (n,) their classes.

        Raises:
            ConfigError: if one belongs to a class that the phase does not ask for.
        """
        if self.labels is not None:
            return self.labels
        if self.relabel is None:
            return own
        targets = self.relabel[own]
        if bool((targets < 0).any()):
            missing = int(own[targets < 0][0])
            raise ConfigError("Phase.examples", f"class {missing}", "classes of the phase alone")
        return targets


def shuffled(count: int, generator: torch.Generator, size: int | None = None) -> Tensor:
    """Return `size` of the positions 0 to `count` - 1 in random order; all by default."""
    return torch.randperm(count, generator=generator)[:size]


def wrong_labels(labels: Tensor, share: float, classes: int, generator: torch.Generator) -> Tensor:
    """Return labels of which a share is wrong: never the true one, the others equally likely.

    Exactly ``round(share * n)`` are wrong, so an arm never gets more noise by chance (Lee et al.
    2024 draw labels the same way: a noisy label is never the true one).

    Args:
        labels: (n,) true classes.
        share: between 0 and 1.
        classes: number of classes.
        generator: what they are drawn from.
    """
    count = len(labels)
    wrong = torch.randperm(count, generator=generator)[: round(share * count)]
    shift = torch.randint(1, classes, (len(wrong),), generator=generator)
    noisy = labels.clone()
    noisy[wrong] = (labels[wrong] + shift) % classes
    return noisy
