"""The command line: wrong requests end with code 2 and one message, and leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from suite.launch import cli, start
from suite.launch.outage import LOG
from suite.launch.run import Options, results_folder, sweep_record
from suite.sweeps.sweep import load_sweep

ROOT = Path(__file__).parent.parent.parent

BODY: dict[str, Any] = {
    "base": {
        "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
        "model": {"kind": "transformer", "width": 8, "heads": 2, "hidden": 8},
        "budget": 10,
    },
    "seeds": [0],
}

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Return a function that runs the command line in an empty folder: code, stdout, stderr."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["run_suite.py", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        printed = capsys.readouterr()
        return int(exit_.value.code or 0), printed.out, printed.err

    return run


def _sweep(path: Path, **changes: Any) -> str:
    path.write_text(yaml.safe_dump({**BODY, **changes}, sort_keys=False))
    return str(path)


def _base(**changes: Any) -> dict[str, Any]:
    return {"base": {**BODY["base"], **changes}}


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown key": (_base(budgt=3), "budgt", "'budget'"),
    "wrong type": (_base(budget="ten"), "budget", "a whole number"),
    "negative rate": (_base(optimizer={"kind": "adam", "lr": -0.1}), "optimizer.lr", "-0.1"),
    "fraction over one": (
        _base(task={"kind": "modular_addition", "fraction": 1.5}),
        "task.fraction",
        "less than 1",
    ),
    "unknown task": (_base(task={"kind": "my_stream"}), "task.kind", "needs --plugin FILE"),
    "unknown metric": (_base(metrics={"names": ["mine"]}), "metrics.names[0]", "--plugin FILE"),
    "unknown game": (
        _base(
            task={"kind": "atari", "game": "Braekout"},
            model="nature_cnn",
            agent="dqn",
            budget={"agent_steps": 100},
        ),
        "task.game",
        "reakout",
    ),
    "no runs": ({"seeds": []}, "config", "at least one run"),
    "more than there is": (_base(resources={"gpus": 99}), "resources.gpus", "at most the"),
    "unknown arm": ({"reference": "x"}, "reference", "axis values"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_wrong_sweeps(name: str, command: str, call: Call, tmp_path: Path) -> None:
    changes, key, said = BAD[name]
    if command == "plan" and name == "more than there is":
        pytest.skip("a plan may be made for a larger machine")
    code, out, err = call(command, _sweep(tmp_path / "s.yaml", **changes))
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert key in err
    assert said in err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "no_such_sweep"], "config: got 'no_such_sweep'"),
        (["run", "quikc"], "expected 'quick'"),
        (["run", "missing.yaml"], "a file that exists"),
        (["run", "quick", "--set", "nonsense"], "--set: got 'nonsense'"),
        (["run", "quick", "--only", "nothing/*"], "--only: got 'nothing/*'"),
        (["run", "quick", "--resume", "--fresh"], "either --resume or --fresh"),
        (["run", "quick", "--resume"], "--resume: got"),
        (["run", "quick", "--data-dir", "nowhere"], "--data-dir: got 'nowhere'"),
        (["run", "quick", "--plugin", "nowhere.py"], "--plugin: got 'nowhere.py'"),
        (["report", "nowhere"], "DIR: got 'nowhere'"),
        (["list", "tasts"], "expected 'tasks'"),
        (["run", "quick", "--num-cpus", "0"], "--num-cpus"),
        (["run", "quick", "--address", "ray://host:10001"], "--address: got 'ray://host:10001'"),
        (["run", "quick", "--no-such-flag"], "--no-such-flag"),
        (["fly"], "fly"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, call: Call) -> None:
    code, _, err = call(*arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert list(Path.cwd().iterdir()) == []


def test_results_folders_that_cannot_serve(call: Call, tmp_path: Path) -> None:
    sweep = _sweep(tmp_path / "s.yaml")
    blocker = tmp_path / "file"
    blocker.write_text("")
    code, _, err = call("run", sweep, "--results", str(blocker / "below"))
    assert (code, "--results: got" in err) == (2, True)
    assert blocker.read_text() == ""

    other = tmp_path / "other"
    other.mkdir()
    (other / "sweep.json").write_text('{"name": "another"}')
    code, _, err = call("run", sweep, "--results", str(other))
    assert (code, "'another'" in err, "'s'" in err) == (2, True, True)
    assert sorted(p.name for p in other.iterdir()) == ["sweep.json"]

    (other / "sweep.json").write_text('{"name": "s", "tasks": {"of another file": {}}}')
    code, _, err = call("run", sweep, "--results", str(other))
    assert (code, "with other tasks" in err) == (2, True)

    begun = tmp_path / "begun"  # what a disk that was full at the start leaves
    begun.mkdir()
    (begun / LOG).write_text("Traceback")
    name = load_sweep([sweep], [tmp_path])
    with results_folder(name, Options(results=str(begun))) as storage:
        assert storage.root == begun

    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.tex").write_text("x")
    code, _, err = call("run", sweep, "--results", str(strange))
    assert (code, "an empty folder" in err) == (2, True)
    assert sorted(p.name for p in strange.iterdir()) == ["thesis.tex"]


def test_missing_data_are_named_before_anything_starts(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.data import fetch, sets

    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fetch, "_download", lambda file, folder: f"{file.name}: no network")
    sets.load.cache_clear()
    task = {"kind": "warm_start_images", "dataset": "cifar10"}
    base = {"task": task, "model": "cnn"}
    (tmp_path / "data").mkdir()
    sweep = _sweep(tmp_path / "s.yaml", base=base)
    code, _, err = call("run", sweep, "--data-dir", str(tmp_path / "data"))
    assert code == 2
    assert "cifar10/train.parquet" in err
    assert list(Path.cwd().iterdir()) == []


def test_a_folder_of_data_that_is_not_there_is_refused(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = _sweep(tmp_path / "s.yaml")
    monkeypatch.setenv("SUITE_DATA", str(tmp_path / "none"))
    code, _, err = call("plan", sweep)
    assert (code, f"SUITE_DATA: got '{tmp_path / 'none'}'; expected a folder" in err) == (2, True)
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    code, _, err = call("plan", sweep)
    assert code == 0, err


def test_plan_shows_trials_skips_and_predictions(call: Call, tmp_path: Path) -> None:
    axes = {"arm": {"plain": {}, "decay": {"interventions": ["scale_decay"]}}}
    code, out, _ = call("plan", _sweep(tmp_path / "s.yaml", axes=axes, seeds=[0, 1, 2]))
    assert code == 0
    assert "0,1,2" in out
    assert "skipped: scale_decay on a network without norm layers" in out
    assert "3 runs" in out
    assert "GiB" in out
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("tasks", "modular_addition"),
        ("schedules", "cyclic_then_anneal"),
        ("interventions", "nap"),
        ("metrics", "effective_lr"),
        ("configs", "quick"),
        ("triggers", "cusum"),
        ("models", "nature_cnn"),
        ("agents", "dqn"),
        ("experiments", "kumar2024_fig10"),
    ],
)
def test_list(what: str, name: str, call: Call) -> None:
    code, out, _ = call("list", what)
    assert code == 0
    assert name in out


def test_list_without_a_kind_names_the_kinds_and_each_can_be_listed(call: Call) -> None:
    from suite.launch.catalogue import kinds

    code, out, _ = call("list")
    assert code == 0
    assert out == f"list one of: {', '.join(kinds())}\n"


def test_streams_are_listed_and_other_tasks_are_not(call: Call) -> None:
    _, out, _ = call("list", "streams")
    for name in ("growing", "permuted", "class_pairs", "slow_regression"):
        assert f"\n {name} " in out
    assert "modular_addition" not in out


def test_square_brackets_are_printed(call: Call) -> None:
    _, out, _ = call("list", "metrics")
    assert "A[k, j] - A[j, j]" in out
    _, out, _ = call("list", "tasks")
    assert "noise: []" in out


def test_only_may_be_repeated_and_a_miss_names_each_arm_once(call: Call, tmp_path: Path) -> None:
    axes = {"arm": {"plain": {}, "low": {"optimizer.lr": 1.0e-4}, "high": {"optimizer.lr": 0.1}}}
    sweep = _sweep(tmp_path / "s.yaml", axes=axes, seeds=[0, 1, 2])
    code, out, _ = call("plan", sweep, "--only", "*/plain/*", "--only", "*/high/1")
    assert code == 0
    assert "4 runs" in out
    assert " low " not in out
    code, _, err = call("plan", sweep, "--only", "*/plain/*", "--only", "*/lwo/*")
    assert code == 2
    assert "--only: got '*/lwo/*'; expected a glob over task/arm/seed that fits a trial" in err
    assert "; arms of modular_addition_11: plain, low, high; seeds: 0, 1, 2" in err
    assert "known" not in err


def test_a_sweep_without_claims_says_what_claims_are_about(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    record = sweep_record(load_sweep([_sweep(tmp_path / "s.yaml")], []), "", "0" * 16)
    (folder / "sweep.json").write_text(json.dumps(record))
    code, out, _ = call("claims", str(folder))
    assert code == 0
    (line,) = out.splitlines()
    assert line.startswith("No claim is about an experiment of this sweep. Claims are about ")
    assert "kumar2024_fig1" in line
    assert [path.name for path in folder.iterdir()] == ["sweep.json"]


@pytest.mark.parametrize("command", ["report", "claims"])
def test_results_that_are_kept_for_reading_have_no_rows(command: str, call: Call) -> None:
    code, _, err = call(command, str(ROOT / "results" / "grokking"))
    assert code == 2
    assert "this one has tables and figures of a sweep, but not the rows of its runs" in err
    assert "but not the rows" not in call(command, "nowhere")[2]


def test_experiments_are_listed_with_files_claims_and_figures() -> None:
    from suite.launch.catalogue import _experiments

    found = _experiments()
    assert found["kumar2024_fig10"]["published"] == ["kumar2024_fig10"]
    assert found["kumar2024_fig10"]["small"] == ["kumar2024_fig10_small"]
    for label, where in found.items():
        if label.startswith(("kumar2024", "lyle2024", "lyle2025", "lyu2024", "norm_or_elr")):
            assert where["published"] or where["small"], label  # what is judged can be run


def test_help_and_the_copied_script(tmp_path: Path) -> None:
    """run_suite.py copied alone into an empty folder is all that is needed."""
    shutil.copy(ROOT / "run_suite.py", tmp_path)
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": ""}
    for arguments, said in ((["--help"], "plan"), (["plan", "quick"], "predicted core ")):
        done = subprocess.run(
            [sys.executable, "run_suite.py", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stdout


def test_the_console_script_is_the_same_call() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="rewarm-suite")
    assert script.load() is start.main


def test_what_is_not_installed_is_one_message() -> None:
    code = "import sys; sys.modules['typer'] = None; from suite.launch.start import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "has no package 'typer'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_wheel_finds_its_configs(tmp_path: Path) -> None:
    """Built, unpacked and put first on the path, the wheel resolves bare names by itself."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("rewarm_suite-*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    assert (tmp_path / "site" / "suite" / "py.typed").is_file()
    assert (tmp_path / "site" / "suite" / "report" / "page" / "template.html").is_file()
    (tmp_path / "empty").mkdir()
    shutil.copy(ROOT / "run_suite.py", tmp_path / "empty")
    done = subprocess.run(
        [sys.executable, "run_suite.py", "plan", "quick"],
        cwd=tmp_path / "empty",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    code = "import suite.launch.catalogue as c; print(*c.config_folders())"
    folders = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(tmp_path / "site" / "suite" / "tune_configs") in folders


def test_the_command_to_resume_can_be_pasted() -> None:
    from suite.launch.run import Options, resume_command

    def command(typed: str) -> str:
        return resume_command(Options(results="out", command=typed))

    assert command("python run_suite.py run a --fresh") == "python run_suite.py run a --resume"
    assert command("rewarm-suite run a --resume") == "rewarm-suite run a --resume"
    quoted = "rewarm-suite run a --results 'a --fresh b'"
    assert command(quoted) == f"{quoted} --resume"
    nothing = Options(results="out", command="rewarm-suite run a --resume --fresh")
    assert resume_command(nothing, begun=False) == "rewarm-suite run a"


def test_programs_are_named_so_that_the_shell_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.programs import program

    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "mlflow"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    assert program("mlflow") == str(Path("env") / "bin" / "mlflow")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin")
    assert (program("mlflow"), program("elsewhere")) == ("mlflow", "elsewhere")
    monkeypatch.setenv("PATH", "/usr/bin")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert program("python") == str(folder / "python")


@pytest.mark.parametrize("name", ["report", "claims"])
def test_an_address_that_cannot_be_reached_is_one_message(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from suite.launch import cli
    from suite.records.storage import Storage

    def fail(*arguments: object) -> None:
        raise OSError("When getting information for key 'x': curlCode: 7")

    monkeypatch.setattr(Storage, "pull", fail)
    monkeypatch.setattr(sys, "argv", ["rewarm-suite", name, "out"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "curlCode: 7" in error
    assert "Traceback" not in error


PLUGIN = '''
from typing import Literal

from suite.schedules.base import SCHEDULES, ScheduleConfig


@SCHEDULES.register("falling")
class FallingConfig(ScheduleConfig):
    """Falls, or trips."""

    kind: Literal["falling"] = "falling"

    def build(self, clock):
        """Return it."""
        return lambda step: 1 / (step + 1) if step < 3 else {BEYOND}
'''


@pytest.mark.slow
@pytest.mark.ray
def test_a_plugin_that_trips_says_what_it_died_of_and_one_that_changed_is_noticed(
    tmp_path: Path,
) -> None:
    plugin, sweep = (
        tmp_path / "falling.py",
        _sweep(tmp_path / "s.yaml", **_base(schedule="falling")),
    )
    out = tmp_path / "out"

    def run() -> tuple[int, str]:
        command = [sys.executable, str(ROOT / "run_suite.py"), "run", sweep, "--results", str(out)]
        command += ["--plugin", str(plugin), "--num-cpus", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    plugin.write_text(PLUGIN.replace("{BEYOND}", "1 / 0"))
    code, said = run()
    assert code == 1, said
    assert "ZeroDivisionError: division by zero (see runs/" in said
    assert "Traceback" not in said
    plugin.write_text(PLUGIN.replace("{BEYOND}", "0.1"))
    code, said = run()
    assert code == 0, said
    plugin.write_text(PLUGIN.replace("{BEYOND}", "0.2"))
    code, said = run()
    assert code == 2, said
    assert "falling.py" in said
