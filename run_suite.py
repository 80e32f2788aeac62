#!/usr/bin/env python
"""Run the benchmark suite: the same as the console script `rewarm-suite`.

`ray submit` copies this one file to the cluster, where the package must be installed.
"""

import sys

try:
    from suite.launch.cli import main
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] == "suite":
        wanted = "Install the suite first (pip install -e .), or use the Python it is in."
    else:
        wanted = "Activate the environment first (. .venv/bin/activate), or set one up (make)."
    sys.exit(f"error: {sys.executable} has no package {error.name!r}. {wanted}")

if __name__ == "__main__":
    main()
