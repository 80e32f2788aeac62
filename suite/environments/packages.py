"""Packages whose environments Gymnasium knows only after they are asked to register them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass

from suite.errors import ConfigError


@dataclass(frozen=True)
class Package:
    """A package with environments.

    Attributes:
        module: that registers them.
        function: of the module, which does it.
        extra: of this suite, which installs it.
    """

    module: str
    function: str
    extra: str


PACKAGES = {"MinAtar": Package("minatar.gym", "register_envs", "minatar")}
"""By namespace: what is before the stroke of an id."""


def register(env: str, known: Iterable[str]) -> None:
    """Let Gymnasium know the environments of an id's namespace, if a package here has them.

    Args:
        env: id, such as ``MinAtar/Breakout-v0``.
        known: ids that are registered: a package is asked once.

    Raises:
        ConfigError: if the package is not installed.
    """
    space, stroke, _ = env.partition("/")
    package = PACKAGES.get(space) if stroke else None
    if package is None or any(name.startswith(f"{space}/") for name in known):
        return
    try:
        module = importlib.import_module(package.module)
    except ModuleNotFoundError as error:
        wanted = f"its package: pip install 'rewarm-suite[{package.extra}]' ({error})"
        raise ConfigError("task.env", env, wanted) from None
    getattr(module, package.function)()
