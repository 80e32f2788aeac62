"""Labels that are an eigenvector of a network's own tangent kernel (Kumar et al. 2024, Fig. 5).

Of P training and Q test points x ~ N(0, I / D) together, with K_0 the kernel of a network at
its start and c the mean of all its entries::

    K_0 - c = sum_j lambda_j v_j v_j^T,  lambda_1 >= lambda_2 >= ...          y_i = (v_j)_i

so the kernel learns a small j first and hardly learns a large j. The network is drawn here as in
the run: if the task's `network` is the model of the run (the model inside `scaled` or `linearised`
counts), the labels belong to exactly the initial network that is then trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.losses import SQUARED
from suite.models.base import AnyModel, ModelSpec, build_model
from suite.models.closed_forms import tangent_kernel
from suite.models.committee import CommitteeConfig
from suite.models.inputs import Floats
from suite.seeding import Seeds
from suite.tasks.base import TASKS, SupervisedTask
from suite.tasks.fixed_set import FixedSet, FixedSetConfig


@TASKS.register("kernel_eigenvector")
class KernelEigenvectorConfig(FixedSetConfig):
    """Regression on an eigenvector of the network's initial tangent kernel (Kumar et al. 2024).

    Each update sees the whole training set.

    Attributes:
        index: j, from 1.
        dimension: D.
        points: P, for training.
        test_points: Q.
        network: the network whose kernel is used.
    """

    primary_metric: ClassVar[tuple[str, str]] = ("loss", "test")
    primary_unit: ClassVar[str] = "1"
    default_metrics: ClassVar[tuple[str, ...]] = ("loss", "parameter_norm", "relative_update")
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "kernel_eigenvector",
            "index": 2,
            "dimension": 5,
            "points": 12,
            "test_points": 8,
        },
        "model": {"kind": "mlp", "width": 8, "norm": "layer"},
        "optimizer": {"kind": "adam", "lr": 0.3},
        "budget": 12,
    }
    kind: Literal["kernel_eigenvector"] = "kernel_eigenvector"
    index: Annotated[int, Field(ge=1)] = 1
    dimension: Annotated[int, Field(ge=1)] = 100
    points: Annotated[int, Field(ge=1)] = 100
    test_points: Annotated[int, Field(ge=1)] = 100
    network: AnyModel = CommitteeConfig(width=2, epsilon=0.25)

    @property
    def train_size(self) -> int:
        """The training points, P."""
        return self.points

    def spec(self) -> ModelSpec:
        """D inputs, one output."""
        return ModelSpec(inputs=Floats((self.dimension,)), outputs=1)

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        points = self.points + self.test_points
        if self.index > points:
            wanted = f"an eigenvector of {points} points, from 1 to {points}"
            raise ConfigError("task.index", self.index, wanted)
        return super().clock(budget)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `KernelEigenvector`.

        Raises:
            ConfigError: if the network cannot serve the inputs, or is too large for a kernel.
        """
        return KernelEigenvector(self, seeds, device)


class KernelEigenvector(FixedSet):
    """Both point sets."""

    criterion = SQUARED

    def __init__(self, config: KernelEigenvectorConfig, seeds: Seeds, device: torch.device) -> None:
        points = config.points + config.test_points
        drawn = torch.randn(
            points, config.dimension, generator=seeds.torch("points"), dtype=torch.float64
        )
        x = drawn / math.sqrt(config.dimension)
        network = build_model(config.network, config.spec(), seeds.seed("init")).double()
        parameters = {n: p.detach() for n, p in network.named_parameters() if p.requires_grad}
        kernel = tangent_kernel(network, parameters, x)
        if kernel is None:
            raise ConfigError("task.network", config.network.kind, "a network with fewer weights")
        y = eigenvector(kernel, config.index)
        dtype = torch.get_default_dtype()
        x, y = x.to(device, dtype), y.to(device, dtype)
        split = config.points
        test = (x[split:].contiguous(), y[split:].contiguous())
        super().__init__((x[:split].contiguous(), y[:split].contiguous()), test, test[0])


def eigenvector(kernel: Tensor, index: int) -> Tensor:
    """Return the eigenvector (n,) of the `index`-th largest eigenvalue, counted from 1.

    The mean of all entries is taken off the kernel first, as in the authors' code. The sign, which
    is arbitrary, is such that the largest entry is positive.

    Args:
        kernel: (n, n), symmetric.
        index: from 1 to n.
    """
    vectors = torch.linalg.eigh(kernel - kernel.mean()).eigenvectors
    vector: Tensor = vectors[:, -index]
    return vector * vector[vector.abs().argmax()].sign()
