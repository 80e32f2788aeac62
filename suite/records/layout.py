"""The layout of the results folder of a sweep.

::

    RESULTS/
      sweep.json              what was asked: tasks, arms, seeds, skips, overrides
      runs/<run_id>/
        config.yaml           the whole RunConfig
        provenance.json       commit, versions, hardware, command
        rows.jsonl            measurements, append-only
        status.json           how far, how it ended and why
        checkpoint-<step>/    the last two checkpoints, gone when the run is complete
      report/                 report.html, summary.json, figures/
      mlflow.db               the MLflow store
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

SWEEP = "sweep.json"
RUNS = "runs"
CONFIG = "config.yaml"
PROVENANCE = "provenance.json"
ROWS = "rows.jsonl"
STATUS = "status.json"
ERROR = "error.txt"
CHECKPOINT = "checkpoint-"
REPORT = "report"
MLFLOW = "mlflow.db"


def mlflow_uri(root: Path) -> str:
    """Return the address of the MLflow store in a results folder, absolute.

    >>> mlflow_uri(Path("/data/my runs")), mlflow_uri(Path("/data/50%"))
    ('sqlite:////data/my runs/mlflow.db', 'sqlite+pysqlite:////data/50%25/mlflow.db')
    """
    path = str(root / MLFLOW)
    if not set(path) & set("%?#"):
        return f"sqlite:///{path}"
    # MLflow makes the folder of what follows a bare "sqlite:" as it is written there.
    return f"sqlite+pysqlite:///{quote(path)}"
