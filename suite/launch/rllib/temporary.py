"""Algorithms that leave no folder of results behind."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any


class TemporaryFolder:
    """Base beside one of RLlib's algorithms: without Tune's storage there is nothing to keep."""

    _storage: Any
    _logdir: Any

    def _setup_logdir(self) -> None:
        """Use a temporary folder, unless there is storage."""
        if self._storage is not None:
            super()._setup_logdir()  # type: ignore[misc]
        else:
            self._logdir = tempfile.mkdtemp(prefix="suite-rllib-")

    def cleanup(self) -> None:
        """Stop the algorithm, and remove that folder."""
        super().cleanup()  # type: ignore[misc]
        if self._storage is None:
            shutil.rmtree(self._logdir, ignore_errors=True)
