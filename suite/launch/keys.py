"""Names of metrics where a layer has no column of its own: MLflow and TensorBoard."""

from __future__ import annotations

import re


def metric_key(metric: str, layer: str) -> str:
    """Return one name for a metric and the layer it is of.

    >>> metric_key("accuracy", "test"), metric_key("learning_rate", "")
    ('accuracy/test', 'learning_rate')
    """
    return re.sub(r"[^\w./ -]", "_", f"{metric}/{layer}" if layer else metric)
