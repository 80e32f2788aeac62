"""Drivers that are asked to stop, meet another driver, or find no cluster."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from whole_sweeps import ROOT, SWEEP, run_to_end, start_run, wait_for

from suite.records import layout
from suite.records.manifest import MANIFEST

pytestmark = pytest.mark.ray


def _write(folder: Path) -> None:
    (folder / "s.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGINT, "Ctrl-C"),
        pytest.param(signal.SIGTERM, "SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_asked_to_stop_it_does_so_cleanly_and_says_how_to_go_on(
    number: signal.Signals, name: str, tmp_path: Path
) -> None:
    _write(tmp_path)
    process = start_run(tmp_path, "--checkpoint-every", "0", "--set", "addition:budget=100000")
    runs = tmp_path / "out" / layout.RUNS
    wait_for(lambda: bool(list(runs.glob(f"*/checkpoint-*/{MANIFEST}"))), process)
    started = time.monotonic()
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert time.monotonic() - started < 45
    assert f"Stopping after {name}; checkpoints are kept." in out
    assert f"Continue with: python {ROOT / 'run_suite.py'} run s.yaml" in out
    assert "--resume" in out
    assert "Traceback" not in err


def test_two_drivers_do_not_share_a_folder(tmp_path: Path) -> None:
    import fcntl

    _write(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / layout.SWEEP).write_text('{"name": "s"}')
    with (tmp_path / "out" / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, out = run_to_end(tmp_path)
    assert code == 2
    assert "no other run is using" in out


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads /proc")
def test_ray_listens_on_the_loopback_interface_alone(tmp_path: Path) -> None:
    code = """
import json, psutil
from suite.launch.cluster import start_ray
start_ray(None, 1, 0, False)
import ray
@ray.remote
def work():
    return 1
ray.get(work.remote())
me = psutil.Process()
found = []
for process in [me, *me.children(recursive=True)]:
    for connection in process.net_connections(kind="inet"):
        if connection.status == psutil.CONN_LISTEN:
            found.append(connection.laddr.ip)
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    addresses = json.loads(done.stdout.splitlines()[-1])
    assert len(addresses) > 3
    assert set(addresses) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_joining_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    _write(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start_run(tmp_path, "--address", f"127.0.0.1:{port}")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, out + err
    assert "--address: got" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.yaml"]
