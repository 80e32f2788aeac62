#!/usr/bin/env bash
# Checks the paths for GPUs on one card and times updates, in under four minutes; see gpu.py.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" exec timeout 240 "${PYTHON:-python}" benchmarks/gpu.py "$@"
