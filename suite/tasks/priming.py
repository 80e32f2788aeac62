"""Heavy priming: many updates on the first few transitions (Nikishin et al. 2022, section 3.1).

Once the replay holds the first `learning_starts` agent steps, acting pauses for `updates` updates
on these data alone. Afterwards the run goes on as any other, in its exact ratio of updates to data.
An agent that never recovers from what it learnt too well at the start shows the primacy bias.

A priming is the first phase of the run's clock. So what is aligned to phases, such as a schedule of
kind `task_aligned` or a reset with `at_phases`, takes the end of the priming as a boundary.

References:
    Nikishin, Schwarzer, D'Oro, Bacon, Courville 2022, The Primacy Bias in Deep Reinforcement
    Learning: 100,000 updates on the first 100 transitions.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from suite.config import Config
from suite.errors import ConfigError

MOST = 10**9
"""Updates of a priming."""


class PrimingConfig(Config):
    """Updates on the first data of a run, before acting goes on.

    Attributes:
        updates: number of them, beside those that `utd` asks for; 0 for no priming.
    """

    updates: Annotated[int, Field(ge=0, le=MOST)] = 0

    def check(self, learning_starts: int, capacity: int, overlap: bool) -> None:
        """Check that the replay holds the first data, and no others, during the priming.

        Args:
            learning_starts: agent steps before the first update.
            capacity: transitions that the replay keeps.
            overlap: whether runners act while updates are made.

        Raises:
            ConfigError: if it does not.
        """
        if self.updates == 0:
            return
        if overlap:
            expected = "false with task.priming, because acting pauses until it is over"
            raise ConfigError("task.overlap", True, expected)
        if capacity < learning_starts:
            expected = f"at least task.learning_starts = {learning_starts}, for task.priming"
            raise ConfigError("agent.replay_capacity", capacity, expected)
