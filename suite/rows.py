"""Rows: one measurement each, the only source of tables, figures and verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from suite.ranges import ANY, MAGNITUDE, SHARE, SIZE, Range

COLUMNS = ("run_id", "step", "frames", "wall_s", "metric", "layer", "value")
"""Keys of a line of ``rows.jsonl``, in order."""

RETURNS = (
    *("episode_return", "mean_return_20", "visit_return"),
    *("evaluation_episode_return", "evaluation_return"),
)
"""What is in the units of an environment's own score; a task may know its bounds."""

RECORDED: Mapping[str, Range] = {
    "learning_rate": MAGNITUDE,
    "batch_loss": MAGNITUDE,
    "phase": SIZE,
    "alarm": SIZE,
    "cusum_statistic": SIZE,
    "cycling_stopped": SIZE,
    "reset": SIZE,
    "shrink_perturb": SIZE,
    "recycled_units": SIZE,
    **dict.fromkeys(RETURNS, ANY),
    "human_normalised_visit_return": ANY,
    "epsilon": SHARE,
    "updates_per_agent_step": SIZE,
    "agent_steps_per_s": SIZE,
    "replay_refill": SIZE,
    "lost_block": SIZE,
}
"""Rows other than metrics, with their possible values."""


class Row(NamedTuple):
    """One measurement.

    Attributes:
        step: gradient steps made when it was taken. frames: emulator frames seen by then; 0 outside
        reinforcement learning. wall_s: seconds of training so far, summed over resumed sessions.
        metric: name. layer: tensor, layer, split or other part it is of; "" for the run as a whole.
        value: a float; values that are not finite are written as null, as JSON has no word for
        them.
    """

    step: int
    frames: int
    wall_s: float
    metric: str
    layer: str
    value: float

    def as_json(self, run_id: str) -> dict[str, Any]:
        """Return the line of ``rows.jsonl``."""
        value = self.value if math.isfinite(self.value) else None
        return dict(zip(COLUMNS, (run_id, *self[:-1], value), strict=True))


class Event(NamedTuple):
    """Something that happened at an update: what a row says of it, but for frames and seconds.

    Attributes:
        step: gradient step it belongs to.
        metric: name, such as ``alarm`` or ``reset``.
        layer: what it happened to; "" for the run as a whole.
        value: a float.
    """

    step: int
    metric: str
    layer: str = ""
    value: float = 1.0


RowSink = Callable[[Row], None]
"""Where a trainer puts its rows; trainers know no files."""

THRESHOLDS = (1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.1)
"""Of an example's mean squared error: those of Kumar et al. 2024, Figs. 8 and 17."""


def layer_of(split: str, threshold: float) -> str:
    """Return the layer of the rows of a split and threshold, such as ``test<0.001``."""
    return f"{split}<{threshold:g}"
