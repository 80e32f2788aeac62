"""Modular addition by regression on one-hot codes (Gromov 2023; Kumar et al. 2024, section 3).

Inputs are pairs (x, y) of integers below p, the target is the one-hot code of (x + y) mod p; the
loss is the squared error, mean over pairs and codes' entries, so 1 / p for outputs of 0. A pair is
right where the largest output is the target's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from suite.clock import Clock
from suite.losses import ONE_HOT_SQUARED
from suite.models.base import ModelSpec
from suite.models.inputs import IntegerPairs
from suite.seeding import Seeds
from suite.tasks.base import TASKS, SupervisedTask
from suite.tasks.pairs import Pairs, PairsConfig


@TASKS.register("modular_regression")
class ModularRegressionConfig(PairsConfig):
    """Modulus and training share; 23 and 0.9 in Kumar et al. 2024, Fig. 2."""

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "modular_regression", "modulus": 7, "fraction": 0.5},
        "model": {"kind": "transformer", "width": 8, "heads": 2, "hidden": 16, "norm": "rms"},
        "budget": 12,
    }
    kind: Literal["modular_regression"] = "modular_regression"
    modulus: Annotated[int, Field(ge=2)] = 23
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.9

    def spec(self) -> ModelSpec:
        """Pairs of integers; p outputs."""
        return ModelSpec(inputs=IntegerPairs(self.modulus), outputs=self.modulus)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `ModularRegression`."""
        return ModularRegression(self, seeds, device)


class ModularRegression(Pairs):
    """All pairs, with the squared error on one-hot codes."""

    criterion = ONE_HOT_SQUARED
