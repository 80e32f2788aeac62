"""CUSUM on the standardised log-loss (Page 1954), the example trigger of Lyle et al. 2025.

The one-sided recursion ``g <- max(0, g + z - k)`` alarms when ``g > h``. Here z is the log of the
batch loss relative to a trailing reference: the mean and standard deviation of a window of earlier
values that ends `lag` updates ago, so that a change does not enter its own reference at once. A
reference from the start of training would stay at the initial loss and hide a rise from 0.01 to 1.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from suite.schedules.trigger import TRIGGERS, Trigger, TriggerConfig


def cusum_step(g: float, z: float, k: float) -> float:
    """Return the next value of the one-sided upper CUSUM, ``max(0, g + z - k)``.

    Args:
        g: the statistic before, at least 0.
        z: the standardised observation.
        k: the allowance, in standard deviations: half the shift worth noticing.

    >>> cusum_step(1.0, 2.0, 0.5), cusum_step(0.0, -3.0, 0.5)
    (2.5, 0.0)
    """
    return max(0.0, g + z - k)


class Cusum:
    """A CUSUM trigger with a trailing reference.

    After an alarm the statistic and the window restart, so nothing can alarm again before
    ``window + lag`` further updates (or `refractory`, if longer).

    Args:
        k: allowance in standard deviations.
        h: decision threshold in standard deviations.
        window: number of log-losses in the reference.
        lag: number of the latest log-losses left out of it.
        scale_floor: smallest standard deviation of the log-loss believed, so that a loss which
            hardly moves does not turn noise into alarms.
        clip: largest standardised value that one update may add, so that no single outlying batch
            alarms by itself.
        loss_floor: added to the loss before the logarithm.
        refractory: least number of updates between two alarms.
    """

    def __init__(
        self,
        k: float = 1.0,
        h: float = 12.0,
        window: int = 50,
        lag: int = 10,
        scale_floor: float = 0.25,
        clip: float = 4.0,
        loss_floor: float = 1e-6,
        refractory: int = 0,
    ) -> None:
        self.k, self.h, self.window, self.lag = k, h, window, lag
        self.scale_floor, self.clip, self.loss_floor = scale_floor, clip, loss_floor
        self.refractory = refractory
        self._recent = np.zeros(window + lag)  # ring buffer of log-losses
        self._count = 0  # observations since the start or the last alarm
        self.statistic = 0.0

    def observe(self, loss: float) -> bool:
        """Take in the loss of one update; return whether this is an alarm.

        A loss that is not finite is left out: the trainer ends such a run by itself.
        """
        if not math.isfinite(loss):
            return False
        log_loss = math.log(max(loss, 0.0) + self.loss_floor)
        size = self._recent.size
        if self._count >= size:
            start = self._count % size  # the oldest entry
            reference = self._recent[(start + np.arange(self.window)) % size]
            scale = max(float(reference.std()), self.scale_floor)
            z = min((log_loss - float(reference.mean())) / scale, self.clip)
            self.statistic = cusum_step(self.statistic, z, self.k)
        self._recent[self._count % size] = log_loss
        self._count += 1
        if self.statistic <= self.h or self._count <= self.refractory:
            return False
        self.statistic, self._count = 0.0, 0
        return True

    def readings(self) -> dict[str, float]:
        """Return the statistic, in standard deviations: 0 after an alarm, an alarm above `h`."""
        return {"cusum_statistic": self.statistic}

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data."""
        return {
            "recent": self._recent.tolist(),
            "count": self._count,
            "statistic": self.statistic,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._recent[:] = state["recent"]
        self._count, self.statistic = state["count"], state["statistic"]


@TRIGGERS.register("cusum")
class CusumConfig(TriggerConfig):
    """Change detector: standardised CUSUM of the logarithm of the batch loss (Page 1954)."""

    kind: Literal["cusum"] = "cusum"
    k: Annotated[float, Field(ge=0)] = 1.0
    h: Annotated[float, Field(gt=0)] = 12.0
    window: Annotated[int, Field(ge=2, le=10**6)] = 50
    lag: Annotated[int, Field(ge=1, le=10**6)] = 10
    scale_floor: Annotated[float, Field(gt=0)] = 0.25
    clip: Annotated[float, Field(gt=0)] = 4.0
    loss_floor: Annotated[float, Field(gt=0)] = 1e-6
    refractory: Annotated[int, Field(ge=0)] = 0

    def build(self) -> Trigger:
        """Return a new `Cusum`."""
        return Cusum(**self.model_dump(exclude={"kind"}))
