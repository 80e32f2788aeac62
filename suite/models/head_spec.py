"""The form of the last layers of a value network, as its agent needs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadSpec:
    """What an agent asks of the last layers.

    Attributes:
        dueling: whether value and advantages have separate streams.
        atoms: of the distribution of each action's return; 1 for plain values.
        noisy: initial noise of the linear maps, as `suite.models.noisy.NoisyLinear` takes it; None
            for none.
        noise_bound: bound on the normal variables that noise is made of; None for none.
        noisy_output_bias: whether the biases of noisy output layers have means, besides noise.
    """

    dueling: bool = False
    atoms: int = 1
    noisy: float | None = None
    noise_bound: float | None = None
    noisy_output_bias: bool = True


PLAIN = HeadSpec()
"""One stream, one value per action, no noise."""
