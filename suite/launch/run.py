"""Runs a sweep: finished runs are kept, the rest goes to Tune, then the report is built."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from suite.errors import ConfigError
from suite.launch.backfill import backfill
from suite.launch.engines import engine_of
from suite.launch.mlflow_sink import MlflowSink, check_store, default_uri
from suite.launch.outage import LOG, Outage, explain, explain_text, keep_traceback, within
from suite.launch.plugins import digests
from suite.launch.programs import program
from suite.launch.progress import say
from suite.launch.sweep_state import Live, LiveRun
from suite.launch.tuning import tune_runs
from suite.ranges import hull
from suite.records import layout
from suite.records.json_file import dumps, read_json
from suite.records.provenance import now
from suite.records.results_id import new_id, results_id
from suite.records.run_folder import FINAL, read_status
from suite.records.storage import LOCK, Storage, write_text
from suite.rows import RECORDED
from suite.run_config import RunConfig
from suite.sweeps.sweep import Sweep
from suite.text.secrets import ADVICE, keep_secret, redact, redact_command, secrets_of

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

CLOSE_LIMIT_S = 10.0
"""Seconds for MLflow to end when the results folder has gone, perhaps with its store."""


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what.

    Attributes:
        results: results folder, or an address such as ``s3://bucket/sweep``.
        resume: insist on continuing what is in the folder.
        fresh: delete these runs from the folder, and start again.
        address: Ray cluster to join; None starts Ray on this machine.
        num_cpus: cores to use on this machine; None for all.
        num_gpus: GPUs to use on this machine; None for all.
        dashboard: start Ray's dashboard.
        tensorboard: write TensorBoard files too.
        checkpoint_every_s: seconds between checkpoints of a run.
        max_failures: how often a crashed trial is tried again.
        mlflow_uri: MLflow store; None for a database in the results folder.
        plugins: (name, source) of the user's own parts.
        command: what the user typed, without passwords.
    """

    results: str
    resume: bool = False
    fresh: bool = False
    address: str | None = None
    num_cpus: int | None = None
    num_gpus: int | None = None
    dashboard: bool = False
    tensorboard: bool = False
    checkpoint_every_s: float = 60.0
    max_failures: int = 0
    mlflow_uri: str | None = field(default=None, repr=False)  # may hold a password
    plugins: tuple[tuple[str, str], ...] = ()
    command: str = ""


def sweep_record(sweep: Sweep, command: str, results_id: str) -> dict[str, Any]:
    """Return the content of ``sweep.json``: everything that a report needs besides the runs."""
    tasks: dict[str, Any] = {}
    for label, plan in sweep.tasks.items():
        configs = [t.config for t in sweep.trials if t.task == label]
        config = configs[0]
        tasks[label] = {
            "primary_metric": list(config.task.score),
            "unit": config.task.score_unit,
            "ranges": _ranges(configs),
            "x": engine_of(config).x,
            "arms": list(plan.arms),
            "reference": {arm: plan.reference.get(arm) for arm in plan.arms},
            "gap_to": {arm: plan.gap_to.get(arm) for arm in plan.arms},
            "seeds": sorted({config.seed for config in configs}),
            "notes": plan.description,
        }
    trials = [
        {"run_id": t.run_id, "task": t.task, "arm": t.arm, "seed": t.config.seed, "skip": t.skip}
        for t in sweep.trials
    ]
    return {
        "name": sweep.name,
        "id": results_id,
        "command": command,
        "created": now(),
        "overrides": list(sweep.overrides),
        "benchmark": sweep.benchmark,
        "tasks": tasks,
        "trials": trials,
    }


def _ranges(configs: Sequence[RunConfig]) -> dict[str, Any]:
    """Return ranges that hold in all runs, of each metric and of other rows with bounds."""
    declared = [config.ranges for config in configs]
    names = sorted({name for ranges in declared for name in ranges})
    found = {name: {r.get(name) or RECORDED.get(name) for r in declared} for name in names}
    return {name: hull(ranges).as_json() for name, ranges in found.items()}


@contextmanager
def results_folder(sweep: Sweep, options: Options) -> Iterator[Storage]:
    """Open and lock the results folder for this sweep.

    Raises:
        ConfigError: if it cannot be made, belongs to another sweep, is in use, or has nothing to
            resume.
    """
    storage = Storage(options.results)
    storage.pull(layout.SWEEP)
    record = storage.root / layout.SWEEP
    if record.is_file():
        try:
            held = read_json(record)
            name, known = held["name"], set(held.get("tasks", {}))
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError("--results", str(record), "a readable sweep.json") from None
        if name != sweep.name:
            wanted = f"a folder of the sweep {sweep.name!r}; this one holds {name!r}"
            raise ConfigError("--results", options.results, wanted)
        if known and known.isdisjoint(sweep.tasks):
            wanted = f"a folder of this sweep; this one holds another {name!r} with other tasks"
            raise ConfigError("--results", options.results, wanted)
    elif options.resume:
        raise ConfigError("--resume", options.results, "a results folder that holds a sweep")
    elif storage.root.is_dir() and not storage.remote and _visible(storage.root):
        raise ConfigError("--results", options.results, "an empty folder or one of this sweep")
    storage.create("--results")
    with (storage.root / LOCK).open("a") as lock:
        _lock(lock, options.results)
        yield storage


