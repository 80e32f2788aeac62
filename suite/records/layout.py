"""The results folder: where everything that a sweep leaves behind lies.

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
