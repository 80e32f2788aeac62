"""Small chains on NumPy arrays that share the memory of their tensors: one, or many of one shape.

NumPy starts an operation in a fraction of the time that PyTorch takes, and on a small network that
is most of an update. The layers are those of `suite.models.chain`, the operations and numbers the
same up to rounding. Every intermediate has an array that is made once and written again at each
call, so a chain is for batches of one size. Several chains have an axis of runs before all others.

Products stay below the size from which linear algebra libraries share them among threads, so that
PyTorch's setting of threads holds here too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from suite.models.chain import chain_layers, chain_modules
from suite.models.normalize import RmsNorm

Array = NDArray[Any]

MOST = 2**18
"""Largest rows * inputs * outputs of a linear map."""


def zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Array:
    """Return an array in memory that PyTorch has aligned, so that sums are always added alike."""
    found: Array = torch.zeros(shape, dtype=dtype).numpy()
    return found


def _product(axes: int) -> Any:
    """Return the function for products of matrices, or of stacks of them, that starts soonest."""
    return np.dot if axes == 2 else np.matmul


def _row(values: Array | None) -> Array | None:
    """Return values of features, (features,) or (runs, features), as they apply to all rows."""
    return values if values is None or values.ndim == 1 else values[:, None, :]


class ArrayLayer(ABC):
    """A layer with its memory.

    Attributes:
        outputs: of the latest call of `forward`, (..., rows, features).
    """

    outputs: Array

    @abstractmethod
    def forward(self, inputs: Array) -> Array:
        """Return `outputs` of inputs (..., rows, features)."""

    @abstractmethod
    def backward(self, gradient: Array, inputs: Array) -> None:
        """Write the gradients of the layer's own parameters.

        Args:
            gradient: of the first outputs, (..., size, features).
            inputs: that they came from, (..., size, features).
        """

    @abstractmethod
    def input_gradient(self, gradient: Array) -> Array:
        """Return the gradient of the first inputs, (..., size, features), from the outputs'."""


