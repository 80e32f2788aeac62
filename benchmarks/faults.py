"""Faults: what the suite does when files are malformed, processes die and stores are away."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import faults_kills


def main() -> int:
    """Run the parts that are asked for; return 1 if one of them found a fault."""
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n\n{faults_kills.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, help="write what happened here")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    faults_kills.add_arguments(parser)
    args = parser.parse_args()
    code = 0
    if args.kills:
        code |= faults_kills.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
