"""Runs the waiting runs under Tune, and ends Tune on request or when Ray has died."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from suite.launch.mlflow_sink import MlflowSink
from suite.launch.outage import Outage, explain, keep_traceback
from suite.launch.progress import Progress, say
from suite.launch.sweep_state import Live
from suite.records.provenance import now
from suite.records.storage import Storage

if TYPE_CHECKING:
    from suite.launch.outage_watch import Watch
    from suite.launch.run import Options

STOP_LIMIT_S = 60.0
"""Seconds for Tune to end cleanly when it is asked to."""


def tune_runs(
    waiting: list[str],
    live: Live,
    sink: MlflowSink,
    storage: Storage,
    options: Options,
    console: Console,
) -> bool:
    """Run the waiting runs under Tune.

    Returns:
        Whether the user interrupted.

    Raises:
        Outage: if Ray does not start, dies, or the results folder goes.
    """
    from suite.launch.cluster import start_ray

    stop = _Stop(console)
    with stop.at_signals():
        if options.address is None:
            try:
                start_ray(None, options.num_cpus, options.num_gpus, options.dashboard)
            except Outage:
                _abandoned.set()
                raise
            stop.listen()
        from suite.launch.outage_watch import Watch

        watch = Watch(storage.root, own=options.address is None)
        orderly = False
        try:
            with Progress(live, console) as progress:
                orderly = _supervised(waiting, live, sink, storage, options, progress, watch, stop)
        finally:
            if not (watch.end() and orderly):
                _abandoned.set()
    return stop.asked.is_set()


def _supervised(
    waiting: list[str],
    live: Live,
    sink: MlflowSink,
    storage: Storage,
    options: Options,
    progress: Progress,
    watch: Watch,
    stop: _Stop,
) -> bool:
    """Run and watch Tune; return whether it has ended, also if it was asked to.

    Raises:
        Outage: if anything else ended it.
    """
    from suite.launch.callback import SweepCallback
    from suite.launch.outage_watch import supervise

    callback = SweepCallback(live, sink, progress, storage, watch.check, stop.asked)
    try:
        tuner = _tuner(waiting, live, storage, options, callback)
        supervise(tuner.fit, lambda: watch.trouble() or stop.late())
    except Exception as error:
        if not stop.asked.is_set() and live.unfinished():
            keep_traceback(error, storage.root)
            raise Outage(watch.trouble() or explain(error)) from error
        # Otherwise it ended on request, or while writing its own files, which are not used.
        return not isinstance(error, Outage)
    finally:
        callback.close()
    return True


_abandoned = threading.Event()


def abandoned() -> bool:
    """Return whether threads of Ray's may be left that would hold up the end of the process."""
    return _abandoned.is_set()


class _Stop:
    """The user's wish to stop."""

    def __init__(self, console: Console) -> None:
        self.asked = threading.Event()
        self._console = console
        self._since = 0.0

    def _ask(self, number: int, frame: Any) -> None:
        signal.alarm(0)  # Ray's abort, if the signal came while it started
        if not self.asked.is_set():
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            say(self._console, f"Stopping after {name}; checkpoints are kept.")
            self._since = time.monotonic()
            self.asked.set()

    def late(self) -> str | None:
        """Return what to say if Tune has not ended in time."""
        if self.asked.is_set() and time.monotonic() - self._since > STOP_LIMIT_S:
            return "Tune did not end"
        return None

    @contextmanager
    def at_signals(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM, which batch systems send, as the wish to stop."""
        before = self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> dict[signal.Signals, Any]:
        """Take the signals, and return who had them.

        When Ray starts it installs its own SIGTERM handler first, which aborts the process
        three seconds later, so they are taken once more after it.
        """
        return {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM)}


def _tuner(
    waiting: list[str], live: Live, storage: Storage, options: Options, callback: Any
) -> Any:
    """Return the tuner: a trial per run, or per group of runs that are trained side by side."""
    from ray import tune

    from suite.launch.engines import engine_of
    from suite.launch.groups import chunks
    from suite.launch.trainable import run_trial

    configs = live.sweep.runs
    # The longest first: the last to finish then wait for little.
    waiting = sorted(waiting, key=lambda run_id: -live.runs[run_id].cost)
    groups = chunks([configs[run_id] for run_id in waiting], live.slots)
    groups.sort(key=lambda group: -sum(live.runs[run.run_id].cost for run in group))
    requests = [
        {
            "run_ids": [run.run_id for run in group],
            "runs": [run.model_dump(mode="json") for run in group],
            "storage": storage.address,
            "checkpoint_every_s": options.checkpoint_every_s,
            "plugins": [list(plugin) for plugin in options.plugins],
            "command": options.command,
            "data_dir": os.environ.get("SUITE_DATA", ""),
        }
        for group in groups
    ]

    # Plain data: a worker reads this before it has loaded any plugin.
    asked = {i: engine_of(configs[i]).bundles(configs[i]) for i in waiting}

    def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory(asked[config["request"]["run_ids"][0]])

    def trial(config: dict[str, Any]) -> None:
        run_trial(config["request"])

    ray_folder = f"{storage.address}/ray" if storage.remote else str(storage.root / "ray")
    callbacks = [callback]
    if options.tensorboard:
        from ray.tune.logger import TBXLoggerCallback

        callbacks.append(TBXLoggerCallback())
    return tune.Tuner(
        tune.with_resources(trial, resources),
        param_space={"request": tune.grid_search(requests)},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            trial_name_creator=lambda t: t.config["request"]["run_ids"][0],
            trial_dirname_creator=lambda t: t.config["request"]["run_ids"][0],
        ),
        run_config=tune.RunConfig(
            name=now().replace(":", ""),
            storage_path=ray_folder,
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=options.max_failures),
            verbose=0,
        ),
    )
