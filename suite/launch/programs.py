"""Commands that a user can paste: with the paths of the current environment's programs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program(name: str) -> str:
    """Return a program by its name if the shell finds this environment's, else by its path.

    Args:
        name: of a program that is installed with this Python, such as ``mlflow``.
    """
    here = Path(sys.executable).parent / name
    found = shutil.which(name)
    if not here.is_file() or (found is not None and Path(found).absolute() == here):
        return name
    inside = os.path.relpath(here)
    return str(here) if inside.startswith("..") else inside
