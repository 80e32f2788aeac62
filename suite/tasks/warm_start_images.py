"""Warm-started image classification: the name from before version 0.3 of `growing` on images.

Runs of either name with the same seed differ in their draws; ids and rows of this one stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from suite.data.sets import AnyData
from suite.tasks.base import TASKS
from suite.tasks.growing import GrowingConfig, SubsetConfig


@TASKS.register("warm_start_images")
class WarmStartImagesConfig(GrowingConfig):
    """Image classification where the training data arrive in phases (Lyle et al. 2025, Fig. 4).

    The same stream as `growing`, which new sweeps use.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "warm_start_images",
            "batch_size": 16,
            "phases": [{"fraction": 0.05, "steps": 5}, {"fraction": 0.1, "steps": 7}],
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    ends_phases: ClassVar[bool] = False
    later: ClassVar[frozenset[str]] = frozenset(
        {
            *("validation", "augment", "transition", "until_accuracy"),
            *("optimizer_at_phase", "buffers", "head"),
            *("chunks", "epochs", "steps", "noise"),
        }
    )
    kind: Literal["warm_start_images"] = "warm_start_images"  # type: ignore[assignment]
    dataset: AnyData = "digits"
    phases: Annotated[tuple[SubsetConfig, ...], Field(strict=False)] = (
        SubsetConfig(fraction=0.1, epochs=70),
        SubsetConfig(fraction=1.0, epochs=70),
    )

    @property
    def label(self) -> str:
        """For instance ``warm_start_digits``."""
        return f"warm_start_{self.data.label}"
