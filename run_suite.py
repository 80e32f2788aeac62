#!/usr/bin/env python
"""Run the benchmark suite: the same as the console script `rewarm-suite`.

`ray submit` copies this one file to the cluster, where the package must be installed.
"""

from suite.launch.cli import main

if __name__ == "__main__":
    main()
