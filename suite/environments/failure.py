"""The error of an environment that breaks down while it is used."""

from __future__ import annotations


class EnvironmentFailed(RuntimeError):
    """An environment raised, or showed something that is not in its observation space.

    It has one argument, the message, so that it passes from process to process.
    """
