"""Builds the replay of a RunConfig."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from suite.errors import ConfigError
from suite.replay.frame_ring import FrameRing
from suite.replay.prioritized import Annealing, PrioritizedRing
from suite.rl.run import RLRun


def make_ring(run: RLRun, space: Any, device: torch.device) -> FrameRing:
    """Return the empty replay of a run, for observations of `space`.

    Args:
        run: the request.
        space: of one environment's observations.
        device: of the learner, which keeps the frames if the agent says so.
    """
    task, agent = run.task, run.agent
    settings: dict[str, Any] = {
        "capacity": agent.replay_capacity,
        "lanes": task.all_lanes,
        "frame": space.shape[1:] if task.stack > 1 else space.shape,
        "dtype": space.dtype,
        "stack": task.stack,
        "n_step": agent.n_step,
        "discount": agent.discount,
        "generator": run.seeds.numpy("replay"),
        "device": device if agent.replay_device == "learner" else None,
        "limit": task.time_limit,
    }
    by_error = agent.prioritized
    if by_error is None:
        return FrameRing(**settings)
    names = ("exponent", "uniform_share", "largest")
    return PrioritizedRing(**settings, **{name: getattr(by_error, name) for name in names})


def annealing(run: RLRun) -> Annealing:
    """Return the correction of prioritised replay by gradient steps; 1 where there is none.

    It waits for the end of a priming, whose updates no time of acting counts.
    """
    by_error = run.agent.prioritized
    if by_error is None:
        return Annealing(1.0, 1.0, 0)
    length = run.clock().steps(by_error.anneal, "agent.prioritized.anneal")
    priming = run.task.priming.updates
    return Annealing(by_error.beta_start, by_error.beta_end, length, after=priming)


def check_replay(saved: Mapping[str, Any], ring: FrameRing, checkpoint: str) -> None:
    """Check that a saved replay is of the kind and size of `ring`.

    Args:
        saved: its `FrameRing.state_dict`.
        ring: of the run.
        checkpoint: where it comes from, for the error.

    Raises:
        ConfigError: if it is not.
    """

    def told(state: Mapping[str, Any]) -> str:
        kind = "prioritised" if "largest_seen" in state else "uniform"
        lasts = state.get("lasts", "no")
        sizes = f"{state['slots']} slots and {lasts} last observations"
        return f"{kind} with {sizes} in each of {len(state['heads'])} lanes"

    there, here = told(saved), told(ring.state_dict())
    if there != here:
        expected = f"one of this run's replay: it is {there} there and {here} here"
        raise ConfigError("checkpoint", checkpoint, expected)
