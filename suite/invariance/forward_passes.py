"""Forward passes with other values in place of a network's own, which do not change the network.

They answer questions such as "do the outputs depend on the scale of this weight?". The network runs
as it trains: in training mode, with frozen submodules in evaluation mode. Values are passed in from
outside (`torch.func.functional_call`), so parameters and buffers, including running statistics, do
not change; modes, plain attributes and random generators are restored. Dropout and similar layers
draw the same numbers in every pass with one seed.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map_only

from suite.norms import wide_type

Values = dict[str, Tensor]
"""Parameters and buffers by name."""

EPSILONS = {"eps", "epsilon", "variance_epsilon"}
"""What modules call the number that keeps them from dividing by zero."""


NOISE = 1e-6
"""Of an output, what rounding alone may do."""


def unwrap(model: nn.Module) -> tuple[nn.Module, str]:
    """Return the network inside ``torch.compile`` and data-parallel wrappers, and its prefix.

    >>> unwrap(nn.DataParallel(nn.Linear(2, 3)))
    (Linear(in_features=2, out_features=3, bias=True), 'module.')
    """
    prefix = ""
    while True:
        if "_orig_mod" in model._modules:
            leaf = "_orig_mod"
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            leaf = "module"
        else:
            return model, prefix
        model, prefix = model.get_submodule(leaf), f"{prefix}{leaf}."


def widened(tensor: Tensor) -> Tensor:
    """Return a copy, in a type wide enough to sum and to scale in."""
    return tensor.to(wide_type(tensor.dtype), copy=True)


def tensors_in(value: object) -> list[Tensor]:
    """Return the tensors in whatever a network returns: nested sequences, mappings, dataclasses."""
    if isinstance(value, Tensor):
        return [value]
    parts: list[Any] = []
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        parts = list(value)
    elif dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif hasattr(value, "__dict__"):
        parts = list(vars(value).values())
    return [tensor for part in parts for tensor in tensors_in(part)]


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Return |a - b| by entry, 0 where both are the same, infinite or not a number."""
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, 0.0, (a - b).abs().double())


def _largest(entries: Tensor) -> Tensor:
    """Return the largest entry of each output unit, ready to broadcast.

    Units lie along the second dimension or along the last, as with images or sequences; where the
    two differ, the smaller one counts.
    """
    if entries.ndim < 2:
        return entries.max()
    by_axis = []
    for axis in {1, entries.ndim - 1}:
        others = [d for d in range(entries.ndim) if d != axis]
        by_axis.append(entries.amax(others, keepdim=True))
    return torch.minimum(by_axis[0], by_axis[-1])


def reach(before: list[Tensor], other: list[Tensor]) -> list[Tensor]:
    """Return by how much the units of each output move between two sets of values.

    What other values do not move, such as a constant that is added or the input itself, is no part
    of it. Where they hardly move anything, a millionth of a unit's own size is taken.

    Args:
        before: outputs.
        other: outputs with all parameters changed.
    """
    sizes = []
    for b, o in zip(before, other, strict=True):
        if not (b.is_floating_point() or b.is_complex()) or not b.numel() or b.shape != o.shape:
            sizes.append(torch.ones((), dtype=torch.float64))
            continue
        moved = _distance(o, b)
        least = NOISE * _largest(torch.where(b.isfinite(), b.abs().double(), 0.0))
        moved = _largest(torch.where(moved.isfinite(), moved, 0.0))
        sizes.append(torch.maximum(moved, least).clamp_min_(1e-300))
    return sizes


def change(before: list[Tensor], after: list[Tensor], sizes: list[Tensor]) -> float:
    """Return the largest change of an output, in units of what the parameters can do: `reach`."""
    if [b.shape for b in before] != [a.shape for a in after]:
        return float("inf")
    worst = 0.0
    for b, a, size in zip(before, after, sizes, strict=True):
        if not (b.is_floating_point() or b.is_complex()) or not b.numel():
            continue
        moved = (_distance(a, b) / size.to(b.device)).max().item()
        worst = max(worst, float("inf") if moved != moved else moved)
    return worst


