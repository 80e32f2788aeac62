from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import suite

ABSENT = """
import sys

class Absent:
    names = ("ray", "mlflow", "envpool", "gymnasium", "ale_py")
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"no module named {name!r} in this process")

sys.meta_path.insert(0, Absent())
"""


EXTRAS = '("ray", "mlflow", "envpool", "gymnasium", "ale_py")'
CORE = (
    '("typer", "matplotlib", "jinja2", "psutil", "ray", "mlflow", "envpool", "gymnasium", "ale_py")'
)


def _run(code: str, absent: str = ABSENT) -> str:
    command = [sys.executable, "-W", "error", "-c", absent + textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_core_imports_and_trains_without_ray_mlflow_and_envpool() -> None:
    out = _run(
        """
        from suite import Projection, schedules, metrics, load_results
        from suite.run_config import RunConfig
        from suite.tasks.base import TASKS
        from suite.training.session import MemorySession
        from suite.training.supervised import SupervisedRun

        for task in TASKS.entries().values():
            if task.engine == "supervised":
                session = MemorySession()
                config = RunConfig.from_mapping(
                    {**task.smoke, "interventions": [{"kind": "nap", "which": "matrices"}]}
                )
                SupervisedRun(config).train(session)
                assert session.rows
        print("trained")
        """,
        ABSENT.replace(EXTRAS, CORE),
    )
    assert out.strip() == "trained"


def test_every_module_outside_launch_rllib_and_rl_imports_without_them() -> None:
    root = Path(suite.__file__).parent
    modules = [
        ".".join(("suite", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for path in sorted(root.rglob("*.py"))
        if not {"launch", "rllib", "rl"} & set(path.relative_to(root).parts)
    ]
    assert len(modules) > 40
    _run(f"import importlib\nfor name in {modules!r}: importlib.import_module(name)")


def test_environments_need_no_ray() -> None:
    root = Path(suite.__file__).parent
    modules = [f"suite.rl.{path.stem}" for path in sorted((root / "rl").glob("*.py"))]
    assert len(modules) > 5
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    only_ray = ABSENT.replace(
        '("ray", "mlflow", "envpool", "gymnasium", "ale_py")', '("ray", "mlflow")'
    )
    assert only_ray != ABSENT
    command = [sys.executable, "-c", only_ray + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_nothing_but_launch_imports_launch() -> None:
    root = Path(suite.__file__).parent
    for path in root.rglob("*.py"):
        if "launch" not in path.relative_to(root).parts:
            assert "suite.launch" not in path.read_text(encoding="utf-8"), path


def test_nothing_but_launch_imports_rllib() -> None:
    root = Path(suite.__file__).parent
    for path in root.rglob("*.py"):
        if path.relative_to(root).parts[0] not in ("rllib", "launch"):
            assert "suite.rllib" not in path.read_text(encoding="utf-8"), path


def test_import_suite_loads_nothing_heavy() -> None:
    out = _run(
        """
        import suite
        heavy = ("torch", "pandas", "pydantic", "matplotlib", "numpy", "pyarrow")
        print([name for name in heavy if name in sys.modules])
        """
    )
    assert out.strip() == "[]"
