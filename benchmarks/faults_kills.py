"""Kills: processes of a running sweep are killed at seeded times, and the sweep is taken up again.

A small sweep of both engines is run once undisturbed. Then it is begun in other folders, and at
seeded moments of it the driver, a worker, Ray's raylet or its GCS is killed with SIGKILL. Whatever
is left must end by itself within a minute or so, with exit code 1, one message and the command that
goes on. After a few kills in a folder that command is let run to its end; it must end with 0, and
rows, table, scores by seed and summary must be those of the undisturbed run. Times are left out.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent

SWEEP = """
experiments:
  addition:
    base:
      task: {kind: modular_addition, modulus: 23, fraction: 0.5}
      model: {kind: transformer, width: 32, heads: 2, hidden: 64}
      budget: 2000
      metrics: {every: 100, names: [accuracy, loss, relative_update]}
    seeds: [0]
    axes:
      arm:
        free: {}
        nap: {interventions: [{kind: nap, which: matrices}]}
    reference: free
  cartpole:
    base:
      task:
        kind: classic_control
        env: CartPole-v1
        utd: 0.5
        learning_starts: 200
        evaluation: {episodes: 5, every: {agent_steps: 1000}}
      model: {kind: mlp, width: 32, depth: 2}
      optimizer: {kind: adam, lr: 1e-3}
      agent: {kind: dqn, n_step: 3, replay_capacity: 3000, epsilon: {anneal: {agent_steps: 1000}}}
      budget: {agent_steps: 3000}
    seeds: [0]
    axes: {arm: {dqn: {}}}
"""

VICTIMS = ("driver", "worker", "raylet", "gcs_server")

IN_A_FOLDER = 4
"""Kills before the sweep is let run to its end."""

LIMIT_S = 1200.0
"""Seconds for a command without disturbance."""

EARLY = 0.25
"""Share of the kills that come before the first worker has started."""

END_S = 60.0
"""Seconds for the driver to end when something has been killed under it, or as many as the whole
sweep takes: on a busy machine the report takes long."""

TABLES = ("table.txt", "per_seed.csv", "summary.json")


@dataclass(frozen=True)
class Kill:
    """What was killed and what came of it.

    Attributes:
        victim: one of `VICTIMS`.
        after_s: seconds from the start of the command to the kill.
        code: exit code of the command.
        ended_s: seconds from the kill to the end of the command.
        fault: what was not as it must be; empty if all was.
    """

    victim: str
    after_s: float
    code: int
    ended_s: float
    fault: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this part is told."""
    parser.add_argument("--kills", type=int, default=0, help="processes to kill, in all")


def run(args: argparse.Namespace) -> int:
    """Kill, compare and print; return 1 if anything was not as it must be."""
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        (folder / "kills.yaml").write_text(SWEEP, encoding="utf-8")
        whole, began = folder / "whole", time.monotonic()
        done = _command(folder, whole)
        _wait_for(done, "worker")
        start_s = time.monotonic() - began
        output, _ = done.communicate(timeout=LIMIT_S)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise SystemExit(f"the undisturbed sweep ended with {done.returncode}:\n{output}")
        wanted = contents(whole)
        print(f"undisturbed: {seconds:.0f} s, {len(wanted)} files", flush=True)
        kills: list[Kill] = []
        verdicts: list[str] = []
        while len(kills) < args.kills:
            if len(verdicts) > 2 * args.kills:
                raise SystemExit(f"{len(verdicts)} sweeps gave only {len(kills)} processes to kill")
            out = folder / f"killed-{len(verdicts)}"
            for turn in range(min(IN_A_FOLDER, args.kills - len(kills))):
                victim = VICTIMS[len(kills) % len(VICTIMS)]
                early = draw.random() < EARLY
                span = start_s if early else (seconds - start_s) / (1 + turn)  # less is left to do
                wait = (None if early else "worker", draw.random() * span)
                kill = _kill(_command(folder, out), victim, *wait, max(END_S, seconds))
                if kill is None:
                    break  # it was done before
                kills.append(kill)
                line = f"{kill.victim:<10} after {kill.after_s:6.1f} s  exit {kill.code:>3}"
                fault = f"  FAULT: {kill.fault}" if kill.fault else ""
                print(f"{line} in {kill.ended_s:5.1f} s{fault}", flush=True)
            verdicts.append(_finish(folder, out, wanted))
            print(f"  taken up again: {verdicts[-1]}", flush=True)
    faults = [k.fault for k in kills if k.fault] + [v for v in verdicts if v != "identical"]
    print(f"{len(kills)} kills, {len(verdicts)} sweeps, {len(faults)} faults")
    if args.json is not None:
        record = {"kills": [asdict(k) for k in kills], "verdicts": verdicts, "seed": args.seed}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if faults else 0


