"""One trial of a sweep, as a Tune function trainable: RunConfigs in, a folder for each run out.

The same function serves all engines, so that resume, rows and failures work in the same way. A
trial is one run, or several that are trained side by side. Results are in the runs' folders. Every
two seconds Tune gets the progress and the few rows that live displays and MLflow need.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from suite.errors import ConfigError, DivergedError
from suite.launch.engines import Outcome, engine_of, outcome
from suite.launch.keys import is_live, metric_key
from suite.records.provenance import provenance
from suite.records.run_folder import RunFolder
from suite.records.storage import Storage
from suite.rows import Row
from suite.text.secrets import keep_secret

REPORT_EVERY_S = 2.0
"""Seconds between reports to Tune."""


class Reporter:
    """Collects rows and sends them to Tune now and then."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._rows: list[tuple[int, int, str, str, float, float]] = []
        self._step = self._total = 0
        self._sent = time.monotonic()

    def __call__(self, rows: Sequence[Row], step: int, total: int) -> None:
        """Take rows and progress; report if it is time."""
        self._step, self._total = max(step, rows[-1].step if rows else 0), total
        self._rows += [
            (r.step, r.frames, r.metric, r.layer, r.value, r.wall_s)
            for r in rows
            if is_live(r.metric, r.layer)
        ]
        if time.monotonic() - self._sent >= REPORT_EVERY_S:
            self.send("running", "")

    def send(self, state: str, reason: str) -> None:
        """Report now."""
        from ray import tune

        latest = {metric_key(metric, layer): v for _, _, metric, layer, v, _ in self._rows}
        tune.report(
            {
                "measured": latest,
                "run_id": self.run_id,
                "state": state,
                "reason": reason,
                "step": self._step,
                "total": self._total,
                "rows": self._rows,
            }
        )
        self._rows = []
        self._sent = time.monotonic()


def run_trial(config: dict[str, Any]) -> None:
    """Run one trial to its end.

    Args:
        config: ``runs`` (RunConfigs as plain data, alike enough to be trained side by side if there
            are several), ``storage`` (the results folder), ``checkpoint_every_s``, ``plugins``,
            ``command`` and ``data_dir``.
    """
    import torch

    from suite.launch.plugins import digests, load_plugins
    from suite.run_config import RunConfig

    if config["data_dir"]:
        os.environ["SUITE_DATA"] = config["data_dir"]
    keep_secret(os.environ.get("MLFLOW_TRACKING_URI"))
    load_plugins(config["plugins"], anew=True)  # the trial before may have left state in them
    runs = [RunConfig.from_mapping(run) for run in config["runs"]]
    torch.set_num_threads(runs[0].resources.threads)
    origin = {**provenance(config["command"]), "plugins": digests(config["plugins"])}
    folders: list[RunFolder] = []
    reporters: list[Reporter] = []
    storage = Storage(config["storage"])
    for run in runs:
        reporters.append(Reporter(run.run_id))
        folders.append(RunFolder(storage, run.run_id, config["checkpoint_every_s"], reporters[-1]))
        folders[-1].open(run.model_dump(mode="json"), origin)
    outcomes: list[Outcome]
    try:
        outcomes = engine_of(runs[0]).train(runs, folders)
    except (ConfigError, DivergedError) as error:
        outcomes = [outcome(error)] * len(runs)
    except Exception as error:
        for folder in folders:
            folder.tell(error)
            try:
                folder.finish(*outcome(error))
            except OSError:
                with suppress(OSError):
                    folder.close()
        raise
    for folder, reporter, (state, reason) in zip(folders, reporters, outcomes, strict=True):
        folder.finish(state, reason)
        reporter.send(state, reason)
