"""What the suite does with malformed requests, killed processes and outages.

``--fuzz N`` plans N mutated sweep files and command lines (see `faults_fuzz`). Exit code 1 if
anything is found that should not be.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common import publish


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz", type=int, metavar="N", help="plan N mutated sweep files")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    parser.add_argument("--workers", type=int, default=2, help="processes that plan")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args(arguments)
    if asked.fuzz is None:
        parser.error("say what to do: --fuzz N")
    import faults_fuzz  # only what is asked for is imported

    figures, bad = faults_fuzz.fuzz(asked.fuzz, asked.seed, asked.workers)
    for outcome in bad:
        print(outcome.told())
    told = [{"case": o.case, "how": o.how, "said": o.said} for o in bad]
    publish(figures, {"seed": asked.seed, "limit_s": faults_fuzz.LIMIT_S, "bad": told}, asked.json)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
