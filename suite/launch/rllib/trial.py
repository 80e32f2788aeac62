"""One reinforcement-learning run, from its config to its rows."""

from __future__ import annotations

from suite.launch.rllib.config import algorithm_config
from suite.run_config import RunConfig
from suite.training.session import Session
from suite.training.supervised import keep_freed_memory


def train_rl(config: RunConfig, session: Session) -> None:
    """Train to the end of the budget, from the session's newest checkpoint if it has one.

    Ray must have been started (RLlib starts it if not); nothing of it is used but this process.

    Args:
        config: the request, of a task of the RL engine.
        session: where rows and checkpoints go.

    Raises:
        ConfigError: if the parts of the request do not fit together.
        DivergedError: if the TD loss stops being finite.
    """
    keep_freed_memory()
    algorithm = algorithm_config(config).build_algo()
    try:
        if (folder := session.latest()) is not None:
            algorithm.restore_from_path(folder)
        algorithm.recorder.sink = session.emit
        total = algorithm.clock.total
        while not algorithm.finished:
            algorithm.train()
            session.progress(algorithm.gradient_steps, total)
            if session.checkpoint_due():
                session.save(algorithm.gradient_steps, algorithm.save_to_path)
    finally:
        algorithm.stop()
