"""What is reset when a sequence switches to the next environment."""

from __future__ import annotations

from pydantic import model_validator

from suite.config import Config
from suite.errors import ConfigError


class SwitchConfig(Config):
    """What is reset at a switch; by default everything except the weights.

    Lyle et al. 2024 (section 5, sequential ALE) reset the state of the optimizer and the schedule,
    and do not mention replay, target network and exploration. Here a visit is as similar to a
    separate run as the weights allow. A schedule restarts if it is `task_aligned`.

    Attributes:
        reset_optimizer: whether moments and step counts are set to zero, as in the paper.
        clear_replay: whether the replay is emptied, and updates wait for `learning_starts` again;
            not stated. Without it the network also learns from the old game's transitions.
        copy_target: whether the target network is copied at once; not stated. Without it the first
            targets are those of an older network, until the next copy.
        restart_epsilon: whether exploration starts again; not stated, no effect in Rainbow.
        fresh_network: whether all weights get new initial values: the reference in the paper's
            Fig. 6, a randomly initialised network on each game.
    """

    reset_optimizer: bool = True
    clear_replay: bool = True
    copy_target: bool = True
    restart_epsilon: bool = True
    fresh_network: bool = False

    @model_validator(mode="after")
    def _fresh_is_fresh(self) -> SwitchConfig:
        for key in ("reset_optimizer", "copy_target"):
            if self.fresh_network and not getattr(self, key):
                raise ConfigError(key, False, "true with fresh_network")
        return self
