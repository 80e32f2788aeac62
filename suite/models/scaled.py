"""Any network with its outputs scaled, and centred at its start (Kumar et al. 2024, section 1).

::

    f(x) = alpha [g(x, w) - g(x, w_0)]        centred
    f(x) = alpha g(x, w)                      else

A larger scale makes training lazier: smaller changes of the weights move the outputs as far. With
the rate proportional to 1 / alpha^2 the outputs move at the same speed for all scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, Aside, ModelConfig, ModelSpec
from suite.models.batched import BatchedModel, Parameters
from suite.models.closed_forms import quadratic_form, tangent_kernel, under
from suite.models.wrapper import INNER, START, WrapperConfig
from suite.params import output_layers


class Scaled(nn.Module):
    """A network's outputs times `alpha`, less those of its start if `centred`."""

    def __init__(self, inner: nn.Module, alpha: float, centred: bool) -> None:
        super().__init__()
        self.inner, self.alpha = inner, alpha
        self.start = Aside(inner) if centred else None
        self.output_layers = tuple(INNER + name for name in output_layers(inner))
        declared = getattr(inner, "scale_invariant_weights", None)
        if declared is not None:
            self.scale_invariant_weights = tuple(INNER + name for name in declared)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs shaped as the inner network's."""
        outputs: Tensor = self.inner(inputs)
        if self.start is not None:
            outputs = outputs - self.start(inputs)
        return self.alpha * outputs

    def tangent_kernel(self, parameters: Parameters, x: Tensor, y: Tensor) -> Tensor | None:
        """Return the tangent kernel (n, m), alpha^2 times the inner one."""
        kernel = tangent_kernel(self.inner, under(INNER, parameters), x, y)
        return None if kernel is None else self.alpha**2 * kernel

    def quadratic_form(self, parameters: Parameters) -> tuple[Tensor, Tensor] | None:
        """Return v and Q of ``f(x) = v . x + x^T Q x / 2``, those of the start taken away."""
        form = quadratic_form(self.inner, under(INNER, parameters))
        if form is None:
            return None
        linear, square = form
        if self.start is not None:
            first = quadratic_form(self.start.model, dict(self.start.model.named_parameters()))
            assert first is not None
            linear, square = linear - first[0], square - first[1]
        return self.alpha * linear, self.alpha * square


class BatchedScaled(BatchedModel):
    """Scaled networks with a closed form.

    Args:
        inner: of the networks.
        alpha: by run.
        centred: whether the outputs of the start are taken away.
    """

    def __init__(self, inner: BatchedModel, alpha: Tensor, centred: bool) -> None:
        self.inner, self.alpha, self.centred = inner, alpha, centred
        self._seen: Tensor | None = None
        self._start = alpha.new_empty(0)

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs; those of the start are worked out once for the same inputs."""
        outputs, context = self.inner.forward(under(INNER, parameters), inputs)
        if self.centred:
            if self._seen is not inputs:
                start = under(f"{START}model.", parameters)
                self._seen, self._start = inputs, self.inner.forward(start, inputs)[0]
            outputs = outputs - self._start
        return self._scaled(outputs), context

    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the inner networks' gradients."""
        own = under(INNER, parameters)
        inner = self.inner.backward(own, inputs, self._scaled(output_gradients), context)
        return {INNER + name: gradient for name, gradient in inner.items()}

    def _scaled(self, values: Tensor) -> Tensor:
        """Return alpha times what is (runs, n, ...)."""
        return self.alpha.view(-1, *[1] * (values.ndim - 1)) * values


@MODELS.register("scaled")
class ScaledConfig(WrapperConfig):
    """Any model with its outputs multiplied by `alpha`, minus the initial outputs if `centred`.

    Attributes:
        alpha: factor on its outputs.
        centred: subtract the initial outputs first.
    """

    values: ClassVar[frozenset[str]] = frozenset({"alpha"})
    kind: Literal["scaled"] = "scaled"
    alpha: Annotated[float, Field(gt=0)] = 1.0
    centred: bool = False

    @property
    def norm(self) -> str:
        """The inner model's normalisation layers."""
        return getattr(self.inner, "norm", "none")

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network, with the inputs and outputs of the inner one."""
        return Scaled(self.build_inner(spec), self.alpha, self.centred)

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel | None:
        """Return the closed form if the inner models, of one kind, have one."""
        own = [c for c in configs if isinstance(c, cls)]
        closed = cls.inner_batched(configs, like)
        if closed is None or len({c.centred for c in own}) > 1:
            return None
        return BatchedScaled(closed, like.new_tensor([c.alpha for c in own]), own[0].centred)
