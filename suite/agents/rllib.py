"""Base of the agents that are RLlib's own algorithms.

What decides how many updates a run makes is a key of the agent's. All else that the algorithm can
be told is in `training`, by RLlib's names, and left at RLlib's defaults otherwise.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from suite.agents.base import AgentConfig
from suite.errors import ConfigError, nearest

NOT_HERE = {
    "lr": "optimizer.lr says it",
    "lr_schedule": "schedule says it",
    "optimizer": "optimizer says it",
    "model": "model says it",
    "learner_class": "schedule and interventions say it",
    "learner_config_dict": "it is for learners of your own",
    "learner_connector": "it is code",
    "entropy_coeff_schedule": "entropy_coeff is one number",
}
"""Keys of RLlib that something else decides here, and what."""


class RLlibAgentConfig(AgentConfig):
    """An algorithm of RLlib; a class for each says how many updates it makes.

    Attributes:
        algorithm: module and class of RLlib's config.
        fixed: keys of `training` that the agent's own keys stand for.
        training: what else is told to ``AlgorithmConfig.training``, by its names there.
    """

    engine: ClassVar[Literal["rl", "rllib"]] = "rllib"
    algorithm: ClassVar[tuple[str, str]]
    fixed: ClassVar[Mapping[str, str]] = {}

    training: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    @abstractmethod
    def batch(self) -> int:
        """Agent steps between two calls of the learner."""

    @property
    @abstractmethod
    def minibatch(self) -> int:
        """Agent steps in an update."""

    @property
    @abstractmethod
    def updates(self) -> int:
        """Updates that each batch is learnt from with."""

    def arguments(self) -> dict[str, Any]:
        """Return what ``AlgorithmConfig.training`` is told, except for the rate."""
        return dict(self.training)

    def stock(self) -> Any:
        """Return RLlib's config with its defaults; importing it takes seconds.

        Raises:
            ConfigError: if RLlib is not there.
        """
        import importlib

        module, name = self.algorithm
        try:
            found = getattr(importlib.import_module(module), name)
        except ImportError as error:
            wanted = f"an agent without RLlib, which cannot be imported ({error})"
            raise ConfigError("agent.kind", self.kind, wanted) from None
        from ray.util.debug import log_once

        config = found()
        log_once(f"{config.algo_class.__name__}_on_new_api_stack")  # or it warns of what is meant
        return config

    def check(self) -> None:
        """Check `training` against RLlib's signature, its defaults and its own checks.

        Raises:
            ConfigError: for an unknown or deprecated key, one that something else decides, a value
                of another type than the default, one that RLlib refuses, or a schedule: RLlib
                would count environment steps, and begin again after an interruption.
        """
        stock = self.stock()
        usual = {name: getattr(stock, name, None) for name in _keywords(type(stock))}
        known = sorted(usual.keys() - NOT_HERE.keys() - self.fixed.keys())
        for key, value in self.training.items():
            said = NOT_HERE.get(key) or self.fixed.get(key)
            if said is not None:
                raise ConfigError(f"agent.training.{key}", value, f"no such key: {said}")
            if key not in known:
                raise ConfigError(f"agent.training.{key}", value, nearest(key, known))
            wanted = _expected(value, usual[key])
            if wanted is not None:
                raise ConfigError(f"agent.training.{key}", value, wanted)
        try:
            stock.training(**self.arguments()).validate()
        except (ValueError, TypeError) as error:
            wanted = f"what RLlib accepts ({error})"
            raise ConfigError("agent.training", self.training, wanted) from error


def _expected(value: Any, usual: Any) -> str | None:
    """Return what a value should be, after the default; None if it is of that type."""
    if isinstance(usual, bool):
        return None if isinstance(value, bool) else "true or false"
    if usual is None and value is None:
        return None
    if usual is None or isinstance(usual, int | float):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return None
        return "one number, not a schedule" if isinstance(value, list) else "a number"
    if isinstance(usual, str):
        return None if isinstance(value, str) else f"text, such as {usual}"
    return None


def _keywords(config: type[Any]) -> Iterator[str]:
    """Yield the keywords of ``training`` of a class and its bases, but for deprecated ones.

    Only what is deprecated or about to be has another default than RLlib's mark of nothing said.
    """
    from ray.rllib.utils.from_config import NotProvided

    for base in config.__mro__:
        if "training" in vars(base):
            for name, parameter in inspect.signature(vars(base)["training"]).parameters.items():
                if parameter.default is NotProvided:
                    yield name