class Linear(ArrayLayer):
    """``y = x W^T + b``.

    Args:
        weight: (..., out, in).
        bias: (..., out), or None.
        into: of the gradients of both.
        rows: of a forward pass.
        size: the first rows, of which there are gradients.
        dtype: of all.
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None,
        into: tuple[Array | None, Array | None],
        rows: int,
        size: int,
        dtype: torch.dtype,
    ) -> None:
        runs, (features, inputs) = weight.shape[:-2], weight.shape[-2:]
        self._product = _product(weight.ndim)
        self._weight, self._transposed = weight, weight.swapaxes(-1, -2)
        self._bias = _row(bias)
        self._of_weight, self._of_bias = into
        self.outputs = zeros((*runs, rows, features), dtype)
        self._back = zeros((*runs, size, inputs), dtype)
        self._ones = np.ones(size, weight.dtype)

    def forward(self, inputs: Array) -> Array:
        """Return (..., rows, out)."""
        outputs = self.outputs
        self._product(inputs, self._transposed, out=outputs)
        if self._bias is not None:
            np.add(outputs, self._bias, out=outputs)
        return outputs

    def backward(self, gradient: Array, inputs: Array) -> None:
        """Write ``dy^T x`` and the sums of dy."""
        if self._of_weight is not None:
            self._product(gradient.swapaxes(-1, -2), inputs, out=self._of_weight)
        if self._of_bias is not None:
            self._product(self._ones, gradient, out=self._of_bias)

    def input_gradient(self, gradient: Array) -> Array:
        """Return ``dy W``."""
        self._product(gradient, self._weight, out=self._back)
        return self._back


class Norm(ArrayLayer):
    """``y = g (x - mean) s + o``, the mean left out of an RMSNorm.

    Args:
        gain: (..., features), or None.
        offset: (..., features), or None.
        into: of the gradients of both.
        centred: whether the mean is taken off.
        eps: added to the mean square.
        shape: of the outputs of a forward pass, (..., rows, features).
        size: the first rows, of which there are gradients.
        dtype: of all.
    """

    def __init__(
        self,
        gain: Array | None,
        offset: Array | None,
        into: tuple[Array | None, Array | None],
        centred: bool,
        eps: float,
        shape: tuple[int, ...],
        size: int,
        dtype: torch.dtype,
    ) -> None:
        runs, (rows, features) = shape[:-2], shape[-2:]
        self._product = _product(len(shape))
        self._gain, self._offset = _row(gain), _row(offset)
        self._of_gain, self._of_offset = into
        self._centred = centred
        self.outputs, self._plain = (zeros(shape, dtype) for _ in range(2))
        self._back, self._along_back = (zeros((*runs, size, features), dtype) for _ in range(2))
        self._mean, self._scale = (zeros((*runs, rows, 1), dtype) for _ in range(2))
        self._along = zeros((*runs, size, 1), dtype)
        kind = self._plain.dtype.type
        self._share, self._eps = kind(1 / features), kind(eps)
        self._first = self._plain[..., :size, :]
        self._scales = self._scale[..., :size, :]
        self._ones = np.ones(size, kind)

    def _means(self, values: Array, out: Array) -> None:
        np.add.reduce(values, -1, out=out, keepdims=True)
        np.multiply(out, self._share, out=out)

    def forward(self, inputs: Array) -> Array:
        """Return (..., rows, features)."""
        outputs, plain, scale = self.outputs, self._plain, self._scale
        if self._centred:
            self._means(inputs, self._mean)
            inputs = np.subtract(inputs, self._mean, out=plain)
        np.multiply(inputs, inputs, out=outputs)
        self._means(outputs, scale)
        np.add(scale, self._eps, out=scale)
        np.sqrt(scale, out=scale)
        np.reciprocal(scale, out=scale)
        np.multiply(inputs, scale, out=plain)
        if self._gain is None:
            outputs[:] = plain
        else:
            np.multiply(plain, self._gain, out=outputs)
        if self._offset is not None:
            np.add(outputs, self._offset, out=outputs)
        return outputs

    def backward(self, gradient: Array, inputs: Array) -> None:
        """Write the gradients of gain and offset."""
        if self._of_gain is not None:
            np.multiply(gradient, self._first, out=self._along_back)
            self._product(self._ones, self._along_back, out=self._of_gain)
        if self._of_offset is not None:
            self._product(self._ones, gradient, out=self._of_offset)

    def input_gradient(self, gradient: Array) -> Array:
        """Return ``s (dz - mean(dz) - z mean(dz z))`` with ``z = (x - mean) s, dz = g dy``."""
        back, product, along = self._back, self._along_back, self._along
        if self._gain is not None:
            gradient = np.multiply(gradient, self._gain, out=back)
        np.multiply(gradient, self._first, out=product)
        self._means(product, along)
        np.multiply(self._first, along, out=product)
        if self._centred:
            self._means(gradient, along)
            np.add(product, along, out=product)
        np.subtract(gradient, product, out=back)
        np.multiply(back, self._scales, out=back)
        return back


class Relu(ArrayLayer):
    """``max(x, 0)``.

    Args:
        shape: of the outputs of a forward pass, (..., rows, features).
        size: the first rows, of which there are gradients.
        dtype: of all.
    """

    def __init__(self, shape: tuple[int, ...], size: int, dtype: torch.dtype) -> None:
        first = (*shape[:-2], size, shape[-1])
        self.outputs = zeros(shape, dtype)
        self._back = zeros(first, dtype)
        self._active = np.zeros(first, np.bool_)
        self._first, self._zero = self.outputs[..., :size, :], self.outputs.dtype.type(0)

    def forward(self, inputs: Array) -> Array:
        """Return (..., rows, features)."""
        np.maximum(inputs, self._zero, out=self.outputs)
        return self.outputs

    def backward(self, gradient: Array, inputs: Array) -> None:
        """There are no parameters."""

    def input_gradient(self, gradient: Array) -> Array:
        """Return the gradient where the outputs are above zero, and zero elsewhere."""
        np.greater(self._first, self._zero, out=self._active)
        np.multiply(gradient, self._active, out=self._back)
        return self._back


class ArrayChain:
    """A chain, or several of one shape, for batches of one size.

    Args:
        model: the network, or one of those whose parameters are stacked.
        parameters: by name, of the one network or (runs, ...); those that move in memory later are
            not followed.
        gradients: of its parameters, by name; `backward` writes those that are given.
        rows: of a forward pass.
        size: the first rows, of which there are gradients.

    Attributes:
        features: of the outputs.

    Raises:
        ValueError: if `takes` does not say yes.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        rows: int,
        size: int,
    ) -> None:
        if not takes(model, parameters, rows):
            raise ValueError("the network is not a small chain of layers that are known here")
        dtype = next(iter(parameters.values())).dtype

        def arrays(name: str, *leaves: str) -> list[tuple[Array | None, Array | None]]:
            names = [f"{name}.{leaf}" for leaf in leaves]
            return [
                (
                    parameters[n].detach().numpy() if n in parameters else None,
                    gradients[n].numpy() if n in gradients else None,
                )
                for n in names
            ]

        self._layers: list[ArrayLayer] = []
        shape: tuple[int, ...] = ()
        for name, module in chain_modules(model):
            (weight, of_weight), (bias, of_bias) = arrays(name, "weight", "bias")
            layer: ArrayLayer
            if isinstance(module, nn.Linear):
                assert weight is not None
                layer = Linear(weight, bias, (of_weight, of_bias), rows, size, dtype)
                shape = layer.outputs.shape
            elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
                eps = torch.finfo(dtype).eps if module.eps is None else module.eps
                centred, into = isinstance(module, nn.LayerNorm), (of_weight, of_bias)
                layer = Norm(weight, bias, into, centred, eps, shape, size, dtype)
            elif isinstance(module, nn.ReLU):
                layer = Relu(shape, size, dtype)
            else:
                continue  # inputs come flat
            self._layers.append(layer)
        self.features = shape[-1]
        # What a layer's parameters have their gradients from: outputs of the layer before it.
        self._kept = [layer.outputs[..., :size, :] for layer in self._layers[:-1]]

    def forward(self, inputs: Array) -> Array:
        """Return the outputs (..., rows, outputs) of flat inputs (..., rows, features)."""
        value = inputs
        for layer in self._layers:
            value = layer.forward(value)
        return value

    def backward(self, inputs: Array, output_gradients: Array) -> None:
        """Write the gradients of the parameters.

        Args:
            inputs: the first ones of the latest `forward`, (..., size, features).
            output_gradients: of their outputs, (..., size, outputs).
        """
        gradient, layers, kept = output_gradients, self._layers, self._kept
        for index in range(len(layers) - 1, 0, -1):
            layer = layers[index]
            layer.backward(gradient, kept[index - 1])
            gradient = layer.input_gradient(gradient)
        layers[0].backward(gradient, inputs)


