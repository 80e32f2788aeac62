"""Sends what MLflow missed: rows and final states of runs that were not sent in time."""

from __future__ import annotations

from suite.launch.mlflow_sink import MlflowSink
from suite.launch.sweep_state import Live
from suite.records import layout
from suite.records.run_folder import read_status
from suite.records.storage import Storage


def backfill(sink: MlflowSink, live: Live, storage: Storage, fresh: bool) -> None:
    """Have MLflow brought to where the results folder is.

    Args:
        sink: knows what was logged before.
        live: runs that are done, and runs that are to be continued from their checkpoints.
        storage: the results folder.
        fresh: whether all runs start again, so that MLflow's data on them are out of date.
    """
    for run_id, run in live.runs.items():
        if fresh:
            sink.forget(run_id)
            continue
        storage.pull(f"{layout.RUNS}/{run_id}/{layout.ROWS}")
        status = read_status(storage.root / layout.RUNS / run_id)
        if run.done == 1 and not sink.ended(run_id, run.state):
            sink.end(run_id, run.state, run.reason, None)
        elif run.done < 1 and status is not None:
            sink.catch_up(run_id, status["step"])  # later rows will come again
