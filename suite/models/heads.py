"""Heads of attention: the width of a network is split evenly among them."""

from __future__ import annotations

from typing import Any

from suite.errors import ConfigError


def heads_divide(model: Any) -> Any:
    """Return the config of a model with `width` and `heads`; a validator for each of these.

    Raises:
        ConfigError: if the width is no multiple of the number of heads.
    """
    if model.width % model.heads:
        raise ConfigError("heads", model.heads, f"a divisor of width = {model.width}")
    return model
