"""The value network of MinAtar, for boards of ten by ten places (Young & Tian 2019)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from suite.errors import ConfigError
from suite.models.base import MODELS, ModelSpec
from suite.models.inputs import Floats
from suite.models.q_network import ConvolutionsConfig

KERNEL = 3
"""Places that a kernel spans."""


@MODELS.register("minatar_cnn")
class MinatarCnnConfig(ConvolutionsConfig):
    """One convolution of 16 channels (3x3, stride 1), one hidden layer (Young & Tian 2019).

    In the paper `hidden` is 128 and there is no norm layer. It takes images of floats, of any size
    from 3x3.

    References:
        Young, Tian 2019, MinAtar: An Atari-Inspired Testbed for Thorough and Reproducible
        Reinforcement Learning Experiments, section 3.
    """

    layers = ((16, KERNEL, 1),)
    kind: Literal["minatar_cnn"] = "minatar_cnn"
    hidden: Annotated[int, Field(ge=1)] = 128

    def images(self, spec: ModelSpec) -> tuple[int, ...]:
        """Return the shape of inputs: channels, height, width.

        Raises:
            ConfigError: if they are no images of floats that a kernel fits into.
        """
        shape = self.take(spec, Floats, value_head=True).shape
        if len(shape) != 3 or min(shape[1:]) < KERNEL:
            raise ConfigError("model.kind", self.kind, f"a model for inputs of shape {shape}")
        return shape
