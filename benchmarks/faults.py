"""What the suite does with malformed requests, killed processes and outages.

``--fuzz N`` plans N mutated sweep files and command lines (`faults_fuzz`); ``--kills N`` kills
driver, workers and Ray's own processes at drawn times and compares tables (`faults_kills`);
``--mlflow-outages`` takes MLflow's server away and compares rows (`faults_mlflow`). Exit code 1 if
anything is found that should not be.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import faults_fuzz
import faults_kills
import faults_mlflow


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--json", type=Path, help="write the figures here, of the last part")
    for part in (faults_fuzz, faults_kills, faults_mlflow):
        part.add_arguments(parser)
    args = parser.parse_args(arguments)
    outages = args.mlflow_outages is not None
    if not (args.fuzz or args.kills or outages):
        parser.error("say what to do: --fuzz N, --kills N or --mlflow-outages")
    code = 0
    if args.fuzz:
        code |= faults_fuzz.run(args)
    if args.kills:
        code |= faults_kills.run(args)
    if outages:
        code |= faults_mlflow.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
