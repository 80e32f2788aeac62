"""Many networks that are chains of simple layers at once, each layer with its derivative.

A chain is an `nn.Sequential` of linear maps, norm layers and nonlinearities: every multi-layer
perceptron of the suite. Its layers act on (runs, n, features), so that an update of ten small
networks is as many operations as an update of one. The derivatives are written out: autograd on the
same products takes about twice as long, and ``torch.func.vmap`` of the module three to four times.

One network alone needs no axis of runs: parameters as they are and inputs (n, features), flat
already, take the operations on matrices, which start sooner than those on stacks of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from suite.models.activations import CRelu, Fourier
from suite.models.batched import BatchedModel, Parameters
from suite.models.normalize import RmsNorm

aten = torch.ops.aten


def _row(parameter: Tensor) -> Tensor:
    """Return values of features, (runs, features) or (features,), as they apply to all n inputs."""
    return parameter if parameter.ndim == 1 else parameter.unsqueeze(1)


class Layer(ABC):
    """A layer of all runs, or of one without the axis of runs."""

    @abstractmethod
    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return outputs (runs, n, ...) of inputs (runs, n, ...), and what `backward` needs."""

    @abstractmethod
    def backward(
        self, parameters: Parameters, gradient: Tensor, context: Any, into: Parameters
    ) -> None:
        """Write the gradients of the layer's own parameters into `into`.

        Args:
            parameters: as in the call of `forward`.
            gradient: of the outputs.
            context: from `forward`.
            into: tensors by the names of the parameters.
        """

    @abstractmethod
    def input_gradient(self, parameters: Parameters, gradient: Tensor, context: Any) -> Tensor:
        """Return the gradient of the inputs; arguments as of `backward`."""


class Flatten(Layer):
    """All axes of an input as one."""

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return (runs, n, features)."""
        return (inputs if inputs.ndim == 2 else inputs.flatten(2)), inputs.shape

    def backward(
        self, parameters: Parameters, gradient: Tensor, context: Any, into: Parameters
    ) -> None:
        """There are no parameters."""

    def input_gradient(self, parameters: Parameters, gradient: Tensor, context: Any) -> Tensor:
        """Return the gradient in the inputs' shape."""
        return gradient.view(context)


