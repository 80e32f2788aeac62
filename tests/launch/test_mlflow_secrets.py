"""A password in the address of the MLflow store is nowhere in what a sweep leaves and says."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
SECRET = "pa55-w0rd"

SWEEP = {
    "base": {
        "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
        "model": {"kind": "transformer", "width": 8, "heads": 2, "hidden": 8},
        "budget": 10,
    },
    "seeds": [0],
}

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def server(tmp_path: Path, empty_store: Path) -> Iterator[str]:
    """Host and port of an MLflow server, whose files lie in the folder `server`."""
    folder = tmp_path / "server"
    folder.mkdir()
    database = folder / "server.db"
    database.write_bytes(empty_store.read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{database}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                break
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _run(folder: Path, uri: str) -> tuple[int, str, set[str]]:
    """Run the sweep; return exit code, what it said, and commands of processes with the secret."""
    command = [sys.executable, str(ROOT / "run_suite.py"), "run", "s.yaml", "--results", "out"]
    process = subprocess.Popen(
        [*command, "--num-cpus", "1", "--mlflow-uri", uri],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    telling = set()
    while process.poll() is None:
        for other in psutil.Process(process.pid).children(recursive=True):
            try:
                told = " ".join([*other.cmdline(), *other.environ().values()])
            except psutil.Error:
                continue
            if SECRET in told:
                telling.add(told)
        time.sleep(0.2)
    out, _ = process.communicate()
    return process.returncode, out, telling


def _holding(folder: Path) -> list[str]:
    """Return the files that hold the secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_password_is_nowhere(tmp_path: Path, server: str) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SWEEP))
    code, out, telling = _run(tmp_path, f"http://ann:{SECRET}@{server}")
    assert code == 0, out
    assert SECRET not in out
    assert f"Compare in MLflow: http://{server}" in out
    assert "MLFLOW_TRACKING_PASSWORD" in out
    assert not telling
    assert _holding(tmp_path) == []
    assert f"--mlflow-uri http://{server}" in (tmp_path / "out" / "sweep.json").read_text()

    host, _, _ = server.partition(":")
    code, out, telling = _run(tmp_path, f"http://ann:{SECRET}@{host}:1")  # nothing answers there
    assert code == 2, out
    assert SECRET not in out
    assert f"http://{host}:1" in out
    assert not telling
    assert _holding(tmp_path) == []