def _flat(tensor: Tensor, dtype: torch.dtype) -> bool:
    return tensor.is_cpu and tensor.dtype == dtype and tensor.is_contiguous()


def widest(model: nn.Module) -> int:
    """Return the largest number of elements of a weight of a linear map."""
    sizes = [m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear)]
    return max(sizes, default=0)


def takes(model: nn.Module, parameters: Mapping[str, Tensor], rows: int) -> bool:
    """Return whether an `ArrayChain` can be made, for forward passes of `rows`.

    Args:
        model: the network, or one of several of one shape.
        parameters: by name.
        rows: of each network.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> takes(net, dict(net.named_parameters()), 8)
    True
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 1))
    >>> takes(net, dict(net.named_parameters()), 8)
    False
    """
    if chain_layers(model) is None:
        return False
    modules = [m for _, m in chain_modules(model)]
    inner = modules[1:] if isinstance(modules[0], nn.Flatten) else modules
    known = (nn.Linear, nn.LayerNorm, nn.RMSNorm, RmsNorm, nn.ReLU)
    if not inner or type(inner[0]) is not nn.Linear or any(type(m) not in known for m in inner):
        return False
    dtype = inner[0].weight.dtype
    alike = all(_flat(p, dtype) for p in parameters.values())
    small = rows * widest(model) <= MOST
    return alike and dtype in (torch.float32, torch.float64) and small
