"""Mutated sweep files and command lines: each is planned, or refused with one message.

A case is a sweep file of the suite's own with one to three mutations (lines gone, doubled or out of
order, bytes flipped, keys misspelt, values in place of which hostile ones stand, changes with
``--set`` and ``--only``), drawn from a seed. It goes to ``plan`` of the command line, in a process
of its own that is ended when it takes too long.

- ``accepted``, ``refused``: exit code 0, or 2 with one line that says what is wrong.
- ``traceback``: anything else.
- ``over_time``: more than `LIMIT_S` seconds of processor time, or `IDLE_S` without any.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import queue
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from common import publish

from suite.launch.catalogue import config_folders
from suite.sweeps.yaml_file import parse_yaml, to_yaml

LIMIT_S = 5.0
"""Seconds of processor time that a case may take."""

IDLE_S = 60.0
"""Seconds without processor time after which a process counts as hanging."""

SCALARS = (
    *("", "null", "~", "true", "-1", "0", "010", "0o17", "1_000", "1e3", "1e999", "-.inf", ".nan"),
    *("1000000000000", "9223372036854775807", "1" + "0" * 40, "9" * 5000, "0.1.2", "12:30:45"),
    *(
        "x",
        "'²'",
        "'\\u0000'",
        '"\\e[31m"',
        "a,b",
        "..",
        "../../etc",
        "x" * 5000,
        "[",
        "{",
        "{{ x }}",
    ),
    *("[a]", "[[]]", "{a: b}", "{kind: [a]}", "{kind: null}", "{kind: {a: b}}", "!!python/none x"),
    *("&a [*a]", "*nowhere", "<<", "=", "? x", "- - -", "%x", "@x", "`x`", "|", ">-", "#", "\t"),
    *("{steps: 1000000000000000}", "{epochs: 1.0e+300}", "{fraction: 0}", "{steps: null}"),
    *("[1, 1]", "[-1]", "[true]", "['0']", "[1000000000000]", "{grid: [1, 1.0, '1', true]}"),
    *("{uniform: [-1.0e+308, 1.0e+308]}", "{grid: []}", "{choice: [[1], [2]]}"),
)
"""What stands in place of a value in a line."""

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 10**6, 10**12, 2**63 - 1, 0.5, 1e300, 1e-300, float("nan")),
    *(float("inf"), "", "x", "²", "a b", "a/b", "a,b", ".", "\x00", "é", "e\u0301", "x" * 300),
    *([], {}, [None], [[1]], ["x"], {"kind": ["a"]}, {"kind": None}, {"x": {"y": [1]}}),
    *({"steps": 10**15}, {"fraction": 2}, {"grid": list(range(3000))}, list(range(2000))),
    *(100_000, 1_000_000_000, [10**12] * 3, {"": 1}, {"a..b": 1}, {".": 1}, {"+": [1]}),
)
"""What stands in place of a value of the parsed file."""

PATHS = (
    *("model.width", "model.depth", "model.kind", "task.kind", "task.modulus", "task", "budget"),
    *("optimizer.lr", "optimizer", "schedule.kind", "interventions", "interventions.0", "seeds"),
    *("interventions.²", "interventions.99999999999999999999", "metrics.every", "resources.gpus"),
    *("seed", "", ".", "a..b", ".a", "a.", "model.", "x" * 300, "a." * 100 + "b", "interventions+"),
)
"""Keys of ``--set``."""

GLOBS = ("*", "", "[", "[!", "[z-a]*", "*" * 150, "**/*/0", "\x00", "?" * 199, "x" * 500, "*[*]*")
"""Patterns of ``--only``, and of tasks before a key of ``--set``."""


@dataclass(frozen=True)
class Case:
    """One request: the text of a sweep file and the arguments behind its name."""

    name: str
    text: bytes
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a case went: ``accepted``, ``refused``, ``traceback`` or ``over_time``."""

    case: str
    how: str
    said: str
    cpu_s: float

    def told(self) -> str:
        """Return it in a few lines."""
        return f"{self.how}: {self.case}\n    {self.said.strip()[-2000:]}"