def _arguments(model: nn.Module, probe: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return how a probe is passed: mappings by keyword, sequences by place, if that fits."""
    signature = inspect.signature(model.forward)
    named = dict(probe) if isinstance(probe, Mapping) else None
    listed = tuple(probe) if isinstance(probe, tuple | list) else (probe,)
    args, kwargs = ((), named) if named is not None else (listed, {})
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return (probe,), {}
    return args, kwargs


def _train(model: nn.Module) -> None:
    """Put a network into the mode it trains in.

    If it is in training mode already, what is in evaluation mode in there is frozen and stays so;
    else all modules are put into training mode but those that hold nothing trainable. A method
    ``train`` of the network's own has its say.
    """
    modules = list(model.modules())
    frozen = [m for m in modules if model.training and not m.training]
    if not model.training:
        held = ((m, list(m.parameters())) for m in modules)
        frozen = [m for m, own in held if own and not any(p.requires_grad for p in own)]
    if any(type(m).train is not nn.Module.train for m in modules):
        model.train()
    elif not model.training:
        for module in modules:
            module.training = True
    for module in frozen:
        module.training = False


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[list[torch.Generator]]:
    """Put everything a pass may change back on leaving; give the generators it draws from."""
    modules = list(model.modules())
    kept = [dict(vars(module)) for module in modules]
    # Buffers, submodules and what a module collects: the container stays, its contents come back.
    contents = [
        (held, held.copy())
        for attributes in kept
        for held in attributes.values()
        if isinstance(held, dict | list | set | deque)
    ]
    tensors = [*model.parameters(), *model.buffers()]
    devices = sorted({t.device.index or 0 for t in tensors if t.is_cuda})
    generators = [torch.default_generator, *(torch.cuda.default_generators[d] for d in devices)]
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002, a network's own
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=devices))
        stack.enter_context(torch.no_grad())
        if any("_orig_mod" in m._modules or m._compiled_call_impl is not None for m in modules):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            yield generators
        finally:
            for module, attributes in zip(modules, kept, strict=True):
                for name in vars(module).keys() - attributes.keys():
                    del vars(module)[name]
                vars(module).update(attributes)
            for held, before in contents:
                held.clear()
                held.extend(before) if isinstance(held, list | deque) else held.update(before)
            random.setstate(python)
            np.random.set_state(numbers)  # noqa: NPY002


class Passes:
    """A network's passes on one probe.

    Args:
        model: the network, without wrappers; if it has no values (meta device), values given to a
            call live on the CPU, and so do its inputs.
        probe: inputs: a tensor; a tuple or list of arguments; a mapping of keyword arguments.
    """

    def __init__(self, model: nn.Module, probe: Any) -> None:
        self.model = model
        self.meta = any(p.is_meta for p in model.parameters())
        self._args, self._kwargs = tree_map_only(Tensor, _input, _arguments(model, probe))
        self._buffers = {name: _given(b) for name, b in model.named_buffers()}

    @property
    def size(self) -> float:
        """Root mean square of the inputs that are real numbers; 1 if it is 0 or there are none."""
        given = [t.double() for t in tensors_in((self._args, self._kwargs)) if t.numel()]
        squares = [t.square().mean().item() for t in given if t.is_floating_point()]
        size = max(squares, default=1.0) ** 0.5
        return size if 0 < size < float("inf") else 1.0

    def __call__(self, values: Values, epsilon: float = 1.0, seed: int = 0) -> list[Tensor]:
        """Return the tensors among the outputs with `values` in place of the parameters.

        Args:
            values: parameters by name.
            epsilon: factor on the epsilons that modules keep as attributes.
            seed: of what the network draws.

        Raises:
            Exception: whatever the network raises on these inputs.
        """
        with _undisturbed(self.model) as generators:
            _train(self.model)
            if epsilon != 1.0:
                _shrink_epsilons(self.model, epsilon)
            if type(self.model).forward is nn.Module.forward:
                vars(self.model)["forward"] = lambda x: _chain(self.model, x)
            for generator in generators:
                generator.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            buffers = {name: buffer.clone() for name, buffer in self._buffers.items()}
            args, kwargs = tree_map_only(Tensor, Tensor.clone, (self._args, self._kwargs))
            out = functional_call(self.model, {**values, **buffers}, args, kwargs)
        return [tensor.detach() for tensor in tensors_in(out)]


def _shrink_epsilons(model: nn.Module, factor: float) -> None:
    for module in model.modules():
        for name in EPSILONS & vars(module).keys():
            value = getattr(module, name)
            if value is None and isinstance(module, nn.RMSNorm):
                value = torch.finfo(torch.float32).eps
            if isinstance(value, float):
                vars(module)[name] = value * factor


def _given(buffer: Tensor) -> Tensor:
    """Return a buffer to hand in; one without values is filled."""
    if not buffer.is_meta:
        return widened(buffer)
    fill = torch.ones if buffer.is_floating_point() else torch.zeros
    return fill(buffer.shape, dtype=buffer.dtype)


def _input(given: Tensor) -> Tensor:
    """Return an input to hand in; one without values is drawn."""
    if not given.is_meta:
        return widened(given)
    if given.is_floating_point():
        return torch.randn(given.shape, generator=torch.Generator().manual_seed(0)).to(given.dtype)
    return torch.zeros(given.shape, dtype=given.dtype)


def _chain(model: nn.Module, x: Any) -> Any:
    for child in model.children():
        x = child(x)
    return x
