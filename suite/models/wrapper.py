"""What models share that are made of another model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.base import AnyModel, ModelConfig, ModelSpec
from suite.models.batched import BatchedModel
from suite.models.head_spec import PLAIN
from suite.models.inputs import Frames

INNER, START = "inner.", "start."
"""What names of parameters begin with: those of the network inside, and of a copy of its start."""


class WrapperConfig(ModelConfig):
    """Base of their configs.

    Attributes:
        inner: the network.
    """

    inner: AnyModel

    def build_inner(self, spec: ModelSpec) -> nn.Module:
        """Return the network inside.

        Raises:
            ConfigError: if it cannot serve the spec, or the spec is of a value network.
        """
        if spec.head != PLAIN or isinstance(spec.inputs, Frames):
            raise ConfigError("model.kind", self.kind, "a model of a value network")
        try:
            return self.inner.build(spec)
        except ConfigError as error:
            key = error.key.replace("model.", "model.inner.", 1)
            raise ConfigError(key, error.value, error.expected) from None

    def shape(self) -> dict[str, Any]:
        """Return the keys that the shapes of tensors depend on."""
        own = self.model_dump(mode="json", exclude={*self.values, "inner"})
        return {**own, "inner": self.inner.shape()}

    @classmethod
    def inner_batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel | None:
        """Return the closed form of the inner models; None unless they are of one kind with one."""
        inner = [c.inner for c in configs if isinstance(c, cls)]
        if len(inner) < len(configs) or len({type(c) for c in inner}) > 1:
            return None
        return type(inner[0]).batched(inner, like)
