"""Any network replaced by its first-order expansion at its start: the lazy limit of its training.

::

    f(x, w) = g(x, w_0) + dg/dw (x, w_0) . (w - w_0)

This is the twin of a network, with a tangent kernel that never changes (Kumar et al. 2024, Figs. 1
and 13). Its parameters have the names, shapes, roles and initial values of the network's own.
Trained to the end on squared error it is regression with the initial kernel. For an output scale
put ``scaled`` outside: ``{kind: scaled, centred: true, inner: {kind: linearised, inner: ...}}``.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from suite.errors import ConfigError
from suite.models.base import ACTIVATIONS, MODELS, Aside, ModelConfig, ModelSpec, Tap
from suite.models.batched import BatchedModel, Parameters
from suite.models.closed_forms import quadratic_form, tangent_kernel, under
from suite.models.wrapper import INNER, START, WrapperConfig
from suite.params import classify, output_layers


class Linearised(nn.Module):
    """A network's expansion at its start.

    The trainable copy only holds the parameters; it is never run, and its nonlinearities are taken
    out, so that no features are measured there: an expansion has none.

    Args:
        inner: the network.
    """

    scale_invariant_weights: tuple[str, ...] = ()

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        for parameter in inner.parameters():  # forward mode takes no other order of a norm's inputs
            parameter.data = parameter.data.contiguous()
        self._trained = tuple(classify(inner))
        self.output_layers = tuple(INNER + name for name in output_layers(inner))
        _load_forward_mode()
        self.start = Aside(inner)
        self.inner = without_nonlinearities(inner)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs shaped as the inner network's."""
        network, inputs = self.start.model, inputs.contiguous()
        first = self._first()
        now = dict(self.inner.named_parameters())  # tensors, in a functional call
        moved = {name: now[name] - p for name, p in first.items()}

        def outputs(parameters: dict[str, Tensor]) -> Tensor:
            value: Tensor = functional_call(network, parameters, (inputs,))
            return value

        with sdpa_kernel(SDPBackend.MATH):  # the one attention that has a forward mode
            value, change = to_first_order(outputs, first, moved)
        result: Tensor = value + change
        return result

    def _first(self) -> dict[str, Tensor]:
        first = dict(self.start.model.named_parameters())  # tensors, in a functional call
        return {name: first[name].detach() for name in self._trained}

    def tangent_kernel(self, parameters: Parameters, x: Tensor, y: Tensor) -> Tensor | None:
        """Return the tangent kernel (n, m): that of the start, wherever the parameters are."""
        first = {name: p.to(x.dtype) for name, p in self._first().items()}
        return tangent_kernel(self.start.model, first, x, y)

    def quadratic_form(self, parameters: Parameters) -> tuple[Tensor, Tensor] | None:
        """Return v and Q of ``f(x) = v . x + x^T Q x / 2``: the inner network's to first order."""
        first = self._first()
        if quadratic_form(self.start.model, first) is None:
            return None

        def form(at: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            found = quadratic_form(self.start.model, at)
            assert found is not None
            return found

        moved = {name: p - first[name] for name, p in under(INNER, parameters).items()}
        (linear, square), (of_linear, of_square) = to_first_order(form, first, moved)
        return linear + of_linear, square + of_square


def to_first_order(
    function: Callable[[dict[str, Tensor]], Any], at: dict[str, Tensor], along: dict[str, Tensor]
) -> tuple[Any, Any]:
    """Return a function's value and its derivative along a direction, structured alike."""
    value, change, *_ = jvp(function, (at,), (along,))
    return value, change


@cache
def _load_forward_mode() -> None:
    """Let torch load its forward mode, which warns about a deprecation in torch itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        one = torch.ones((), device="cpu")
        jvp(torch.sin, (one,), (one,))


def without_nonlinearities(model: nn.Module) -> nn.Module:
    """Return a copy of a network in which nonlinearities and taps are identities."""
    copied = copy.deepcopy(model)
    for name, module in list(copied.named_modules()):
        if isinstance(module, (*ACTIVATIONS, Tap)) and name:
            parent, _, leaf = name.rpartition(".")
            setattr(copied.get_submodule(parent), leaf, nn.Identity())
    return copied


class BatchedLinearised(BatchedModel):
    """Expansions of networks with a closed form.

    Args:
        inner: of the networks; it has a `tangent`.
    """

    def __init__(self, inner: BatchedModel) -> None:
        self.inner = inner
        self._seen: Tensor | None = None
        self._start: tuple[Tensor, Any] = (torch.empty(0), None)

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs; those of the start are worked out once for the same inputs."""
        first = under(f"{START}model.", parameters)
        if self._seen is not inputs:
            self._seen, self._start = inputs, self.inner.forward(first, inputs)
        outputs, context = self._start
        moved = {name: p - first[name] for name, p in under(INNER, parameters).items()}
        return outputs + self.inner.tangent(first, moved, inputs, context), context

    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradients of the inner networks at their start."""
        first = under(f"{START}model.", parameters)
        inner = self.inner.backward(first, inputs, output_gradients, context)
        return {INNER + name: gradient for name, gradient in inner.items()}


@MODELS.register("linearised")
class LinearisedConfig(WrapperConfig):
    """Any model replaced by its first-order expansion at the start, the limit of lazy training."""

    kind: Literal["linearised"] = "linearised"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the expansion, with the inputs and outputs of the inner network.

        Raises:
            ConfigError: if the inner network cannot serve the spec, or has running statistics.
        """
        inner = self.build_inner(spec)
        if any(getattr(module, "track_running_stats", False) for module in inner.modules()):
            given = getattr(self.inner, "norm", self.inner.kind)
            wanted = (
                "norm layers without running statistics, such as 'layer'; an expansion has none"
            )
            raise ConfigError("model.inner.norm", given, wanted)
        return Linearised(inner)

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel | None:
        """Return the closed form if the inner models, of one kind, have one of first order."""
        closed = cls.inner_batched(configs, like)
        return None if closed is None or not closed.has_tangent else BatchedLinearised(closed)
