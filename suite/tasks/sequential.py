"""Environments of any library one after another: continual reinforcement learning.

As `suite.tasks.sequential_atari` for Atari. The environments share one network, so all must show
observations of one shape and take the same number of actions. They may be one and the same
environment that is changed from visit to visit (`suite.environments.wrap`). In permuted Catch the
entries of observations and the actions are permuted anew, as pixels are in permuted MNIST
(Goodfellow et al. 2013).

References:
    Abbas, Zhao, Modayil, White, Machado 2023, Loss of Plasticity in Continual Deep Reinforcement
    Learning; Goodfellow, Mirza, Xiao, Courville, Bengio 2013, An Empirical Investigation of
    Catastrophic Forgetting in Gradient-Based Neural Networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    field_serializer,
    field_validator,
    model_validator,
)

from suite.errors import ConfigError, nearest
from suite.models.base import ModelSpec
from suite.ranges import Range, hull
from suite.tasks.base import TASKS, Request
from suite.tasks.one_environment import OneEnvironmentConfig
from suite.tasks.rl import RLTaskConfig
from suite.tasks.sequence import RETURN, SequenceConfig

SHARED = RLTaskConfig.model_fields.keys() - {"kind", "backend"}
"""Keys that the sequence has for all its environments."""

MOST_ENVIRONMENTS = 1000
"""In a sequence."""

PERMUTED = ("permute_observations", "permute_actions")
"""What `permuted` draws."""


def _environment(value: Any) -> Any:
    """Return the task of one environment for its keys.

    Raises:
        ConfigError: if there is no such kind, or a key is the sequence's.
    """
    if not isinstance(value, Mapping):
        return value
    kinds = [k for k, task in TASKS.entries().items() if issubclass(task, OneEnvironmentConfig)]
    kind = value.get("kind")
    if kind not in kinds:
        raise ConfigError("kind", kind, f"a task of one environment: {nearest(str(kind), kinds)}")
    for key in SHARED & value.keys():
        raise ConfigError(key, value[key], f"no such key here: task.{key} is for all environments")
    return TASKS[str(kind)].from_mapping(value)


Environment = Annotated[SerializeAsAny[OneEnvironmentConfig], BeforeValidator(_environment)]
"""One environment of a sequence, without the keys that all of them share."""


@TASKS.register("sequential")
class SequentialConfig(SequenceConfig):
    """Several environments in sequence: continual learning.

    ``environments: {kind: ..., env: ..., permuted: n}`` stands for n times the same environment,
    its observations and its actions permuted by the seeds 0 to n - 1.

    Attributes:
        environments: in the order of play, each as the task of that kind has it: `kind`, `env`,
            `wrap` and so on.
        visits: how often the sequence is played.
        visit_length: of each visit.
        visit_score: what counts of a visit with evaluations: the `last` of them, or their `mean`,
            the area under the curve of the visit.
        scored_visits: how many visits, the last ones, the score is the mean of; one to each
            environment by default.
    """

    backends: ClassVar[tuple[str, ...]] = ("by_environment",)
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "sequential",
            "environments": {"kind": "classic_control", "env": "Catch-v0", "permuted": 2},
            "visit_length": {"agent_steps": 52},
            "utd": 0.5,
            "learning_starts": 40,
        },
        "model": {"kind": "mlp", "width": 8, "depth": 1, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 100, "target_every": 5},
    }
    kind: Literal["sequential"] = "sequential"
    backend: str = "by_environment"
    frame_skip: Literal[1] = 1
    environments: Annotated[
        tuple[Environment, ...], Field(strict=False, min_length=1, max_length=MOST_ENVIRONMENTS)
    ]
    visits: Annotated[int, Field(ge=1, le=1000)] = 1
    visit_score: Literal["last", "mean"] = "last"
    scored_visits: Annotated[int, Field(ge=1)] | None = None

    @field_validator("environments", mode="before")
    @classmethod
    def _permuted(cls, value: Any) -> Any:
        """Replace the short form by its environments.

        Raises:
            ConfigError: if it is none.
        """
        if not isinstance(value, Mapping):
            return value
        one = dict(value)
        count, wrap = one.pop("permuted", None), one.get("wrap", {})
        if type(count) is not int or not 1 <= count <= MOST_ENVIRONMENTS:
            wanted = f"how many permutations, up to {MOST_ENVIRONMENTS}; or a list of environments"
            raise ConfigError("permuted", count, wanted)
        if not isinstance(wrap, Mapping):
            raise ConfigError("wrap", wrap, "a mapping")
        for key in PERMUTED:
            if key in wrap:
                raise ConfigError(f"wrap.{key}", wrap[key], "no such key beside 'permuted'")
        return [one | {"wrap": {**wrap, **dict.fromkeys(PERMUTED, s)}} for s in range(count)]

    @field_serializer("environments")
    def _without_shared(self, value: tuple[OneEnvironmentConfig, ...]) -> list[dict[str, Any]]:
        return [environment.model_dump(mode="json", exclude=SHARED) for environment in value]

    @model_validator(mode="after")
    def _scores_some(self) -> SequentialConfig:
        if self.scored_visits is not None and self.scored_visits > len(self.environments):
            wanted = f"at most {len(self.environments)}, the number of environments"
            raise ConfigError("scored_visits", self.scored_visits, wanted)
        return self

    @property
    def seed_key(self) -> str:
        """The environments' ids: arms with other changes, visits or ratios share their weights."""
        return "/".join([self.kind, *dict.fromkeys(e.seed_key for e in self.environments)])

    @property
    def label(self) -> str:
        """For instance ``sequence_of_8_environments``."""
        return f"sequence_of_{len(self.environments)}_environments"

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The environments' names, numbered from 0 in the order of play unless all are different.

        Such as ``Catch-v0_3``.
        """
        names = [environment.label for environment in self.environments]
        if len(set(names)) == len(names):
            return tuple(names)
        return tuple(f"{name}_{place}" for place, name in enumerate(names))

    @cached_property
    def environments_played(self) -> tuple[OneEnvironmentConfig, ...]:
        """The tasks of the single environments, with the keys that they share."""
        shared = {key: getattr(self, key) for key in SHARED}
        return tuple(
            type(one)(**{k: getattr(one, k) for k in type(one).model_fields} | shared)
            for one in self.environments
        )

    @cached_property
    def _spec(self) -> ModelSpec:
        specs = []
        for place, one in enumerate(self.environments):
            with _at(place):
                specs.append(one.spec())
        first = specs[0]
        for place, (one, spec) in enumerate(zip(self.environments, specs, strict=True)):
            if (spec.inputs, spec.outputs) != (first.inputs, first.outputs):
                found = f"{one.env}: {_shown(spec)}"
                wanted = f"{_shown(first)}, as of {self.environments[0].env}: they share a network"
                raise ConfigError(f"task.environments[{place}]", found, wanted)
        return first

    def spec(self) -> ModelSpec:
        """Return the shape of observations and the number of actions, which all share.

        Raises:
            ConfigError: if they do not, or an environment cannot be used.
        """
        return self._spec

    def check(self, run: Request) -> None:
        """Check that the parts of a run of this task fit together.

        Raises:
            ConfigError: if they do not.
        """
        shape = self.spec().inputs.shape
        for place, one in enumerate(self.environments):
            with _at(place):
                one.wrap.check(shape)
        super().check(run)

    @property
    def time_limit(self) -> int | None:
        """The shortest time limit of all; None if one is not known."""
        limits = [environment.time_limit for environment in self.environments]
        known = [limit for limit in limits if limit is not None]
        return min(known) if len(known) == len(limits) else None

    @property
    def returns(self) -> Range:
        """What holds of the returns of every environment, and of their mean."""
        return hull(environment.returns for environment in self.environments)

    def visit_evaluated(self, means: Sequence[float]) -> float:
        """Return the last of the evaluations of a visit, or their mean, as configured."""
        return means[-1] if self.visit_score == "last" else sum(means) / len(means)

    def visit_values(self, visit: int, latest: Mapping[str, float]) -> list[tuple[str, str, float]]:
        """Return what the rows say of a finished visit: its own return, and the mean of the last.

        A visit in which no episode was finished is not a number, and so is a mean with it.

        Args:
            visit: the one that has just ended.
            latest: mean return of the latest visit to each; none where no episode was finished.
        """
        scored = self.scored_visits or len(self.environments)
        last = [self.layer(v) for v in range(max(0, visit + 1 - scored), visit + 1)]
        returns = [latest.get(layer, math.nan) for layer in last]
        values = [(RETURN, last[-1], returns[-1])]
        if len(returns) == scored:
            values.append((RETURN, "", sum(returns) / scored))
        return values


def _shown(spec: ModelSpec) -> str:
    return f"observations of shape {spec.inputs.shape} and {spec.outputs} actions"


@contextmanager
def _at(place: int) -> Iterator[None]:
    """Let faults of one environment name its place in the sequence.

    Raises:
        ConfigError: with the whole key.
    """
    try:
        yield
    except ConfigError as error:
        key = f"task.environments[{place}].{error.key.removeprefix('task.')}"
        raise ConfigError(key, error.value, error.expected) from error
