"""Modular addition as strings "x y =" (Nanda et al. 2023; Kumar et al. 2024, Figs. 6b and 12).

The answer is (x + y) mod p, read behind "="; classes are all p + 1 tokens, "=" among them. The loss
is the cross-entropy in float64, for in float32 it would vanish long before training is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from suite.clock import Clock
from suite.losses import PRECISE_CROSS_ENTROPY
from suite.models.base import ModelSpec
from suite.models.inputs import IntegerPairs
from suite.seeding import Seeds
from suite.tasks.base import TASKS, SupervisedTask
from suite.tasks.pairs import Pairs, PairsConfig


@TASKS.register("three_token_addition")
class ThreeTokenAdditionConfig(PairsConfig):
    """Modulus and training share; 113 and 0.4 in Kumar et al. 2024, 0.3 in Nanda et al. 2023."""

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "three_token_addition", "modulus": 7, "fraction": 0.5},
        "model": {"kind": "three_token_transformer", "width": 8, "heads": 2, "hidden": 16},
        "budget": 12,
    }
    kind: Literal["three_token_addition"] = "three_token_addition"
    modulus: Annotated[int, Field(ge=2)] = 113
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.4

    def spec(self) -> ModelSpec:
        """Pairs of integers; p + 1 classes."""
        return ModelSpec(inputs=IntegerPairs(self.modulus), outputs=self.modulus + 1)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `ThreeTokenAddition`."""
        return ThreeTokenAddition(self, seeds, device)


class ThreeTokenAddition(Pairs):
    """All pairs, with the cross-entropy in float64."""

    criterion = PRECISE_CROSS_ENTROPY
