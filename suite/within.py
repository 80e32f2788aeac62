"""Thresholds of the accuracy of a regression, and what its rows are called; for reports, too."""

from __future__ import annotations

THRESHOLDS = (1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.1)
"""Of an example's mean squared error: those of Kumar et al. 2024, Figs. 8 and 17."""


def layer_of(split: str, threshold: float) -> str:
    """Return the layer of the rows of a split and threshold, such as ``test<0.001``."""
    return f"{split}<{threshold:g}"
