"""What ends a sweep from without: one message, the command that goes on, code 1, nothing lost."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from suite.launch import outage_watch
from suite.launch import run as run_module
from suite.launch.callback import Stopped, SweepCallback
from suite.launch.outage import LOG, Outage, explain, explain_trial, within
from suite.launch.outage_watch import Watch, supervise
from suite.launch.run import Options, run_sweep
from suite.launch.sweep_state import Live, LiveRun
from suite.records import layout
from suite.records.storage import Storage
from suite.sweeps.sweep import Sweep, load_sweep

SWEEP: dict[str, Any] = {
    "base": {
        "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
        "model": {"kind": "transformer", "width": 8, "heads": 2, "hidden": 8},
        "budget": 10,
    },
    "seeds": [0, 1],
}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """A sweep of two runs."""
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SWEEP))
    return load_sweep([str(tmp_path / "s.yaml")], [])


class Sink:
    """MLflow, which takes everything."""

    uri = "sqlite:///nowhere"

    def __init__(self, *arguments: Any) -> None:
        self.errors: list[str] = []
        self.ends: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: None

    def ended(self, run_id: str, state: str) -> bool:
        """It knows of no run."""
        return False

    def end(self, *arguments: Any) -> None:
        """Keep it."""
        self.ends.append(arguments)


Launch = Callable[..., tuple[int, str]]


@pytest.fixture
def launch(
    sweep: Sweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Launch:
    """Return a function that runs the sweep, given what takes the place of Tune: code, output."""

    def start(tune_runs: Callable[..., bool]) -> tuple[int, str]:
        monkeypatch.setattr(run_module, "tune_runs", tune_runs)
        monkeypatch.setattr(run_module, "MlflowSink", Sink)
        monkeypatch.setattr(run_module, "backfill", lambda *arguments: None)
        options = Options(results=str(tmp_path / "out"), num_cpus=1, command="suite run s.yaml")
        code = run_sweep(sweep, sweep, options, Console(width=200))
        return code, capsys.readouterr().out

    return start


def test_an_outage_is_said_once_with_the_report_and_the_command_that_goes_on(
    launch: Launch, tmp_path: Path
) -> None:
    def dies(*arguments: Any) -> bool:
        raise Outage("Ray's process raylet has died (SIGKILL, as when memory runs out)")

    code, out = launch(dies)
    assert code == 1
    assert out.count("Stopped: Ray's process raylet has died (SIGKILL") == 1
    assert out.count("Continue with: suite run s.yaml --resume") == 1
    assert (tmp_path / "out" / "report" / "table.txt").is_file()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("part", ["sweep", "report"])
def test_files_that_cannot_be_written(
    part: str, number: int, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number), "/some/file")

    if part == "sweep":
        monkeypatch.setattr(run_module, "write_text", full)
    else:
        monkeypatch.setattr("suite.report.build.write_whole", full)
    code, out = launch(lambda *arguments: False)
    assert code == 1
    (said,) = [line for line in out.splitlines() if line.startswith("Stopped: ")]
    assert explain(OSError(number, "")) in said
    resume = " --resume" if part == "report" else ""  # without sweep.json there is nothing to
    assert f"Continue with: suite run s.yaml{resume}\n" in out
    assert "Errno" in (tmp_path / "out" / LOG).read_text()


def test_a_folder_that_is_removed_under_the_sweep(launch: Launch, tmp_path: Path) -> None:
    out_folder = tmp_path / "out"

    def removed(*arguments: Any) -> bool:
        for path in [*out_folder.iterdir()]:
            path.unlink()
        out_folder.rmdir()
        raise Outage("the results folder was removed")

    code, out = launch(removed)
    assert code == 1
    assert out == "Stopped: the results folder was removed.\nContinue with: suite run s.yaml\n"
    assert not out_folder.exists()


def test_a_folder_that_cannot_even_be_locked(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_module, "_lock", full)
    code, out = launch(lambda *arguments: False)
    assert code == 1
    assert "Stopped: no space is left on the disk (more in " in out


def test_failed_runs_come_with_the_command_that_takes_them_up_again(launch: Launch) -> None:
    def fails(waiting: list[str], live: Live, *arguments: Any) -> bool:
        for run in live.runs.values():
            run.state, run.reason = "failed", "memory ran out"
        return False

    code, out = launch(fails)
    assert code == 1
    assert "s/all/0: failed: memory ran out" in out or "/0: failed: memory ran out" in out
    assert "Continue with: suite run s.yaml --resume" in out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x", "/a/b"), "no space is left on the disk (/a/b)"),
        (RuntimeError("Failed: [Errno 28] No space left on device"), "no space is left"),
        (RuntimeError("outer", OSError(errno.EMFILE, "x")), "too many files are open"),
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("Ray says\nmuch more"), "RuntimeError: Ray says"),
        (ValueError(), "ValueError"),
    ],
)
def test_explanations(error: Exception, said: str) -> None:
    assert explain(error).startswith(said)
    outer = RuntimeError("something")
    outer.__cause__ = error
    known = not said.startswith(("RuntimeError", "ValueError"))
    assert explain(outer).startswith(said if known else "RuntimeError: something")


def test_what_a_trial_died_of() -> None:
    died = "ray.exceptions.ActorDiedError: The actor died.\n\tclass_name: X\nThe actor is dead."
    assert "killed" in explain_trial(died)
    assert "--num-cpus" in explain_trial("ray.exceptions.OutOfMemoryError: Task was killed\nTips")
    full = "Traceback\n  File\nOSError: [Errno 28] No space left on device"
    assert explain_trial(full).startswith("no space is left on the disk: OSError")
    assert explain_trial("") == "the worker died"


def test_within_gives_up_a_call_that_does_not_return() -> None:
    forever = threading.Event()
    with pytest.raises(Outage, match="too late"):
        within(0.05, forever.wait, "too late")
    forever.set()
    assert within(60, lambda: 3, "") == 3
    nothing: dict[str, int] = {}
    with pytest.raises(KeyError):
        within(60, lambda: nothing["x"], "")


def test_the_thread_of_a_call_lives_on_if_it_is_told_to() -> None:
    stay = threading.Event()
    thread = within(60, threading.current_thread, "", stay)
    assert thread.is_alive()
    stay.set()
    thread.join(60)
    assert not thread.is_alive()


def test_supervise_ends_though_the_work_hangs() -> None:
    forever, looks = threading.Event(), []

    def hangs() -> None:
        forever.wait()

    def fails() -> None:
        _ = 1 // 0

    def trouble() -> str | None:
        looks.append(1)
        return "gone" if len(looks) == 3 else None

    with pytest.raises(Outage, match="gone"):
        supervise(hangs, trouble, every_s=0.001)
    forever.set()
    supervise(lambda: None, lambda: None, every_s=60)
    with pytest.raises(ZeroDivisionError):
        supervise(fails, lambda: None, every_s=60)


class FakeNode:
    """What a `Watch` knows of Ray, with two processes of our own."""

    gcs_address, raylet_socket_name = "127.0.0.1:1", ""

    def __init__(self) -> None:
        self.all_processes = {
            name: [SimpleNamespace(process=subprocess.Popen(["sleep", "600"]))]
            for name in outage_watch.VITAL
        }


@pytest.fixture
def looked_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder that is watched, and the fake Ray."""
    import ray

    node = FakeNode()
    monkeypatch.setattr(ray._private.worker, "_global_node", node)
    folder = tmp_path / "out"
    folder.mkdir()
    yield folder, node
    for (started,) in node.all_processes.values():
        started.process.kill()
        started.process.wait()


