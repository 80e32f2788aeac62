"""Growing data: each phase trains on a larger random subset of one data set (Ash and Adams 2020).

Two phases are a warm start; many are data that arrive in chunks. What is called warm-starting in
print is several streams, which differ in sizes, in noise, in whether phases have equal epochs or
equal updates, and in what is kept at the boundary: see `docs/streams.md` for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from suite.config import Config
from suite.errors import ConfigError
from suite.seeding import Seeds
from suite.streams.config import StreamConfig
from suite.streams.phase import (
    Length,
    Phase,
    Pool,
    check_one_length,
    shuffled,
    wrong_labels,
)
from suite.tasks.base import TASKS, SupervisedTaskConfig


class SubsetConfig(Config):
    """One phase.

    Attributes:
        fraction: of the training examples; subsets are nested.
        epochs: passes over them, or
        steps: updates.
        noise: share of the phase's labels that are wrong.
    """

    later: ClassVar[frozenset[str]] = frozenset({"noise"})
    fraction: Annotated[float, Field(gt=0, le=1)]
    epochs: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _one_length(self) -> SubsetConfig:
        check_one_length(self.epochs, self.steps)
        return self


@TASKS.register("growing")
class GrowingConfig(StreamConfig):
    """Classification where each phase trains on a larger subset of the training examples.

    Either `phases`, one by one, or `chunks` of equal size, of which phase i has the first i, each
    with `epochs` passes over what there is, or `steps` updates.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "growing",
            "dataset": "digits",
            "batch_size": 16,
            "phases": [
                {"fraction": 0.05, "steps": 5, "noise": 0.2},
                {"fraction": 0.1, "steps": 7},
            ],
            "optimizer_at_phase": "fresh",
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    default_metrics: ClassVar[tuple[str, ...]] = SupervisedTaskConfig.default_metrics
    kind: Literal["growing"] = "growing"
    phases: Annotated[tuple[SubsetConfig, ...], Field(strict=False)] = ()
    chunks: Annotated[int, Field(ge=1, le=10_000)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    noise: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _one_way(self) -> GrowingConfig:
        if bool(self.phases) == (self.chunks is not None):
            raise ConfigError("phases", list(self.phases), "either 'phases' or 'chunks'")
        if self.phases and (self.epochs or self.steps or self.noise):
            given = {"epochs": self.epochs, "steps": self.steps, "noise": self.noise}
            key = next(key for key, value in given.items() if value)
            raise ConfigError(key, given[key], "no such key beside 'phases': a phase has its own")
        if self.chunks is not None:
            check_one_length(self.epochs, self.steps)
        if self.chunks is not None and self.noise and len(self.noise) != self.chunks:
            wanted = f"{self.chunks} shares, one per chunk"
            raise ConfigError("noise", list(self.noise), wanted)
        return self

    @property
    def subsets(self) -> tuple[SubsetConfig, ...]:
        """The phases, however they are written."""
        if self.chunks is None:
            return self.phases
        noise = self.noise or (0.0,) * self.chunks
        return tuple(
            SubsetConfig(
                fraction=(i + 1) / self.chunks, epochs=self.epochs, steps=self.steps, noise=share
            )
            for i, share in enumerate(noise)
        )

    def lengths(self) -> Sequence[Length]:
        """Return the sizes of the subsets and the updates on each."""
        return [self.length(self._size(s), s.epochs, s.steps) for s in self.subsets]

    def _size(self, subset: SubsetConfig) -> int:
        """Return the number of examples of a phase."""
        return max(1, round(subset.fraction * self.pool_size))

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return the first examples of the seed's order of all.

        The n-th phase with a fraction draws the same orders, whatever came before.
        """
        subsets = self.subsets
        subset = subsets[index]
        examples = shuffled(len(pool), seeds.torch("subset"), self._size(subset))
        before = [s.fraction for s in subsets[:index]].count(subset.fraction)
        name = f"{subset.fraction}/{before}"
        labels = None
        if subset.noise:
            own = pool.labels[examples]
            labels = wrong_labels(own, subset.noise, pool.classes, seeds.torch(f"noise/{name}"))
        return Phase(examples, f"order/{name}", labels=labels)
