"""Linear maps with learnt noise on their weights (Fortunato et al. 2018), factorised Gaussian.

::

    y = mu x + eps_out * (sigma (eps_in * x)) + mu_b + eps_out * sigma_b

with ``eps = sign(z) sqrt(|z|)``, z standard normal, one draw for the whole batch. DQN Zoo differs
in two ways (networks.py), which are both available: z is drawn from a normal truncated at +-2, with
standard deviation 0.88, and the output layers have no ``mu_b``, only the noise ``eps_out *
sigma_b``. Means and noise of a weight are one tensor of shape (2, out, in), so that any rescaling
applies to both. Before a normalisation layer and without a bias the pair is scale-invariant, and
Normalize-and-Project keeps its joint norm. The papers do not say how noisy layers are projected.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from suite.params import ParamRole


class _NoisyMap(torch.autograd.Function):
    """The map without bias, its two weight gradients written straight into one tensor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps_in: Tensor, eps_out: Tensor) -> Tensor:
        noisy = x * eps_in
        ctx.save_for_backward(x, noisy, weight, eps_in, eps_out)
        return torch.addcmul(x @ weight[0].T, noisy @ weight[1].T, eps_out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, noisy, weight, eps_in, eps_out = ctx.saved_tensors
        scaled = grad * eps_out
        of_weight = of_x = None
        if ctx.needs_input_grad[1]:
            of_weight = torch.empty_like(weight)
            torch.mm(grad.T, x, out=of_weight[0])
            torch.mm(scaled.T, noisy, out=of_weight[1])
        if ctx.needs_input_grad[0]:
            of_x = torch.addcmul(grad @ weight[0], scaled @ weight[1], eps_in)
        return of_x, of_weight, None, None


class NoisyLinear(nn.Module):
    """A noisy linear map; `draw_noise` gives it new noise, until then it has none.

    Args:
        inputs: number of input features.
        outputs: number of output features.
        bias: whether there is a bias, noisy too.
        sigma: initial standard deviation of the noise, in units of ``1 / sqrt(inputs)``; 0.5 in
            Fortunato et al. 2018 and Hessel et al. 2018, 0.1 in DQN Zoo.
        bound: of the normal variables that noise is made of; None for none.
        mean_bias: whether the bias has a mean besides its noise.

    Attributes:
        bias: mean and noise, (2, outputs), or the noise alone, (1, outputs).
    """

    is_linear_map: ClassVar[bool] = True
    param_roles: ClassVar[dict[str, ParamRole]] = {"bias": ParamRole.BIAS}
    eps_in: Tensor
    eps_out: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        sigma: float = 0.5,
        bound: float | None = None,
        mean_bias: bool = True,
    ) -> None:
        super().__init__()
        self.bound = bound
        scale = 1 / math.sqrt(inputs)
        mean = torch.empty(outputs, inputs).uniform_(-scale, scale)
        self.weight = nn.Parameter(torch.stack([mean, torch.full_like(mean, sigma * scale)]))
        self.bias: nn.Parameter | None = None
        if bias:
            parts = [torch.empty(outputs).uniform_(-scale, scale)] if mean_bias else []
            self.bias = nn.Parameter(torch.stack([*parts, torch.full((outputs,), sigma * scale)]))
        self.register_buffer("eps_in", torch.zeros(inputs), persistent=False)
        self.register_buffer("eps_out", torch.zeros(outputs), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs) for features (batch, inputs)."""
        given: tuple[Tensor, ...] = (x, self.weight, self.eps_in, self.eps_out)
        if x.device.type != "meta" and torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            given = tuple(tensor.to(dtype) for tensor in given)
        y: Tensor = _NoisyMap.apply(*given)  # type: ignore[no-untyped-call]
        if self.bias is None:
            return y
        if len(self.bias) == 1:
            return torch.addcmul(y, self.bias[0], self.eps_out)
        return y + torch.addcmul(self.bias[0], self.bias[1], self.eps_out)


def noisy_layers(model: nn.Module) -> Iterator[NoisyLinear]:
    """Yield the noisy layers of `model`."""
    return (module for module in model.modules() if isinstance(module, NoisyLinear))


@torch.no_grad()
def draw_noise(layers: list[NoisyLinear], generator: torch.Generator) -> None:
    """Give all layers new noise, from one draw.

    Args:
        layers: of one network; the bound of their variables is one and the same.
        generator: on the CPU; its draws do not depend on where the network lives.
    """
    sizes = [eps.numel() for layer in layers for eps in (layer.eps_in, layer.eps_out)]
    z = _variables(sum(sizes), layers[0].bound, generator)
    z = (z.sign() * z.abs().sqrt_()).to(layers[0].eps_in.device, non_blocking=True)
    parts = iter(torch.split(z, sizes))
    for layer in layers:
        layer.eps_in.copy_(next(parts))
        layer.eps_out.copy_(next(parts))


def _variables(number: int, bound: float | None, generator: torch.Generator) -> Tensor:
    """Return normal variables, (number,): standard ones, or truncated at +-bound.

    Those come from uniform ones by the inverse of the distribution.
    """
    if bound is None:
        return torch.randn(number, generator=generator)
    share = math.erf(bound / math.sqrt(2))  # of a normal variable's chances, within the bound
    z = torch.empty(number).uniform_(-share, share, generator=generator).erfinv_()
    return z.mul_(math.sqrt(2)).clamp_(-bound, bound)