@pytest.mark.parametrize("name", outage_watch.VITAL)
def test_a_dead_process_of_ray_is_noticed_and_the_others_are_ended(
    name: str, looked_after: tuple[Path, FakeNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, node = looked_after
    looks = Watch(folder, own=True)
    assert looks.trouble() is None
    (victim,) = node.all_processes[name]
    victim.process.kill()
    victim.process.wait()
    assert looks.trouble() == f"Ray's process {name} has died (SIGKILL, as when memory runs out)"
    with pytest.raises(Outage, match=name):
        looks.check()
    hangs = threading.Event()
    monkeypatch.setattr("ray.shutdown", hangs.wait)
    monkeypatch.setattr(outage_watch, "END_LIMIT_S", 0.05)
    assert not looks.end()
    hangs.set()
    for (started,) in node.all_processes.values():
        assert started.process.wait(timeout=60) == -9


def test_nothing_of_ray_is_freed_by_the_collector_while_ray_ends(
    looked_after: tuple[Path, FakeNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handle:
        """What Tune leaves in a cycle."""

    handle = Handle()
    handle.__dict__["own"] = handle
    left = weakref.ref(handle)
    del handle
    seen: list[tuple[bool, bool]] = []
    monkeypatch.setattr("ray.shutdown", lambda: seen.append((gc.isenabled(), left() is None)))
    gc.enable()
    assert Watch(looked_after[0], own=True).end()
    assert seen == [(False, True)]
    assert gc.isenabled()


def test_a_folder_that_is_removed_or_replaced_is_noticed(
    looked_after: tuple[Path, FakeNode],
) -> None:
    folder, _ = looked_after
    looks = Watch(folder, own=True)
    moved = folder.rename(folder.with_name("elsewhere"))
    assert "was removed" in str(looks.trouble())
    folder.mkdir()
    assert "was replaced" in str(looks.trouble())
    folder.rmdir()
    moved.rename(folder)
    assert looks.trouble() is None


def test_a_cluster_may_be_silent_for_a_while(
    looked_after: tuple[Path, FakeNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    folder, node = looked_after
    looks = Watch(folder, own=False)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        node.gcs_address = f"127.0.0.1:{server.getsockname()[1]}"
        assert looks.trouble() is None
    assert looks.trouble() is None
    now[0] += outage_watch.PATIENCE_S + 1
    assert "does not answer" in str(looks.trouble())


def _callback(
    sweep: Sweep, folder: Path, check: Callable[[], None]
) -> tuple[SweepCallback, Live, threading.Event, Any]:
    live = Live(sweep, {run_id: LiveRun(state="running") for run_id in sweep.runs}, slots=1)
    asked = threading.Event()
    quiet: Any = SimpleNamespace(update=lambda: None)
    callback = SweepCallback(live, Sink(), quiet, Storage(folder), check, asked)  # type: ignore[arg-type]
    first = next(iter(live.runs))
    error_file = folder / "tune-error.txt"
    error_file.write_text("Traceback\nOSError: [Errno 28] No space left on device")
    trial = SimpleNamespace(config={"request": {"run_ids": [first]}}, error_file=str(error_file))
    return callback, live, asked, trial


def test_a_full_disk_fails_one_run_and_leaves_the_others(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("suite.launch.callback.mark_failed", full)
    callback, live, _, trial = _callback(sweep, tmp_path, lambda: None)
    callback.on_trial_error(1, [], trial)
    first, second = live.runs.values()
    assert (first.state, second.state) == ("failed", "running")
    assert first.reason.startswith("no space is left on the disk: OSError")
    assert "not noted in its folder" in first.reason


def test_trials_that_die_with_ray_have_not_failed(sweep: Sweep, tmp_path: Path) -> None:
    def gone() -> None:
        raise Outage("Ray has gone")

    callback, live, _, trial = _callback(sweep, tmp_path, gone)
    with pytest.raises(Outage):
        callback.on_trial_error(1, [], trial)
    assert {run.state for run in live.runs.values()} == {"running"}
    assert not (tmp_path / layout.RUNS).exists()


def test_tune_ends_when_it_is_told_to_and_is_not_listened_to_afterwards(
    sweep: Sweep, tmp_path: Path
) -> None:
    callback, live, asked, trial = _callback(sweep, tmp_path, lambda: None)
    callback.on_step_end(1, [])
    asked.set()
    with pytest.raises(Stopped):
        callback.on_step_end(2, [])
    asked.clear()
    callback.close()
    result = {"run_id": next(iter(live.runs)), "rows": [], "state": "complete", "reason": ""}
    calls: tuple[Callable[[], Any], ...] = (
        lambda: callback.on_trial_result(3, [], trial, {**result, "step": 1, "total": 1}),
        lambda: callback.on_trial_error(3, [], trial),
        lambda: callback.on_trial_start(3, [], trial),
    )
    for call in calls:
        with pytest.raises(Stopped):
            call()
    assert {run.state for run in live.runs.values()} == {"running"}


def test_a_worker_whose_disk_is_full_says_so_itself(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its traceback nor its status can be written: Ray hears of the error itself."""
    from suite.launch import trainable
    from suite.records.run_folder import RunFolder

    def full(*arguments: Any, **keys: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = next(iter(sweep.runs.values()))
    request = {
        "runs": [run.model_dump(mode="json")],
        **{"storage": str(tmp_path / "out"), "checkpoint_every_s": 60.0, "plugins": []},
        **{"command": "", "data_dir": ""},
    }
    monkeypatch.setattr(RunFolder, "emit", full)
    monkeypatch.setattr(RunFolder, "_write_status", full)
    with pytest.raises(OSError, match="No space left") as raised:
        trainable.run_trial(request)
    assert raised.value.errno == errno.ENOSPC


def test_ray_that_does_not_start_is_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ray

    from suite.launch import cluster

    left: list[subprocess.Popen[bytes]] = []

    def fails(**keys: Any) -> None:
        left.append(subprocess.Popen(["sleep", "600"]))
        raise Exception("The current node timed out during startup.\n" + "a line\n" * 45)

    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(Outage, match=r"Ray did not start, twice: .*timed out") as raised:
        cluster.start_ray(None, 1, 0, False)
    assert "\n" not in str(raised.value)
    assert [process.wait(timeout=60) for process in left] == [-9, -9]

    def refuses(**keys: Any) -> None:
        raise ValueError("there is not enough memory for the object store\n" + "a line\n" * 45)

    monkeypatch.setattr(ray, "init", refuses)
    with pytest.raises(Outage, match=r"^Ray did not start: ValueError: there is not enough"):
        cluster.start_ray(None, 1, 0, False)

    never = threading.Event()
    monkeypatch.setattr(ray, "init", lambda **keys: never.wait())
    monkeypatch.setattr(cluster, "START_LIMIT_S", 0.05)
    with pytest.raises(Outage, match="Ray did not start: it took longer than"):
        cluster.start_ray(None, 1, 0, False)
    never.set()