class Linear(Layer):
    """``y = x W^T + b``.

    Args:
        name: of the module.
        module: whose structure counts.
    """

    def __init__(self, name: str, module: nn.Linear) -> None:
        self.weight = f"{name}.weight"
        self.bias = None if module.bias is None else f"{name}.bias"

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return (runs, n, out)."""
        weight = parameters[self.weight].mT
        if inputs.ndim == 2:
            if self.bias is None:
                return torch.mm(inputs, weight), inputs
            return torch.addmm(parameters[self.bias], inputs, weight), inputs
        if self.bias is None:
            return torch.bmm(inputs, weight), inputs
        return torch.baddbmm(parameters[self.bias].unsqueeze(1), inputs, weight), inputs

    def backward(
        self, parameters: Parameters, gradient: Tensor, context: Any, into: Parameters
    ) -> None:
        """Write ``dy^T x`` and the sums of dy."""
        product = torch.mm if gradient.ndim == 2 else torch.bmm
        product(gradient.mT, context, out=into[self.weight])
        if self.bias is not None:
            torch.sum(gradient, -2, out=into[self.bias])

    def input_gradient(self, parameters: Parameters, gradient: Tensor, context: Any) -> Tensor:
        """Return ``dy W``."""
        product = torch.mm if gradient.ndim == 2 else torch.bmm
        return product(gradient, parameters[self.weight])


class Norm(Layer):
    """A norm layer over the features, ``y = g * normalised(x) + o``.

    Args:
        name: of the module.
        module: whose structure counts.
    """

    def __init__(self, name: str, module: nn.LayerNorm | nn.RMSNorm) -> None:
        self.gain = None if module.weight is None else f"{name}.weight"
        self.offset = None if getattr(module, "bias", None) is None else f"{name}.bias"
        self.eps = module.eps

    @abstractmethod
    def normalised(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return normalised features, and what `undo` needs."""

    @abstractmethod
    def undo(self, gradient: Tensor, context: Any) -> Tensor:
        """Return the gradient of the inputs, given that of the normalised features."""

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return (runs, n, features)."""
        plain, context = self.normalised(inputs)
        outputs = plain
        if self.gain is not None:
            outputs = outputs * _row(parameters[self.gain])
        if self.offset is not None:
            outputs = outputs + _row(parameters[self.offset])
        return outputs, (plain, context)

    def backward(
        self, parameters: Parameters, gradient: Tensor, context: Any, into: Parameters
    ) -> None:
        """Write the gradients of gains and offsets."""
        if self.gain is not None:
            torch.sum(gradient * context[0], -2, out=into[self.gain])
        if self.offset is not None:
            torch.sum(gradient, -2, out=into[self.offset])

    def input_gradient(self, parameters: Parameters, gradient: Tensor, context: Any) -> Tensor:
        """Return the gradient of the inputs."""
        if self.gain is not None:
            gradient = gradient * _row(parameters[self.gain])
        return self.undo(gradient, context[1])


class LayerNorm(Norm):
    """Mean 0 and variance 1."""

    def normalised(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return ``(x - mean) / sqrt(variance + eps)``."""
        shape = inputs.shape[-1:]
        plain, mean, scale = aten.native_layer_norm(inputs, shape, None, None, self.eps)
        return plain, (inputs, mean, scale)

    def undo(self, gradient: Tensor, context: Any) -> Tensor:
        """Return the gradient of the inputs."""
        inputs, mean, scale = context
        shape, wanted = inputs.shape[-1:], [True, False, False]
        found: Tensor = aten.native_layer_norm_backward(
            gradient.contiguous(), inputs, shape, mean, scale, None, None, wanted
        )[0]
        return found


