from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import suite


@pytest.mark.parametrize("old", [*suite._MOVED, *suite._MOVED_LATER])
def test_a_module_of_an_earlier_version_is_found_with_a_warning(old: str) -> None:
    new = importlib.import_module(f"suite.{(suite._MOVED | suite._MOVED_LATER)[old]}")
    since = "0.2" if old in suite._MOVED else "0.3"
    sys.modules.pop(f"suite.{old}", None)
    with pytest.warns(DeprecationWarning, match=rf"suite\.{old} is {new.__name__} since {since}"):
        found = importlib.import_module(f"suite.{old}")
    assert found is new
    assert new.__spec__ is not None
    assert new.__spec__.name == new.__name__


def test_an_old_name_first_and_names_that_never_were() -> None:
    code = """
        from suite.yaml_file import parse_yaml
        import suite.sweeps.yaml_file, importlib
        assert parse_yaml is suite.sweeps.yaml_file.parse_yaml
        assert importlib.reload(suite.sweeps.yaml_file).__name__ == "suite.sweeps.yaml_file"
        try:
            import suite.yaml_files
        except ModuleNotFoundError as error:
            assert "suite.yaml_files" in str(error)
        else:
            raise AssertionError
    """
    lines = "\n".join(line.removeprefix("        ") for line in code.splitlines())
    subprocess.run([sys.executable, "-W", "ignore", "-c", lines], check=True, timeout=120)