def _lines(draw: random.Random, text: str) -> str:
    """Return a text with one of its lines changed."""
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    other = draw.randrange(len(lines))
    line = lines[at]
    kind = draw.randrange(9)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, line)
    elif kind == 2:
        lines[at], lines[other] = lines[other], line
    elif kind == 3:
        lines[at] = draw.choice(["  ", " ", "\t", "- ", "? "]) + line
    elif kind == 4:
        lines[at] = line[: draw.randrange(len(line) + 1)]
    elif kind == 5:
        lines[at] = _misspelt(draw, line)
    elif kind == 6:
        lines.insert(
            at, draw.choice(["---", "...", "%YAML 1.2", "<<: *a", "null: 1", "1: 2", ": x"])
        )
    else:
        key, colon, _ = line.partition(":")
        lines[at] = f"{key}: {draw.choice(SCALARS)}" if colon else draw.choice(SCALARS)
    return "\n".join(lines)


def _misspelt(draw: random.Random, word: str) -> str:
    if len(word) < 2:
        return word + "x"
    at = draw.randrange(len(word) - 1)
    return draw.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + draw.choice("xé.,:/ ²") + word[at + 1 :],
        ]
    )


def _tree(draw: random.Random, text: str) -> str:
    """Return a text with one place of its data changed."""
    try:
        tree = parse_yaml(text, "case")
    except ValueError:
        return text
    places = list(_places(tree)) if isinstance(tree, dict | list) else []
    if not places:
        return text
    holder, key = draw.choice(places)
    value = draw.choice(VALUES)
    kind = draw.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = [holder[key]] if draw.random() < 0.5 else {str(key): holder[key]}
    elif kind == 2 and isinstance(holder, dict):
        holder[_misspelt(draw, key)] = holder.pop(key)
    elif kind == 3 and isinstance(holder, dict):
        holder[f"{key}.{draw.choice(['x', 'kind', '0', 'a.b'])}"] = value
    else:
        holder[key] = value
    return to_yaml(tree)


def _places(tree: Any) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _bytes(draw: random.Random, data: bytes) -> bytes:
    """Return a file with some of its bytes changed."""
    kind = draw.randrange(6)
    if kind == 0:
        return data[: draw.randrange(len(data) + 1)]
    if kind == 1:
        return b"\xef\xbb\xbf" + data
    if kind == 2:
        return data.decode(errors="replace").encode(draw.choice(["utf-16", "latin-1"]), "replace")
    if kind == 3:
        return data + draw.choice(
            [b"\x00", b"\xff\xfe", b"\n---\n", b"\n" + b"a: " * 300, b"[" * 9999]
        )
    flipped = bytearray(data)
    for _ in range(draw.randrange(1, 4)):
        if flipped:
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def _arguments(draw: random.Random) -> tuple[str, ...]:
    """Return options of the command line, mostly none."""
    kind = draw.randrange(10)
    if kind < 2:
        text = draw.choice([draw.choice(SCALARS), to_yaml(draw.choice(VALUES)).strip()])
        return ("--set", f"{draw.choice(PATHS)}={text}")
    if kind == 2:
        return (
            "--set",
            draw.choice(["", "=", "x", "=1", ":", ":=", "*:x", ":budget=5", "a:b:c=1"]),
        )
    if kind == 3:
        return ("--set", f"{draw.choice(GLOBS)}:budget=5")
    return ("--only", draw.choice(GLOBS)) if kind == 4 else ()


def cases(number: int, seed: int) -> list[Case]:
    """Return mutated requests: the same for the same seed."""
    files = sorted(path for folder in config_folders() for path in folder.glob("*.yaml"))
    found = []
    for index in range(number):
        draw = random.Random(f"{seed}/{index}")
        path = draw.choice(files)
        text = path.read_text(encoding="utf-8")
        arguments = _arguments(draw)
        for _ in range(draw.randrange(1, 4) if not arguments else draw.randrange(2)):
            text = draw.choice([_lines, _tree])(draw, text)
        data = text.encode(errors="surrogatepass")
        if draw.random() < 0.15:
            data = _bytes(draw, data)
        clean = tuple(word.replace("\x00", "\ufffd") for word in arguments)  # as of any process
        found.append(Case(f"{index} {path.stem} {' '.join(clean)[:120]}".strip(), data, clean))
    return found


