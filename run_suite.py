#!/usr/bin/env python
"""Run the benchmark suite: the same as the console script `rewarm-suite`.

`ray submit` copies this one file to the cluster, where the package must be installed.
"""

import sys

try:
    from suite.launch.start import main
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {sys.executable} has no package {error.name!r}. Install the suite first, or use "
        "the Python that has it (. .venv/bin/activate)."
    )

if __name__ == "__main__":
    main()
