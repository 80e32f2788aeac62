"""Updates of many small kernels, recorded once on a GPU and replayed with one launch each.

See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UP = 3
"""Calls before the recording, in which libraries set themselves up and caches are filled."""


class Replayed:
    """A function that is called again and again; on a GPU its kernels are recorded and replayed.

    Args:
        function: takes nothing, returns nothing and changes nothing but tensors, in place; it may
            neither wait for the device nor read other tensors than at its first calls.
        device: where the tensors are; elsewhere than on a GPU the function itself is called.
    """

    def __init__(self, function: Callable[[], None], device: torch.device) -> None:
        self.function = function
        self._before = WARM_UP if device.type == "cuda" else None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do what the function does."""
        if self._before == 0:
            self._graph, self._before = record(self.function), None
        if self._graph is not None:
            self._graph.replay()
            return
        if self._before is not None:
            self._before -= 1
        self.function()


def record(function: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Return the recording of a call, which is not carried out."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph
