"""The committee machine of Kumar et al. 2024 (section 1).

::

    f(x) = (1 / N) sum_i a_i phi(w_i . x)        phi(h) = h + (epsilon / 2) h^2

with N hidden units, w_i ~ N(0, sigma^2 I), no biases, and readouts a_i that are 1 and fixed unless
they are trained. The square may be a Hermite polynomial H_k instead (Fig. 15). With the square, f
depends on the weights through two statistics alone::

    wbar = mean_i a_i w_i          M = mean_i a_i w_i w_i^T
    f(x) = wbar . x + (epsilon / 2) x^T M x

and with fixed readouts so does its tangent kernel (section 3)::

    N K(x, y) = x . y [1 + epsilon wbar . (x + y) + epsilon^2 x^T M y]

Where the task has a teacher's direction beta, the start may be moved towards a solution (Fig. 10)::

    w_i = (-1)^i c beta / sqrt(epsilon) + (1 - c) r_i,  r_i ~ N(0, sigma^2 I),  i = 0 .. N - 1

With c = 1 and an even N these weights solve the quadratic task, since M = beta beta^T / epsilon and
wbar = 0. As many runs at once: `suite.models.batched_committee`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.base import MODELS, Activation, ModelConfig, ModelSpec, vector_of
from suite.models.batched import BatchedModel
from suite.models.batched_committee import READOUT, WEIGHT, BatchedCommittee
from suite.models.hermite import hermite
from suite.models.inputs import TaughtFloats
from suite.params import ParamRole


class Quadratic(Activation):
    """``h + (epsilon / 2) h^2``, or with a Hermite polynomial in place of the square.

    Args:
        epsilon: of the nonlinear term.
        degree: k of H_k, None for the square.
    """

    def __init__(self, epsilon: float, degree: int | None = None) -> None:
        super().__init__()
        self.epsilon, self.degree = epsilon, degree

    def forward(self, h: Tensor) -> Tensor:
        """Return the activations, shaped as given."""
        nonlinear = h * h if self.degree is None else hermite(self.degree, h)
        return h + 0.5 * self.epsilon * nonlinear

    def slope(self, h: Tensor) -> Tensor:
        """Return the derivative."""
        if self.degree is None:
            return 1 + self.epsilon * h
        return 1 + 0.5 * self.epsilon * self.degree * hermite(self.degree - 1, h)


class CommitteeMachine(nn.Module):
    """One hidden layer of N units whose outputs are averaged.

    Args:
        inputs: D.
        config: width, activation, readouts and start.
        teacher: beta (D,), if the start is to be moved towards a solution.
    """

    output_layers = ()
    param_roles: ClassVar[dict[str, ParamRole]] = {READOUT: ParamRole.OUTPUT}

    def __init__(self, inputs: int, config: CommitteeConfig, teacher: Tensor | None = None) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, config.width, bias=False)
        self.activation = Quadratic(config.epsilon, config.hermite)
        nn.init.normal_(self.hidden.weight, std=config.init_scale)
        if teacher is not None:
            sign = torch.ones(config.width, 1).to(teacher)
            sign[1::2] = -1.0
            solution = sign * teacher * config.epsilon**-0.5
            self.hidden.weight.data.lerp_(solution, config.towards)
        self.readout = nn.Parameter(torch.randn(config.width)) if config.trained_readout else None

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (batch, 1) for inputs (batch, D)."""
        units: Tensor = self.activation(self.hidden(x))
        return (units if self.readout is None else units * self.readout).mean(-1, keepdim=True)

    def tangent_kernel(self, parameters: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Return the tangent kernel (n, m) for inputs (n, D) and (m, D)."""
        w, readout = parameters[WEIGHT], parameters.get(READOUT)
        epsilon, products = self.activation.epsilon, x @ y.T
        if readout is None and self.activation.degree is None:
            mean, moment = w.mean(0), w.T @ w / len(w)
            linear = (x @ mean).unsqueeze(1) + y @ mean
            return products * (1 + epsilon * linear + epsilon**2 * (x @ moment @ y.T)) / len(w)
        of_x, of_y = x @ w.T, y @ w.T  # (n, N), (m, N)
        factors = 1.0 if readout is None else readout
        slopes = self.activation.slope(of_x) * factors
        kernel = products * (slopes @ (self.activation.slope(of_y) * factors).T)
        if readout is not None:
            units: Tensor = self.activation(of_x)
            kernel = kernel + units @ self.activation(of_y).T
        return kernel / len(w) ** 2

    def quadratic_form(self, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
        """Return v and Q of ``f(x) = v . x + x^T Q x / 2``; None with a Hermite activation."""
        if self.activation.degree is not None:
            return None
        w, readout = parameters[WEIGHT], parameters.get(READOUT)
        read = w if readout is None else w * readout.unsqueeze(1)
        return read.mean(0), self.activation.epsilon * (read.T @ w) / len(w)


@MODELS.register("committee")
class CommitteeConfig(ModelConfig):
    """Number of units, the activation, the start, and whether readouts are trained.

    Attributes:
        width: N.
        epsilon: of the nonlinear term of the activation.
        trained_readout: start the readouts at N(0, 1) and train them (Kumar et al. 2024, Fig. 11).
        init_scale: sigma, the standard deviation of the initial weights (Fig. 7).
        towards: c, how far the start is moved towards a solution (Fig. 10).
        hermite: k of the Hermite polynomial in place of the square (Fig. 15).
    """

    values: ClassVar[frozenset[str]] = frozenset({"epsilon", "init_scale", "towards"})
    kind: Literal["committee"] = "committee"
    width: Annotated[int, Field(ge=1)] = 500
    epsilon: Annotated[float, Field(ge=0)] = 0.02
    trained_readout: bool = False
    init_scale: Annotated[float, Field(gt=0)] = 1.0
    towards: Annotated[float, Field(ge=0, le=1)] = 0.0
    hermite: Annotated[int, Field(ge=2, le=6)] | None = None

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, D), outputs (batch, 1).

        Raises:
            ConfigError: if it is to start towards a teacher that there is not, or with epsilon 0.
        """
        inputs = vector_of(self, spec)
        taught = inputs if isinstance(inputs, TaughtFloats) else None
        if self.towards and not (taught and self.epsilon > 0 and self.hermite is None):
            wanted = "0: only quadratic_regression has a solution to start from, with epsilon > 0"
            raise ConfigError("model.towards", self.towards, wanted)
        teacher = None
        if self.towards and taught and taught.direction is not None:
            teacher = torch.tensor(taught.direction)
        return CommitteeMachine(inputs.shape[0], self, teacher)

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel | None:
        """Return the closed form, if all have the same activation but for epsilon."""
        own = [c for c in configs if isinstance(c, cls)]
        if len(own) < len(configs) or len({c.hermite for c in own}) > 1:
            return None
        return BatchedCommittee(like.new_tensor([c.epsilon for c in own]), own[0].hermite)
