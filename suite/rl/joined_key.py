"""Which runs of Q-learning can be trained side by side."""

from __future__ import annotations

from collections.abc import Hashable

from suite.config import components
from suite.environments.registered import shares_state
from suite.rl.closed_form import plain_values
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.tasks.gym import GymConfig
from suite.training.joined_update import joins, without_rates
from suite.training.joint import held_apart
from suite.training.minibatches import small_chain

MOST_REPLAY = 2**26
"""Bytes of a full replay, 64 MiB, above which a run is trained alone: a trial holds one for each
of its runs."""


def joined_key(config: RunConfig) -> Hashable | None:
    """Return what runs must share to be trained at once: all but seed, rate and schedule.

    None if this one is trained alone: with remote runners or learners or a GPU, with a network that
    is not a small chain, with a part that does something of its own at each update, or with parts
    or environments of a user's that may keep state outside of the run.
    """
    run = RLRun.of(config)
    return ("q_learning", without_rates(run)) if _alike(run) and not _apart(run) else None


def parted_by(config: RunConfig) -> list[str]:
    """Return the parts and environments of a user's that part a run from others."""
    run = RLRun.of(config)
    return _apart(run) if _alike(run) else []


def _alike(run: RLRun) -> bool:
    """Return whether the updates of such runs can be made at once."""
    task, agent, asked = run.task, run.agent, run.resources
    here = task.runners == 0 and asked.learners == 0 and asked.gpus == 0
    return (
        plain_values(agent)
        and here
        and agent.replay_device == "host"
        and joins(run)
        and not any(intervention.looks_at_batches for intervention in run.interventions)
        and task.replay_bytes(agent) <= MOST_REPLAY
        and small_chain(run.model, run.model_spec())
    )


def _apart(run: RLRun) -> list[str]:
    """Return what runs of one process would share."""
    environments = [part.env for part in components(run.task) if isinstance(part, GymConfig)]
    return held_apart(run) + sorted({env for env in environments if shares_state(env)})