def _command(folder: Path, out: Path) -> subprocess.Popen[str]:
    """Begin the sweep in a folder, or go on with it."""
    command = [sys.executable, str(ROOT / "run_suite.py"), "run", "kills.yaml", "--num-cpus", "2"]
    command += ["--results", str(out), "--checkpoint-every", "0.5"]
    if (out / "sweep.json").is_file():
        command.append("--resume")
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _victim(driver: psutil.Process, name: str) -> psutil.Process | None:
    """Return a process of the driver's by its part in the sweep; None if it has not started."""
    if name == "driver":
        return driver
    with suppress(psutil.Error):
        for child in driver.children(recursive=True):
            with suppress(psutil.Error):
                called = "".join(child.cmdline()[:1])
                if name == "worker" and called.startswith("ray::ImplicitFunc"):
                    return child
                if Path(called).name == name:
                    return child
    return None


def _wait_for(process: subprocess.Popen[str], name: str) -> psutil.Process | None:
    """Return a process of a command's as soon as there is one; None if the command ends first."""
    if process.poll() is not None:
        return None
    driver = psutil.Process(process.pid)
    while process.poll() is None:
        if (found := _victim(driver, name)) is not None:
            return found
        time.sleep(0.1)
    return None


def _kill(
    process: subprocess.Popen[str], name: str, since: str | None, after_s: float, end_s: float
) -> Kill | None:
    """Kill a process of a command; None if the command had ended by then.

    Args:
        process: the command.
        name: one of `VICTIMS`.
        since: the process from whose start `after_s` counts; None for the command itself.
        after_s: seconds to wait.
        end_s: seconds for the command to end.
    """
    driver, began = psutil.Process(process.pid), time.monotonic()
    if since is not None:
        _wait_for(process, since)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    if (victim := _wait_for(process, name)) is None:
        process.communicate()
        return None
    after_s = time.monotonic() - began
    with suppress(psutil.Error):
        victim.send_signal(signal.SIGKILL)
    killed, fault, output = time.monotonic(), "", ""
    # A killed worker ends its run alone: the driver goes on with the others.
    limit = LIMIT_S if name == "worker" else end_s
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        fault = f"the driver had not ended {limit:.0f} s later"
        for left in [*driver.children(recursive=True), driver]:
            with suppress(psutil.Error):
                left.kill()
        process.communicate()
    ended_s = time.monotonic() - killed
    if not fault and name != "driver":
        fault = _unsaid(process.returncode, output)
    return Kill(name, after_s, process.returncode, ended_s, fault)


def _unsaid(code: int, output: str) -> str:
    """Return what is wrong with how a command ended under which something was killed."""
    if code == 0 and "Continue with:" not in output:
        return ""  # the last run had ended
    if code != 1:
        return f"exit code {code} instead of 1: {output[-2000:]}"
    if "Traceback" in output:
        return f"a traceback: {output[-2000:]}"
    if output.count("Continue with:") != 1:
        return f"not one command that goes on: {output[-2000:]}"
    return ""


def _finish(folder: Path, out: Path, wanted: dict[str, str]) -> str:
    """Go on with a sweep to its end; return whether the outcome is the undisturbed one."""
    process = _command(folder, out)
    output, _ = process.communicate(timeout=LIMIT_S)
    if process.returncode != 0:
        return f"one command does not finish it, exit code {process.returncode}: {output[-2000:]}"
    found = contents(out)
    names = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
    return f"differs in {', '.join(names)}" if names else "identical"


def contents(out: Path) -> dict[str, str]:
    """Return the tables of a results folder and the rows of its runs, without times."""
    tables = {name: (out / "report" / name).read_text(encoding="utf-8") for name in TABLES}
    rows = list(csv.DictReader(io.StringIO(tables["per_seed.csv"])))
    tables["per_seed.csv"] = json.dumps([{**row, "wall_s": ""} for row in rows])
    found = {name: without_times(text) for name, text in tables.items()}
    for path in sorted(out.glob("runs/*/rows.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row["metric"] != "agent_steps_per_s"]
        kept = [{k: v for k, v in row.items() if k != "wall_s"} for row in rows]
        found[f"{path.parent.name}/rows.jsonl"] = json.dumps(kept)
    return found


def without_times(text: str) -> str:
    """Return text with durations, as tables and summaries have them, made equal.

    >>> without_times("0.5 [0.4, 0.6]   3/3   1:02"), without_times("  12 s")
    ('0.5 [0.4, 0.6] 3/3 T', ' T')
    """
    text = re.sub(r"\b\d+(:\d\d)+\b|\b\d+(\.\d+)? (s|min|h)\b", "T", text)
    return re.sub(r"[ ─]+", " ", text)
