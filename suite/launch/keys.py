"""Which rows live displays get, and their names where a layer has no column of its own."""

from __future__ import annotations

import re

LIVE_LAYERS = ("", "all", "mean", "train", "test")
"""Layers whose rows are sent along; most others stay in the run's folder."""

BY_GAME = (
    *("episode_return", "mean_return_20", "evaluation_return"),
    *("visit_return", "human_normalised_visit_return"),
)
"""Metrics that are sent along for every layer, which is a game of a sequence."""


def is_live(metric: str, layer: str) -> bool:
    """Return whether MLflow and live displays get a row.

    >>> is_live("accuracy", "test"), is_live("parameter_norm", "conv1.weight")
    (True, False)
    >>> is_live("visit_return", "pong")
    True
    """
    return layer in LIVE_LAYERS or metric in BY_GAME


def metric_key(metric: str, layer: str) -> str:
    """Return one name for a metric and the layer it is of.

    >>> metric_key("accuracy", "test"), metric_key("learning_rate", "")
    ('accuracy/test', 'learning_rate')
    """
    return re.sub(r"[^\w./ -]", "_", f"{metric}/{layer}" if layer else metric)
