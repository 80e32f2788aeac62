"""Entry point of the command line: a missing package gives one message."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from suite.launch.cli import main as run
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: {sys.executable} has no package {error.name!r}. The command line needs the "
            "suite with all its packages: pip install 'rewarm-suite[all]' (in a checkout "
            "'.[all]', or make), or use the Python that has it (. .venv/bin/activate)."
        )
    run()