def _visible(folder: Path) -> bool:
    """Return whether a folder has anything but locks, unfinished files and the error log."""
    return any(not path.name.startswith(".") and path.name != LOG for path in folder.iterdir())


def _lock(lock: IO[str], results: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError("--results", results, "a folder that no other run is using") from None


def run_sweep(sweep: Sweep, selected: Sweep, options: Options, console: Console) -> int:
    """Run the selected trials of a sweep and report on the whole of it; return the exit code.

    Args:
        sweep: everything in the files that were named.
        selected: the part to run now (all of it, without ``--only``).
        options: how to run.
        console: where progress and the table go.
    """
    from suite.launch.cluster import check_resources, start_ray

    if keep_secret(options.mlflow_uri):
        _retitle(redact_command(options.command))
    options = replace(options, command=redact_command(options.command))
    for task in {config.task for config in selected.runs.values()}:
        task.prepare()
    if options.address is None:
        check_resources(selected.runs.values(), options.num_cpus, options.num_gpus)
    else:
        start_ray(options.address, None, None, options.dashboard)
    if options.mlflow_uri is not None:
        check_store(options.mlflow_uri)
    try:
        with results_folder(sweep, options) as storage:
            return _run_in(sweep, selected, storage, options, console)
    except (OSError, Outage) as error:  # before or after the runs: nothing is lost
        root = Storage(options.results).root
        keep_traceback(error, root)
        return _stopped(explain(error), root, options, console)


def _run_in(
    sweep: Sweep, selected: Sweep, storage: Storage, options: Options, console: Console
) -> int:
    """Run in a results folder that is ours; return the exit code.

    Raises:
        ConfigError: if MLflow has a store that cannot be used.
        OSError: if the folder cannot be used.
        Outage: if MLflow's store cannot.
    """
    (storage.root / LOG).unlink(missing_ok=True)
    path = storage.root / layout.SWEEP
    record = sweep_record(
        sweep, options.command, results_id(storage) if path.is_file() else new_id()
    )
    write_text(path, dumps(record, indent=1))
    storage.push(layout.SWEEP)
    live = _take_stock(sweep, selected, storage, options)
    if options.mlflow_uri is None:
        storage.pull(layout.MLFLOW)
    uri = options.mlflow_uri or default_uri(storage)
    try:
        sink = MlflowSink(uri, storage, sweep, options.command)
    except ConfigError:
        raise
    except Exception as error:  # for any kind of store
        raise Outage(f"MLflow's store could not be opened: {explain(error)}") from error
    interrupted, outage = False, ""
    try:
        backfill(sink, live, storage, options.fresh)
        waiting = [i for i, run in live.runs.items() if run.state == "waiting"]
        if waiting:
            interrupted = tune_runs(waiting, live, sink, storage, options, console)
    except Outage as error:
        outage = str(error)
        if not (storage.root / layout.SWEEP).is_file():  # there is nothing to write to any more
            with suppress(Outage):
                within(CLOSE_LIMIT_S, sink.close, "")
            return _stopped(outage, storage.root, options, console)
    except BaseException:
        sink.close()
        raise
    sink.close()
    return _conclude(live, sink, storage, options, console, interrupted, outage)


def _retitle(command: str) -> None:
    """Show the command without secrets in lists of processes, and to Ray, which keeps it."""
    try:
        from ray._raylet import setproctitle  # type: ignore[attr-defined]
    except ImportError:
        return
    setproctitle(command)


def _take_stock(sweep: Sweep, selected: Sweep, storage: Storage, options: Options) -> Live:
    """Return the live state: finished runs are kept, unless `fresh`."""
    from suite.launch.estimate import estimate_trials

    slots = options.num_cpus or os.cpu_count() or 1
    trials = estimate_trials(selected.runs.values(), slots)
    costs = {run_id: seconds for trial in trials for run_id, seconds in trial.items()}
    runs: dict[str, LiveRun] = {}
    for run_id in selected.runs:
        relative = f"{layout.RUNS}/{run_id}"
        if options.fresh:
            storage.remove(relative)
        storage.pull(f"{relative}/{layout.STATUS}")
        run = LiveRun(cost=costs[run_id])
        status = read_status(storage.root / relative)
        if status is not None and status["state"] in FINAL:
            _compare_plugins(storage, relative, options)
            run.state, run.reason, run.done = status["state"], status["reason"], 1.0
        runs[run_id] = run
    live = Live(sweep=selected, runs=runs, slots=slots)
    live.done_before = sum(run.cost * run.done for run in runs.values())
    return live


def _compare_plugins(storage: Storage, relative: str, options: Options) -> None:
    """Check that a finished run was made with the current plugins.

    Raises:
        ConfigError: if one has changed: its runs could not be distinguished from others.
    """
    storage.pull(f"{relative}/{layout.PROVENANCE}")
    try:
        before = read_json(storage.root / relative / layout.PROVENANCE).get("plugins", {})
    except (OSError, ValueError, AttributeError):
        return
    for name, digest in digests(options.plugins).items():
        if before.get(name, digest) != digest:
            wanted = "the same file as when the runs in this folder were made, or --fresh"
            raise ConfigError("--plugin", name, wanted)


def _conclude(
    live: Live,
    sink: MlflowSink,
    storage: Storage,
    options: Options,
    console: Console,
    interrupted: bool,
    outage: str,
) -> int:
    """Build and print the report; return the exit code.

    Args:
        live: the state of the runs.
        sink: MLflow, closed.
        storage: the results folder.
        options: how to run.
        console: where to print.
        interrupted: whether the user stopped it.
        outage: external cause that ended the sweep; empty if none.
    """
    failures = live.failures()
    unfinished = live.unfinished()
    try:
        _report(live, sink, storage, options, console, bool(failures) or unfinished)
    except (ConfigError, OSError) as error:
        keep_traceback(error, storage.root)
        outage = outage or f"the report could not be written: {explain(error)}"
    for label, reason in failures:
        say(console, f"{label}: {reason}")
    _tell_of_mlflow(sink, options, console)
    if outage:
        return _stopped(outage, storage.root, options, console)
    failed = any(run.state == "failed" for run in live.runs.values())
    if interrupted or failed or unfinished:
        say(console, f"Continue with: {resume_command(options)}")
    if interrupted:
        return INTERRUPTED
    return 1 if failures or unfinished or not sink.level else 0


def _report(
    live: Live,
    sink: MlflowSink,
    storage: Storage,
    options: Options,
    console: Console,
    incomplete: bool,
) -> None:
    """Build, print and upload the report."""
    from suite.launch.show_results import fetch_all, show_report

    fetch_all(storage)
    asked = {(trial.task, trial.arm) for trial in live.sweep.trials}
    summary = show_report(storage.root, console, asked)
    sink.finish(storage.root / layout.REPORT, summary, incomplete)
    storage.push(layout.REPORT)
    if options.mlflow_uri is None:
        storage.push(layout.MLFLOW)


def _stopped(outage: str, root: Path, options: Options, console: Console) -> int:
    """Say what ended the sweep and how to continue; return the exit code."""
    begun = (root / layout.SWEEP).is_file()
    kept = " Finished runs and checkpoints are kept." if begun else ""
    more = f" (more in {root / LOG})" if (root / LOG).is_file() else ""
    say(console, f"Stopped: {outage}{more}.{kept}")
    say(console, f"Continue with: {resume_command(options, begun)}")
    return 1


def _tell_of_mlflow(sink: MlflowSink, options: Options, console: Console) -> None:
    """Print where to compare runs, and whether MLflow has all of them."""
    for error in sink.errors:
        say(console, f"MLflow: {explain_text(error)}")
    if not sink.level:
        lacking = f"{len(sink.behind)} runs" if sink.behind else "the report"
        say(
            console,
            f"MLflow lacks rows or final states of {lacking}. Nothing is lost: the results folder "
            f"has everything. When the store answers again, run: {resume_command(options)}",
        )
    elif sink.errors:
        say(console, "MLflow has all rows now: they were sent when it answered again.")
    where = redact(sink.uri)
    if not where.startswith("http"):
        where = f"{program('mlflow')} ui --backend-store-uri {shlex.quote(where)}"
    say(console, f"Compare in MLflow: {where}")
    if secrets_of(options.mlflow_uri or ""):
        say(console, ADVICE)


def resume_command(options: Options, begun: bool = True) -> str:
    """Return the command that resumes an interrupted sweep, or starts one that wrote nothing."""
    try:
        words = shlex.split(options.command)
    except ValueError:  # not from a shell
        return options.command
    words = [word for word in words if word not in ("--fresh", "--resume")]
    words[:1] = [program(word) for word in words[:1]]
    return shlex.join([*words, "--resume"] if begun else words)


def default_results(sweep: Sweep) -> str:
    """Return the results folder used when none is named."""
    return str(Path("results") / "runs" / sweep.name)
