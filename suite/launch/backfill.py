"""What MLflow missed: rows and ends of runs that a killed driver had not yet sent."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from suite.launch.keys import is_live
from suite.launch.live import Live, RunState
from suite.launch.mlflow_sink import LiveRow, MlflowSink
from suite.records import layout
from suite.records.run_folder import read_status
from suite.records.storage import Storage


def backfill(sink: MlflowSink, live: Live, storage: Storage, fresh: bool) -> None:
    """Bring MLflow to where the results folder is.

    Args:
        sink: knows what was logged before.
        live: runs that are done, and runs that are to be continued from their checkpoints.
        storage: the results folder.
        fresh: whether all runs begin anew, so that what MLflow has of them is out of date.
    """
    for run_id, run in live.runs.items():
        if fresh:
            sink.forget(run_id)
        elif not sink.ended(run_id):
            _send(sink, run_id, run, live.sweep.runs[run_id].task.score, storage)


def _send(
    sink: MlflowSink, run_id: str, run: RunState, score: tuple[str, str], storage: Storage
) -> None:
    """Send the rows of one run, and its end if it has one; what is known is left out there."""
    folder = storage.root / layout.RUNS / run_id
    storage.pull(f"{layout.RUNS}/{run_id}/{layout.ROWS}")
    status = read_status(folder)
    if status is None:
        return
    last = None if run.done == 1 else status["step"]  # later rows will come again
    rows = list(_rows(folder / layout.ROWS, last))
    sink.log(run_id, rows)
    if run.done == 1:
        scores = [value for _, _, metric, layer, value in rows if (metric, layer) == score]
        sink.end(run_id, run.state, run.reason, scores[-1] if scores else None)


def _rows(path: Path, last: int | None) -> Iterator[LiveRow]:
    """Yield the rows that live displays get, up to a gradient step; torn lines are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            row = json.loads(line)
            step, frames, metric, layer, value = (
                row[key] for key in ("step", "frames", "metric", "layer", "value")
            )
        except (ValueError, KeyError, TypeError):
            continue
        if is_live(metric, layer) and (last is None or step <= last):
            yield step, frames, metric, layer, math.nan if value is None else value