class RMSNorm(Norm):
    """Mean square 1."""

    def normalised(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return ``x / sqrt(mean x^2 + eps)``."""
        eps = torch.finfo(inputs.dtype).eps if self.eps is None else self.eps
        scale = (inputs.square().mean(-1, keepdim=True) + eps).rsqrt_()
        plain = inputs * scale
        return plain, (plain, scale)

    def undo(self, gradient: Tensor, context: Any) -> Tensor:
        """Return ``s (dy - y mean(dy y))`` with s the scale and y the normalised features."""
        plain, scale = context
        along: Tensor = (gradient * plain).mean(-1, keepdim=True)
        return torch.addcmul(gradient, plain, along, value=-1.0).mul_(scale)


class Pointwise(Layer):
    """A nonlinearity.

    Args:
        function: of the inputs.
        derivative: takes the outputs' gradient, the inputs and the outputs; returns the inputs'.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        derivative: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> None:
        self.function, self.derivative = function, derivative

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return (runs, n, features), twice as many if the nonlinearity doubles them."""
        outputs = self.function(inputs)
        return outputs, (inputs, outputs)

    def backward(
        self, parameters: Parameters, gradient: Tensor, context: Any, into: Parameters
    ) -> None:
        """There are no parameters."""

    def input_gradient(self, parameters: Parameters, gradient: Tensor, context: Any) -> Tensor:
        """Return the gradient of the inputs."""
        return self.derivative(gradient, *context)


def _crelu(x: Tensor) -> Tensor:
    both = torch.cat([x, -x], -1)
    return torch.where(both > 0, both, 0.0)


def _crelu_backward(gradient: Tensor, x: Tensor, y: Tensor) -> Tensor:
    up, down = gradient.chunk(2, -1)
    return torch.where(x > 0, up, 0.0) - torch.where(x < 0, down, 0.0)


def _fourier_backward(gradient: Tensor, x: Tensor, y: Tensor) -> Tensor:
    (of_sin, of_cos), (sin, cos) = gradient.chunk(2, -1), y.chunk(2, -1)
    return of_sin * cos - of_cos * sin


def _layer(name: str, module: nn.Module) -> Layer | None:
    """Return the batched form of a module, or None if there is none."""
    match module:
        case nn.Flatten(start_dim=1, end_dim=-1):
            return Flatten()
        case nn.Linear():
            return Linear(name, module)
        case nn.LayerNorm() if len(module.normalized_shape) == 1:
            return LayerNorm(name, module)
        case nn.RMSNorm() if len(module.normalized_shape) == 1:
            return RMSNorm(name, module)
        case nn.ReLU():
            return Pointwise(torch.relu, lambda g, _, y: aten.threshold_backward(g, y, 0))
        case nn.LeakyReLU(negative_slope=slope):
            return Pointwise(
                lambda x: aten.leaky_relu(x, slope),
                lambda g, x, _: aten.leaky_relu_backward(g, x, slope, False),
            )
        case nn.GELU(approximate=how):
            return Pointwise(
                lambda x: aten.gelu(x, approximate=how),
                lambda g, x, _: aten.gelu_backward(g, x, approximate=how),
            )
        case nn.Tanh():
            return Pointwise(torch.tanh, lambda g, _, y: aten.tanh_backward(g, y))
        case CRelu():
            return Pointwise(_crelu, _crelu_backward)
        case Fourier():
            return Pointwise(lambda x: torch.cat([x.sin(), x.cos()], -1), _fourier_backward)
    return None


KINDS = (
    *(nn.Flatten, nn.Linear, nn.LayerNorm, nn.RMSNorm, RmsNorm),
    *(nn.ReLU, nn.LeakyReLU, nn.GELU, nn.Tanh, CRelu, Fourier),
)
"""Modules that a chain may have; their subclasses may compute something else."""


def chain_modules(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of nested sequences in the order in which they act, with their names."""
    if type(model) is not nn.Sequential:
        yield prefix.removesuffix("."), model
        return
    for name, module in model.named_children():
        yield from chain_modules(module, f"{prefix}{name}.")


def chain_layers(model: nn.Module) -> list[Layer] | None:
    """Return the layers of a chain; None if the network is another.

    >>> len(chain_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))))
    3
    >>> chain_layers(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1))) is None
    True
    """
    if type(model) is not nn.Sequential:
        return None
    modules = list(chain_modules(model))
    if any(type(module) not in KINDS for _, module in modules):
        return None
    layers = [_layer(name, module) for name, module in modules]
    held = sum(1 for _ in model.named_parameters(remove_duplicate=False))
    own = sum(1 for _ in model.parameters())
    return None if None in layers or held != own else [x for x in layers if x is not None]


class Chain(BatchedModel):
    """Networks that are chains.

    Args:
        layers: from `chain_layers`.
        parameters: of the runs.

    Attributes:
        gradients: what `backward` returns, by name; each call overwrites them.
    """

    def __init__(self, layers: Sequence[Layer], parameters: Parameters) -> None:
        self.layers = layers
        self.gradients = {name: torch.zeros_like(p) for name, p in parameters.items()}
        trained = [isinstance(layer, Linear | Norm) for layer in layers]
        self._first = trained.index(True) if any(trained) else len(layers)

    def forward(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Any]:
        """Return the outputs (runs, n, outputs) of inputs (runs, n, ...)."""
        contexts = []
        value = inputs
        for layer in self.layers:
            value, context = layer.forward(parameters, value)
            contexts.append(context)
        return value, contexts

    def backward(
        self, parameters: Parameters, inputs: Tensor, output_gradients: Tensor, context: Any
    ) -> dict[str, Tensor]:
        """Return the gradient of ``sum_k output_gradients_k outputs_k`` of each run, by name."""
        gradient = output_gradients
        for index in range(len(self.layers) - 1, self._first - 1, -1):
            layer = self.layers[index]
            layer.backward(parameters, gradient, context[index], self.gradients)
            if index > self._first:
                gradient = layer.input_gradient(parameters, gradient, context[index])
        return self.gradients
