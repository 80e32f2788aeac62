"""Resets: parts of the network go back to fresh initial values (Nikishin et al. 2022).

This is a remedy for primacy bias: at intervals the network forgets what it learnt from early data,
but the data stay. Resetting only the last layers suits networks with a convolutional torso (their
Atari agent: the head, every 20,000 agent steps, four times in 100,000); D'Oro et al. 2023 reset
whole networks at high update-to-data ratios. The new values are drawn from the run's own stream, by
the rule of the first ones, and the optimizer state of the tensors is cleared: moments and step
counts are zero. Running statistics of the norm layers among them start again. An agent's target
network is copied at once.

References:
    Nikishin, Schwarzer, D'Oro, Bacon, Courville 2022, The Primacy Bias in Deep Reinforcement
    Learning; D'Oro, Schwarzer, Nikishin, Bacon, Bellemare, Courville 2023, Sample-Efficient
    Reinforcement Learning by Breaking the Replay Ratio Barrier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, Intervention
from suite.interventions.timing import Timed, TimedConfig
from suite.optimizers import clear_state
from suite.params import head_layers, output_layers, parameters_of

Layers = Literal["last", "head", "all"]


@torch.no_grad()
def reset_(
    parameters: Mapping[str, nn.Parameter],
    initial: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Give `parameters` new values in place, and let the optimizer forget them.

    Args:
        parameters: by name.
        initial: their new values, by name; others are ignored.
        optimizer: what holds their moments and step counts; None leaves these.
    """
    torch._foreach_copy_(list(parameters.values()), [initial[name] for name in parameters])
    if optimizer is not None:
        clear_state(optimizer, parameters.values())


def _named(model: nn.Module, layers: Layers) -> set[str]:
    """Return the names of the modules that `layers` stands for."""
    if layers == "all":
        return {name for name, _ in model.named_modules()}
    return output_layers(model) if layers == "last" else head_layers(model)


def chosen(bound: Bound, layers: Layers) -> dict[str, nn.Parameter]:
    """Return the trainable parameters that `layers` stands for, by name."""
    names = set(bound.roles)
    if layers != "all":
        names &= set(parameters_of(bound.model, _named(bound.model, layers)))
    return {name: p for name, p in bound.model.named_parameters() if name in names}


def reset_statistics(model: nn.Module, layers: Layers) -> None:
    """Let the running statistics of the norm layers among `layers` start again, in place."""
    names = _named(model, layers)
    for name, module in model.named_modules():
        if name in names and getattr(module, "track_running_stats", False):
            module.reset_running_stats()


class Reset(Timed):
    """`reset_` now and then."""

    def __init__(self, config: ResetConfig, bound: Bound) -> None:
        super().__init__(config, bound)
        self.layers = config.layers
        self.parameters = chosen(bound, config.layers)
        if not self.parameters:
            raise ConfigError(
                "interventions.reset.layers", self.layers, "all: there is no output layer"
            )

    def act(self, done: int) -> bool:
        """Reset the parameters."""
        reset_(self.parameters, self.bound.initial(done), self.optimizer)
        reset_statistics(self.bound.model, self.layers)
        self.happened(done, "reset", self.layers)
        return True


@INTERVENTIONS.register("reset")
class ResetConfig(TimedConfig):
    """Gives layers new initial values at intervals and clears their optimizer state.

    `layers`: ``last``, the output layers; ``head``, everything after the torso: the last hidden
    layers and the outputs of a value network, and the norm layers between them; ``all``.
    """

    side_by_side: ClassVar[bool] = True
    kind: Literal["reset"] = "reset"
    layers: Layers = "last"

    def bind(self, bound: Bound) -> Intervention:
        """Return a `Reset`."""
        return Reset(self, bound)