def plan(case: Case, folder: Path) -> tuple[str, str]:
    """Return how a case goes through the command line, and what it says."""
    from suite.launch.cli import main

    path = folder / "case.yaml"
    path.write_bytes(case.text)
    sys.argv = ["run_suite.py", "plan", str(path), *case.arguments]
    said, printed = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
            main()
    except SystemExit as error:
        lines = said.getvalue().strip().splitlines()
        if not error.code:
            return "accepted", ""
        if error.code == 2 and len(lines) == 1 and lines[0].startswith("error: "):
            return "refused", lines[0]
        return "traceback", f"exit code {error.code}: {said.getvalue()}"
    except BaseException:
        return "traceback", traceback.format_exc()
    return "traceback", "the command did not end"


def _serve(pipe: Any) -> None:
    """Plan cases that come through a pipe, until it is closed."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    plan(Case("", b"extends: quick\n", ()), folder)  # imports are no case's own time
    pipe.send(None)
    with contextlib.suppress(EOFError):
        while True:
            case = pipe.recv()
            start = time.process_time()
            how, said = plan(case, folder)
            pipe.send((how, said, time.process_time() - start))


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # the pipe will say that it is gone
    return float(times.user + times.system)


class _Planner:
    """A process that plans cases and is replaced when one hangs."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def __call__(self, case: Case) -> Outcome:
        try:
            self._pipe.send(case)
            self._wait()
            how, said, cpu_s = self._pipe.recv()
        except (TimeoutError, EOFError, OSError) as error:
            self.close()
            self._start()
            how = "over_time" if isinstance(error, TimeoutError) else "traceback"
            return Outcome(case.name, how, f"{type(error).__name__}: {error}", LIMIT_S)
        if cpu_s > LIMIT_S:
            how, said = "over_time", f"{how} after {cpu_s:.1f} s of processor time; {said}"
        return Outcome(case.name, how, said, cpu_s)

    def _wait(self) -> None:
        """Wait for an answer, for as long as the process works and may go on.

        Raises:
            TimeoutError: if it does not, or may not.
        """
        process = psutil.Process(self._process.pid)
        begun = spent = _cpu_s(process)
        idle_since = time.monotonic()
        while not self._pipe.poll(0.5):
            now = _cpu_s(process)
            if now > spent:
                spent, idle_since = now, time.monotonic()
            if spent - begun > 2 * LIMIT_S or time.monotonic() - idle_since > IDLE_S:
                raise TimeoutError(f"no answer after {spent - begun:.1f} s of processor time")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def fuzz(number: int, seed: int, workers: int) -> tuple[dict[str, float], list[Outcome]]:
    """Plan mutated requests; return how many went how, and those that went as none should."""
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases(number, seed):
        waiting.put(case)
    outcomes: list[Outcome] = []

    def work(planner: Callable[[Case], Outcome]) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                outcomes.append(planner(waiting.get_nowait()))

    planners = [_Planner() for _ in range(workers)]
    threads = [threading.Thread(target=work, args=(planner,)) for planner in planners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for planner in planners:
        planner.close()
    counts = Counter(outcome.how for outcome in outcomes)
    figures: dict[str, float] = {
        how: counts[how] for how in ("accepted", "refused", "traceback", "over_time")
    }
    figures["slowest_s"] = max((outcome.cpu_s for outcome in outcomes), default=0.0)
    bad = [o for o in outcomes if o.how not in ("accepted", "refused")]
    return figures, sorted(bad, key=lambda outcome: outcome.case)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this part is told."""
    parser.add_argument("--fuzz", type=int, default=0, metavar="N", help="mutated sweep files")
    parser.add_argument("--workers", type=int, default=2, help="processes that plan them")


def run(args: argparse.Namespace) -> int:
    """Plan, and print what should not be; return 1 if there is any."""
    figures, bad = fuzz(args.fuzz, args.seed, args.workers)
    for outcome in bad:
        print(outcome.told())
    told = [{"case": o.case, "how": o.how, "said": o.said} for o in bad]
    publish(figures, {"seed": args.seed, "limit_s": LIMIT_S, "bad": told}, args.json)
    return 1 if bad else 0
