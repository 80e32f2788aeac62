"""Whether MLflow has every row once although its server is killed during a sweep.

A real server on the loopback interface, with a database, takes the rows of a small sweep of
supervised runs. It is killed (or stopped, so that connections hang) at a seeded time near the
start, in the middle or near the end of the sweep, and started again on the same port some seconds
later, or only when the sweep is over and its command is repeated. Afterwards each run's metrics are
compared with the rows in its folder: every row that MLflow is to have must be there exactly once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from suite.launch.keys import FINAL, STEP, is_live, metric_key
from suite.records import layout

ROOT = Path(__file__).parent.parent
START_S, SWEEP_S = 120.0, 900.0
"""Seconds that a server may take to start, and a sweep to end."""

SWEEP: dict[str, Any] = {
    "base": {
        "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
        "model": {"kind": "transformer", "width": 16, "heads": 2, "hidden": 16},
        "budget": 1200,
        "metrics": {"every": 12, "names": ["accuracy", "relative_update"]},
    },
    "seeds": [0, 1],
    "axes": {
        "arm": {
            "free": {},
            "nap": {"interventions": [{"kind": "nap", "which": "matrices"}]},
        }
    },
}


@dataclass(frozen=True)
class Outage:
    """When the store is away.

    Attributes:
        after: share of the sweep's steps after which it goes, drawn between these two.
        away_s: seconds until it is back; None for not before the sweep is over.
        hangs: whether it accepts connections all the while and does not answer.
        kill_driver: whether the sweep is killed as well, while the store is away.
    """

    after: tuple[float, float]
    away_s: float | None
    hangs: bool = False
    kill_driver: bool = False


OUTAGES = {
    "none": Outage((2.0, 2.0), None),
    "start": Outage((0.0, 0.0), 20.0),
    "middle": Outage((0.3, 0.6), 20.0),
    "end": Outage((0.85, 0.95), 20.0),
    "hangs": Outage((0.2, 0.5), 30.0, hangs=True),
    "through the end": Outage((0.5, 0.8), None),
    "with the driver": Outage((0.3, 0.6), None, kill_driver=True),
}


class Server:
    """An MLflow server on a free port; `stop` and `start` keep port and records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        log = (self.folder / "server.log").open("a")
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self._process.pid, number)

    def stop(self) -> None:
        """Kill it."""
        self.signal(signal.SIGKILL)
        self._process.wait()


