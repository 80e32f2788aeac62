"""Which rows live displays get, and their names in MLflow.

MLflow accepts letters, digits and ``_ . - : /`` and blanks, at most 250 of them, and no name that
is another name when read as a path. Other characters are written as their code between colons, so
that two names never become one; ordinary names do not change.
"""

from __future__ import annotations

import hashlib
import re

LIVE_LAYERS = ("", "all", "mean", "train", "test")
"""Layers with rows that are also sent; most others stay in the run's folder."""

BY_GAME = (
    *("episode_return", "mean_return_20", "evaluation_return"),
    *("visit_return", "human_normalised_visit_return"),
)
"""Metrics that are sent along for every layer, which is a game of a sequence."""

FINAL, STEP = "final", "gradient_step"
"""Keys of the score of a run that is complete, and of how far a run has come; no metric's."""

MAX_KEY = 250
"""Longest key that MLflow takes, in characters."""

_FORBIDDEN = re.compile(r"[^\w./ -]")


def is_live(metric: str, layer: str) -> bool:
    """Return whether MLflow and live displays get a row.

    >>> is_live("accuracy", "test"), is_live("parameter_norm", "conv1.weight")
    (True, False)
    >>> is_live("visit_return", "pong")
    True
    """
    return layer in LIVE_LAYERS or metric in BY_GAME


def metric_key(metric: str, layer: str) -> str:
    """Return one name for a metric and the layer it is of; different ones for different pairs.

    >>> metric_key("accuracy", "test"), metric_key("learning_rate", "")
    ('accuracy/test', 'learning_rate')
    >>> metric_key("loss#", "test"), metric_key("final", "")
    ('loss:23:/test', ':66:inal')
    """
    if layer:  # the last stroke divides the two
        return _fitting(f"{_paths(metric)}/{_escaped(layer, stroke=True)}", metric, layer)
    key = _escaped(metric, stroke=True)
    if key in (FINAL, STEP):
        key = f"{_code(key[0])}{key[1:]}"
    return _fitting(key, metric, layer)


def summary_key(task: str, arm: str, name: str) -> str:
    """Return the name of a number of the summary table; different ones for different places in it.

    >>> summary_key("addition", "nap", "mean"), summary_key("addition", "nap,warm", "mean")
    ('addition/nap/mean', 'addition/nap::warm/mean')
    """
    parts = (task, arm, name)
    return _fitting("/".join(_escaped(part, stroke=True) for part in parts), *parts)


def param_key(name: str) -> str:
    """Return the name of a parameter; different ones for different names.

    >>> param_key("interventions.0.kind")
    'interventions.0.kind'
    """
    return _fitting(_paths(name), name)


def _code(character: str) -> str:
    """Return the code of a character; of a comma, which joins the labels of axes, a short one."""
    return "::" if character == "," else f":{ord(character):x}:"


def _escaped(text: str, stroke: bool) -> str:
    """Return a part of a key, which is no path that would be another one.

    Every character stays or becomes its code, and nothing else has a colon, so that the text can be
    distinct from it.

    Args:
        text: what the part is.
        stroke: whether a stroke becomes its code as well.
    """
    if not text:
        return ":"  # a single one is no code
    found = _FORBIDDEN.sub(lambda match: _code(match[0]), text)
    if found == "." or found.startswith(".."):
        found = f"{_code('.')}{found[1:]}"
    return found.replace("/", _code("/")) if stroke else found


def _paths(text: str) -> str:
    """Return text with its slashes, except those that make it another path."""
    parts = text.split("/")
    if all(parts):
        return "/".join(_escaped(part, stroke=False) for part in parts)
    return _escaped(text, stroke=True)


def _fitting(key: str, *parts: str) -> str:
    """Return a key; one that is too long is cut, and a hash of its parts keeps it unique."""
    if len(key) <= MAX_KEY:
        return key
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return f"{key[: MAX_KEY - 34]}:{digest}:"
