"""The figure of a stream of tasks: mean online accuracy on each task, by arm.

It is data (`suite.report.published.data`) and drawn by the renderer of published figures. Every
task of a sweep has one whose runs have rows ``task_online_accuracy``, in which the layer is the
number of a task of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from suite.ranges import SHARE
from suite.report.drawing.style import ArmStyle
from suite.report.experiment import Track
from suite.report.page.streams import TASK
from suite.report.published.base import SEEDS
from suite.report.published.data import Axis, Grid, Line, Panel
from suite.report.statistics.summary import TaskResult

CAPTION = (
    "Mean accuracy on the batches of each task before their updates, over the tasks of the stream; "
    f"complete runs alone. A line that falls is a loss of plasticity. {SEEDS}"
)


def tasks_grid(
    task: TaskResult, rows: pd.DataFrame, styles: Mapping[str, ArmStyle], arms: Sequence[str]
) -> Grid | None:
    """Return the figure of a stream, None where there is nothing to show.

    Args:
        task: its results.
        rows: its rows, as `suite.records.reader.load_results` returns them.
        styles: style by arm.
        arms: those to show.
    """
    complete = {r.trial.run_id for r in task.runs if r.status.state == "complete"}
    rows = rows[(rows["metric"] == TASK) & rows["run_id"].isin(complete)]
    lines = []
    for arm in arms:
        of_arm = rows[rows["arm"] == arm]
        tracks = {
            int(str(seed)): Track.over_tasks(of)
            for seed, of in of_arm.groupby("seed", observed=True)
        }
        if tracks:
            lines.append(Line(tracks, styles[arm], arm, range=SHARE))
    if all(len(track.steps) < 2 for line in lines for track in line.tracks.values()):
        return None
    return Grid([Panel(Axis("task", low=1), Axis("online accuracy on the task"), lines)])
