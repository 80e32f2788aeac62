"""One trial of a sweep, as a Tune function trainable: RunConfig in, a run folder out.

The same function serves both engines, so that resume, rows and failures work alike. What happens
lies in the run's folder; Tune hears of progress and of the few rows that live displays and MLflow
want, every other second.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from typing import Any

from suite.errors import ConfigError, DivergedError
from suite.launch.keys import metric_key
from suite.records import layout
from suite.records.provenance import provenance
from suite.records.run_folder import RunFolder
from suite.records.storage import Storage
from suite.rows import Row

REPORT_EVERY_S = 2.0
"""Seconds between reports to Tune."""

LIVE_LAYERS = ("", "all", "mean", "train", "test")
"""Layers whose rows are sent along; the others stay in the run's folder."""


class Reporter:
    """Collects rows and sends them to Tune now and then."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._rows: list[tuple[int, int, str, str, float]] = []
        self._step = self._total = 0
        self._sent = time.monotonic()

    def __call__(self, rows: Sequence[Row], step: int, total: int) -> None:
        """Take rows and progress; report if it is time."""
        self._step, self._total = max(step, rows[-1].step if rows else 0), total
        self._rows += [
            (r.step, r.frames, r.metric, r.layer, r.value) for r in rows if r.layer in LIVE_LAYERS
        ]
        if time.monotonic() - self._sent >= REPORT_EVERY_S:
            self.send("running", "")

    def send(self, state: str, reason: str) -> None:
        """Report now."""
        from ray import tune

        latest = {metric_key(metric, layer): v for _, _, metric, layer, v in self._rows}
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
        config: ``run`` (a RunConfig as plain data), ``storage`` (the results folder),
            ``checkpoint_every_s``, ``plugins``, ``command`` and ``data_dir``.
    """
    import torch

    from suite.plugins import digests, load_plugins
    from suite.run_config import RunConfig

    if config["data_dir"]:
        os.environ["SUITE_DATA"] = config["data_dir"]
    load_plugins(config["plugins"])
    run = RunConfig.from_mapping(config["run"])
    torch.set_num_threads(run.resources.threads)
    reporter = Reporter(run.run_id)
    folder = RunFolder(
        Storage(config["storage"]), run.run_id, config["checkpoint_every_s"], reporter
    )
    origin = {**provenance(config["command"]), "plugins": digests(config["plugins"])}
    folder.open(run.model_dump(mode="json"), origin)
    state, reason = "complete", ""
    try:
        train(run, folder)
    except DivergedError as error:
        state, reason = "diverged", str(error)
    except ConfigError as error:
        state, reason = "failed", str(error)
    except Exception as error:
        (folder.path / layout.ERROR).write_text(traceback.format_exc(), encoding="utf-8")
        folder.finish("failed", f"{type(error).__name__}: {error}")
        raise
    folder.finish(state, reason)
    reporter.send(state, reason)


def train(run: Any, session: Any) -> None:
    """Train `run` with the engine of its task."""
    if run.task.engine == "rl":
        from suite.launch.rllib.trial import train_rl

        train_rl(run, session)
    else:
        from suite.training.supervised import SupervisedRun

        supervised = SupervisedRun(run)
        session.note("data", supervised.task.source)
        supervised.train(session)
