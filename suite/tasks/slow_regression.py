"""Slowly changing regression: bit flipping (Dohare et al. 2024, extended data Fig. 1).

Inputs are m bits. The first `slow_bits` of them change rarely: one of them is flipped every
`period` examples. The next are drawn for every example, the last is always 1. The target is the
output of a fixed random network with many more units than the learner's::

    y = sum_i v_i [w_i . x >= theta_i],   theta_i = beta m - S_i,   v, w = -1 or 1

with S_i the number of weights w_i that are -1. So what the learner can represent best keeps
changing, and it has to follow: an error that grows over the run is a loss of plasticity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.losses import SQUARED
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.seeding import Seeds
from suite.streams.tasks import MOST_TASKS
from suite.tasks.base import TASKS, Batch, SupervisedTask, SupervisedTaskConfig

TESTED = 1_024
"""Examples that the current target is tested on."""

BLOCK = 4_096
"""Updates whose examples are drawn at once."""

MOST_BITS, MOST_UNITS = 10_000, 100_000
"""Largest sizes of inputs and of the target network."""


@TASKS.register("slow_regression")
class SlowRegressionConfig(SupervisedTaskConfig):
    """Regression on bits of which some change slowly, against a fixed random network.

    Scored by the mean loss of the updates since the last measurement, before each update.

    Attributes:
        bits: m, of an input, the constant one among them; 21 in the paper.
        slow_bits: bits that change rarely; 15 there.
        period: examples between changes; 10,000 there.
        change: ``flip`` one slow bit, as there, or ``redraw`` all.
        target_units: of the network that gives the targets; 100 there.
        beta: share of bits that a unit of it asks for; 0.7 there.
        batch_size: examples per update; 1 there.
    """

    stream: ClassVar[bool] = True
    primary_metric: ClassVar[tuple[str, str]] = ("batch_loss", "")
    primary_unit: ClassVar[str] = "squared error"
    default_metrics: ClassVar[tuple[str, ...]] = (
        "loss",
        "effective_lr",
        "relative_update",
        "parameter_norm",
        "dead_units",
    )
    split_names: ClassVar[tuple[str, ...]] = ("test",)
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "slow_regression", "period": 8, "batch_size": 2},
        "model": {"kind": "mlp", "width": 5, "depth": 1, "norm": "layer"},
        "budget": 12,
    }
    kind: Literal["slow_regression"] = "slow_regression"
    bits: Annotated[int, Field(ge=2, le=MOST_BITS)] = 21
    slow_bits: Annotated[int, Field(ge=1)] = 15
    period: Annotated[int, Field(ge=1)] = 10_000
    change: Literal["flip", "redraw"] = "flip"
    target_units: Annotated[int, Field(ge=1, le=MOST_UNITS)] = 100
    beta: Annotated[float, Field(ge=0, le=1)] = 0.7
    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 1

    @model_validator(mode="after")
    def _fits(self) -> SlowRegressionConfig:
        if self.slow_bits >= self.bits:
            wanted = f"below bits = {self.bits}, of which one is constant"
            raise ConfigError("slow_bits", self.slow_bits, wanted)
        if self.period % self.batch_size:
            wanted = f"a multiple of batch_size = {self.batch_size}"
            raise ConfigError("period", self.period, wanted)
        return self

    @property
    def minibatches(self) -> bool:
        """Every run draws as many examples."""
        return type(self).build is SlowRegressionConfig.build

    def spec(self) -> ModelSpec:
        """M inputs, one output."""
        return ModelSpec(inputs=Floats((self.bits,)), outputs=1)

    def examples(self, clock: Clock) -> list[int]:
        """Return the batch size, for each phase."""
        return [self.batch_size] * len(clock.starts)

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock whose phases begin where the slow bits change.

        Raises:
            ConfigError: if there is no budget.
        """
        if budget is None:
            raise ConfigError("budget", None, "a number of gradient steps, such as 1000000")
        total = Clock(1).steps(budget, "budget")
        every = self.period // self.batch_size
        if total // every >= MOST_TASKS:
            wanted = f"fewer than {MOST_TASKS:,} changes, one every {every:,} gradient steps"
            raise ConfigError("budget", budget.model_dump(), wanted)
        return Clock(total, tuple(range(0, max(total, 1), every)))

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `SlowRegression`."""
        return SlowRegression(self, seeds, device)


class SlowRegression(SupervisedTask):
    """Examples that are drawn as they are needed, many updates at once.

    Attributes:
        weights: (units, bits) of the target network, -1 or 1.
        outputs: (units,) its output weights, -1 or 1.
        thresholds: (units,).
    """

    criterion = SQUARED

    def __init__(self, config: SlowRegressionConfig, seeds: Seeds, device: torch.device) -> None:
        self.config, self.seeds, self.device = config, seeds, device
        generator = seeds.torch("target")
        units, bits = config.target_units, config.bits
        self.weights = self._signs(generator, units, bits)
        self.outputs = self._signs(generator, units)
        self.thresholds = config.beta * bits - (self.weights < 0).sum(1)
        self._block: tuple[int, Batch] | None = None
        self._slow: tuple[int, Tensor] = (-1, torch.empty(0))
        self.probe = self._examples("probe", 0, 256)[0]

    def _signs(self, generator: torch.Generator, *shape: int) -> Tensor:
        drawn = torch.randint(0, 2, shape, generator=generator)
        return (2 * drawn - 1).to(self.device, torch.get_default_dtype())

    def slow(self, phase: int) -> Tensor:
        """Return the slow bits of a phase, (slow_bits,) of 0 and 1 on the CPU."""
        if self._slow[0] != phase:
            count = self.config.slow_bits
            if self.config.change == "redraw":
                bits = torch.randint(0, 2, (count,), generator=self.seeds.torch(f"slow/{phase}"))
            else:  # all flips from the start, so that it is a function of the phase alone
                generator = self.seeds.torch("slow")
                bits = torch.randint(0, 2, (count,), generator=generator)
                flips = torch.randint(0, count, (phase,), generator=generator)
                bits = (bits + torch.bincount(flips, minlength=count)) % 2
            self._slow = (phase, bits)
        return self._slow[1]

    def _examples(self, stream: str, phase: int, count: int) -> Batch:
        """Return inputs (count, bits) with the slow bits of a phase, and targets (count,)."""
        config = self.config
        fast = config.bits - config.slow_bits - 1
        drawn = torch.randint(0, 2, (count, fast), generator=self.seeds.torch(stream))
        slow, one = self.slow(phase).expand(count, -1), torch.ones(count, 1, dtype=torch.int64)
        bits = torch.cat([slow, drawn, one], 1).to(self.device, torch.get_default_dtype())
        on = (bits @ self.weights.T >= self.thresholds).to(bits)
        return bits, on @ self.outputs

    def batch(self, step: int) -> Batch:
        """Return the batch of an update; those of a block of updates are drawn together."""
        inputs, targets = self.batches(step, 1)
        return inputs[0], targets[0]

    def batches(self, step: int, most: int) -> Batch:
        """Return inputs (k, batch, bits) and targets (k, batch), of one block."""
        config = self.config
        size = config.batch_size
        phase, within = divmod(step, config.period // size)
        block, place = divmod(within, BLOCK)
        name = phase * (config.period // BLOCK + 1) + block
        if self._block is None or self._block[0] != name:
            count = min(BLOCK, config.period // size - block * BLOCK) * size
            self._block = (name, self._examples(f"batch/{phase}/{block}", phase, count))
        inputs, targets = self._block[1]
        part = slice(place * size, (place + most) * size)
        return inputs[part].view(-1, size, config.bits), targets[part].view(-1, size)

    def splits(self, step: int) -> Mapping[str, Batch]:
        """Return new examples of the phase of the latest update."""
        phase = max(step - 1, 0) * self.config.batch_size // self.config.period
        return {"test": self._examples(f"test/{phase}", phase, TESTED)}
