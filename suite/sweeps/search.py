"""Search over settings: grids and random draws, made before anything runs.

Every arm and seed gets the same points, so that arms stay comparable and every run has its id.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from suite.config import Config
from suite.errors import ConfigError
from suite.seeding import seed_for
from suite.sweeps.labels import is_name


class SearchConfig(Config):
    """How one key is searched; exactly one of the four."""

    grid: Annotated[tuple[Any, ...], Field(strict=False, min_length=1)] | None = None
    choice: Annotated[tuple[Any, ...], Field(strict=False, min_length=1)] | None = None
    uniform: Annotated[tuple[float, float], Field(strict=False)] | None = None
    loguniform: Annotated[tuple[float, float], Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _one(self) -> SearchConfig:
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            raise ConfigError("", given, "one of grid, choice, uniform, loguniform")
        for name in ("uniform", "loguniform"):
            bounds = getattr(self, name)
            if bounds is not None and not 0 < bounds[1] - bounds[0] < math.inf:
                raise ConfigError(name, list(bounds), "a lower and a higher bound")
        for name in ("grid", "choice"):
            values = getattr(self, name) or ()
            if len(set(map(repr, values))) < len(values):
                raise ConfigError(name, list(values), "each value once")
        if self.loguniform is not None and self.loguniform[0] <= 0:
            raise ConfigError("loguniform", list(self.loguniform), "bounds above 0")
        return self

    def draw(self, generator: np.random.Generator) -> Any:
        """Return one value of a random search."""
        if self.choice is not None:
            return self.choice[int(generator.integers(len(self.choice)))]
        if self.uniform is not None:
            return float(generator.uniform(*self.uniform))
        assert self.loguniform is not None
        low, high = (math.log(bound) for bound in self.loguniform)
        return float(np.exp(generator.uniform(low, high)))


def number_of_points(search: Mapping[str, SearchConfig], samples: int) -> int:
    """Return how many points `draws` makes at most."""
    grids = [len(how.grid) for how in search.values() if how.grid is not None]
    return math.prod(grids) * (samples if len(grids) < len(search) else 1)


def draws(
    search: Mapping[str, SearchConfig], samples: int, label: str
) -> list[tuple[str, dict[str, Any]]]:
    """Return the settings to try, each with the name it adds to its arm, which is its alone.

    A setting that is drawn twice is tried once.

    Args:
        search: how each key is searched; without any there is one empty setting.
        samples: number of points drawn of the random searches; each is crossed with the grids.
        label: the experiment, which keys the random draws.
    """
    if not search:
        return [("", {})]
    grids = {key: how.grid for key, how in search.items() if how.grid is not None}
    random = {key: how for key, how in search.items() if how.grid is None}
    generator = np.random.default_rng(seed_for(label, 0, "search"))
    points = [
        {key: how.draw(generator) for key, how in random.items()}
        for _ in range(samples if random else 1)
    ]
    settings = [
        {**dict(zip(grids, point, strict=True)), **drawn}
        for point in itertools.product(*grids.values())
        for drawn in points
    ]
    settings = list({repr(setting): setting for setting in settings}.values())
    for digits in (3, 6, 17, None):  # as few as tell the settings apart
        names = [_name(setting, digits) for setting in settings]
        if len(set(names)) == len(names):
            break
    return list(zip(names, settings, strict=True))


def _name(setting: Mapping[str, Any], digits: int | None) -> str:
    """Return for instance ``lr=0.001;every=10``; without `digits` with the values' types."""
    last = [key.rpartition(".")[2] for key in setting]
    parts = []
    for key, short, value in zip(setting, last, setting.values(), strict=True):
        name = short if last.count(short) == 1 else key
        if digits is None or (isinstance(value, str) and not is_name(value)):
            text = repr(value)
        else:
            text = f"{value:.{digits}g}" if isinstance(value, float) else str(value)
        parts.append(f"{name}={text}")
    return ";".join(parts)
