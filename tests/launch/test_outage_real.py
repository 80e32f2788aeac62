"""Outages as they come: Ray's processes killed, the results folder removed, the disk full."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from suite.records import layout
from suite.records.manifest import MANIFEST

ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SWEEP: dict[str, Any] = {
    "base": {
        "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
        "model": {"kind": "transformer", "width": 16, "heads": 2, "hidden": 16},
        "metrics": {"names": ["accuracy"]},
    },
    "seeds": [0, 1, 2],
    "axes": {"arm": {"short": {"budget": 200}, "long": {"budget": 40_000}}},
}

LIMIT_S = 600


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts the sweep; what is left of it in the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: Any) -> subprocess.Popen[str]:
        started.append(_start(*arguments))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()  # Ray's processes go with it
            process.communicate()


def _start(folder: Path, out: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "s.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    command = [sys.executable, str(ROOT / "run_suite.py"), "run", "s.yaml", "--num-cpus", "2"]
    return subprocess.Popen(
        [*command, "--results", str(out), "--checkpoint-every", "0", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _states(out: Path) -> list[str]:
    states = []
    for path in out.glob(f"{layout.RUNS}/*/{layout.STATUS}"):
        with suppress(OSError, ValueError):
            states.append(json.loads(path.read_text())["state"])
    return states


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _under(out: Path) -> bool:
    """Return whether a long run is under way: there is a checkpoint."""
    return bool(list(out.glob(f"{layout.RUNS}/*/{layout.CHECKPOINT}*/{MANIFEST}")))


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_ray_dies_and_the_sweep_ends_with_one_message(
    victim: str, start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(tmp_path, out)
    _wait_for(lambda: _under(out), process)
    family = _family(process)
    (killed,) = [p for p in family if Path("".join(p.cmdline()[:1])).name == victim]
    killed.kill()
    said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1, said
    assert said.count(f"Stopped: Ray's process {victim} has died (SIGKILL") == 1
    assert said.count("Continue with: ") == 1
    assert "Traceback" not in said
    assert "(raylet)" not in said
    assert (out / layout.REPORT / "table.txt").is_file()
    assert "failed" not in _states(out)
    gone, left = psutil.wait_procs(family, timeout=60)
    assert not _alive(left), gone


def test_the_results_folder_is_removed(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(tmp_path, out)
    _wait_for(lambda: _under(out), process)
    out.rename(tmp_path / "aside")
    shutil.rmtree(tmp_path / "aside", ignore_errors=True)
    said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1, said
    # A trial that was about to write may have made the folder again before anybody looked.
    again = out.exists()
    how = "replaced by another" if again else "removed"
    assert said.count(f"Stopped: the results folder {out} was {how}") == 1
    assert "Traceback" not in said
    assert again or "--resume" not in said  # there is nothing to resume


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no permission to mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_disk_fills_up_and_is_emptied_again(
    small_disk: Path, start: Start, tmp_path: Path
) -> None:
    out = small_disk / "out"
    process = start(tmp_path, out)
    _wait_for(lambda: _under(out), process)
    filler = small_disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1, said
    assert "failed: no space is left on the disk" in said
    assert said.count("Stopped: the report could not be written: no space is left") == 1
    assert said.count("Continue with: ") == 1
    assert "Traceback" not in said
    filler.unlink()
    resumed = start(tmp_path, out, "--resume", "--only", "*/short/*")
    said, _ = resumed.communicate(timeout=LIMIT_S)
    assert resumed.returncode == 0, said
    assert _states(out).count("complete") >= 3