def start_sweep(folder: Path, uri: str) -> subprocess.Popen[str]:
    """Start the sweep, or go on with it."""
    command = [sys.executable, str(ROOT / "run_suite.py"), "run", "s.yaml", "--results", "out"]
    command += ["--num-cpus", "2", "--mlflow-uri", uri, "--checkpoint-every", "1"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Wait until something is so, or the process has ended."""
    while process.poll() is None and not reached():
        time.sleep(0.05)


def share_done(folder: Path) -> float:
    """Return the share of the sweep's steps that are done, by the rows of its runs."""
    steps = 0
    for path in (folder / "out" / layout.RUNS).glob(f"*/{layout.ROWS}"):
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        if whole:
            steps += int(json.loads(whole.rpartition("\n")[2])["step"])
    whole = SWEEP["base"]["budget"] * len(SWEEP["seeds"]) * len(SWEEP["axes"]["arm"])
    return float(steps / whole)


def wanted_rows(path: Path) -> Counter[tuple[str, int, float]]:
    """Return what MLflow is to have of a run: key, step and value of each row, counted."""
    found: Counter[tuple[str, int, float]] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if is_live(row["metric"], row["layer"]) and row["value"] is not None:
            found[metric_key(row["metric"], row["layer"]), row["step"], row["value"]] += 1
    return found


def stored_rows(uri: str) -> tuple[dict[str, Counter[tuple[str, int, float]]], int]:
    """Return what MLflow has of each run, and the number of runs that it has twice."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name == "s"]
    found: dict[str, Counter[tuple[str, int, float]]] = {}
    twice = 0
    for run in client.search_runs(experiments):
        run_id = run.data.tags.get("suite.run_id")
        if run_id is None:
            continue
        twice += run_id in found
        counts = found.setdefault(run_id, Counter())
        for key in set(run.data.metrics) - {FINAL, STEP}:
            counts.update(
                (key, m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)
            )
    return found, twice


@dataclass
class Result:
    """What came of one outage.

    Attributes:
        rows: number of rows that MLflow is to have.
        missing: number of those that it lacks.
        doubled: number of rows and runs that it has once too often.
        first_lacks: rows that it lacked before the command was repeated.
        exits: exit codes of the sweep and of its repetition, if there was one.
        end_s: seconds from the last row to the end of the sweep.
    """

    outage: str
    rows: int
    missing: int
    doubled: int
    first_lacks: int
    exits: list[int]
    end_s: float
    ok: bool


def compare(folder: Path, uri: str) -> tuple[int, int, int]:
    """Return the number of rows, of missing ones, and of those (and of runs) too many."""
    stored, doubled = stored_rows(uri)
    rows = missing = 0
    for path in (folder / "out" / layout.RUNS).glob(f"*/{layout.ROWS}"):
        wanted, found = wanted_rows(path), stored.get(path.parent.name, Counter())
        rows += wanted.total()
        missing += (wanted - found).total()
        doubled += (found - wanted).total()
    return rows, missing, doubled


def suffer(name: str, outage: Outage, folder: Path, draw: random.Random) -> Result:
    """Run the sweep through an outage."""
    (folder / "s.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False), encoding="utf-8")
    server = Server(folder)
    try:
        sweep = start_sweep(folder, server.uri)
        if outage.after[0] == 0:  # it has answered once, and is gone before there is a run
            wait_for(sweep, (folder / "out" / layout.SWEEP).is_file)
            time.sleep(draw.uniform(0.0, 3.0))
        else:
            after = draw.uniform(*outage.after)
            wait_for(sweep, lambda: share_done(folder) >= after)
        exits: list[int] = []
        planned = outage.after[0] <= 1
        happened = planned and sweep.poll() is None
        if happened:
            away(server, sweep, outage, draw)
        out, _ = sweep.communicate(timeout=SWEEP_S)
        ended = time.time()
        exits.append(sweep.returncode)
        if outage.away_s is None and happened:
            server.start()
        first_lacks = 0
        plain = "Traceback" not in out
        newest = max(p.stat().st_mtime for p in (folder / "out").glob(f"runs/*/{layout.STATUS}"))
        if exits[0] != 0:
            _, first_lacks, _ = compare(folder, server.uri)
            plain = plain and (outage.kill_driver or "When the store answers again" in out)
            again = start_sweep(folder, server.uri)
            out, _ = again.communicate(timeout=SWEEP_S)
            exits.append(again.returncode)
            plain = plain and "Traceback" not in out
        rows, missing, doubled = compare(folder, server.uri)
        ok = plain and exits[-1] == 0 and rows > 0 and missing == doubled == 0
        ok = ok and happened == planned
        if not ok:
            print(out, file=sys.stderr)
        return Result(name, rows, missing, doubled, first_lacks, exits, ended - newest, ok)
    finally:
        server.stop()


def away(server: Server, sweep: subprocess.Popen[str], outage: Outage, draw: random.Random) -> None:
    """Take the store away, and bring it back if that is before the end of the sweep."""
    if outage.hangs:
        server.signal(signal.SIGSTOP)
    else:
        server.stop()
    if outage.kill_driver:
        time.sleep(draw.uniform(2.0, 6.0))
        sweep.kill()
    if outage.away_s is not None:
        time.sleep(outage.away_s)
        if outage.hangs:
            server.signal(signal.SIGCONT)
        else:
            server.start()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this part is told."""
    names = f"outages of MLflow's server, all by default: {', '.join(OUTAGES)}"
    parser.add_argument(
        "--mlflow-outages", nargs="*", choices=list(OUTAGES), metavar="NAME", help=names
    )


def run(args: argparse.Namespace) -> int:
    """Run the sweep through outages, print what came of it; return 1 if a row lacks or is doubled.

    Args:
        args: with ``mlflow_outages``, ``seed`` and ``json``.
    """
    draw = random.Random(args.seed)
    results: list[Result] = []
    print(
        f"{'outage':16} {'rows':>6} {'missing':>8} {'doubled':>8} {'at first':>9}  exits",
        flush=True,
    )
    for name in args.mlflow_outages or OUTAGES:
        with tempfile.TemporaryDirectory() as folder:
            results.append(suffer(name, OUTAGES[name], Path(folder), draw))
        last = results[-1]
        exits = ", ".join(map(str, last.exits))
        print(
            f"{name:16} {last.rows:6} {last.missing:8} {last.doubled:8} {last.first_lacks:9}  "
            f"{exits:8} {last.end_s:5.0f} s after the last row  {'ok' if last.ok else 'WRONG'}",
            flush=True,
        )
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    return 0 if all(result.ok for result in results) else 1
