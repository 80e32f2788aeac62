"""What the suite does with malformed requests, killed processes and outages.

``--fuzz N`` plans N mutated sweep files and command lines (`faults_fuzz`); ``--kills N`` kills
driver, workers and Ray's own processes at drawn times and compares tables (`faults_kills`). Exit
code 1 if anything is found that should not be.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import faults_fuzz
import faults_kills


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--json", type=Path, help="write the figures here, of the last part")
    for part in (faults_fuzz, faults_kills):
        part.add_arguments(parser)
    args = parser.parse_args(arguments)
    if not (args.fuzz or args.kills):
        parser.error("say what to do: --fuzz N or --kills N")
    code = 0
    if args.fuzz:
        code |= faults_fuzz.run(args)
    if args.kills:
        code |= faults_kills.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
