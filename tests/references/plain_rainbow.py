"""Rainbow and each of its parts in one file of bare PyTorch, update by update.

Written from the papers: double Q-learning (van Hasselt et al. 2016), dueling streams (Wang et al.
2016), distributions (Bellemare et al. 2017, Algorithm 1), noisy nets (Fortunato et al. 2018,
factorised), weighted losses (Schaul et al. 2016), all together (Hessel et al. 2018), and
Normalize-and-Project (Lyle et al. 2024, Algorithm 1). Its own layers, losses, Adam and projection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d

STRIDES = {"torso1": 4, "torso2": 2, "torso3": 1}


def projected(returns: Tensor, probabilities: Tensor, v_min: float, v_max: float) -> Tensor:
    """Bellemare et al. 2017, Algorithm 1: returns and their probabilities, both (batch, atoms)."""
    atoms, rows = probabilities.shape[1], torch.arange(len(probabilities))
    gap = (v_max - v_min) / (atoms - 1)
    m = torch.zeros_like(probabilities)
    for j in range(atoms):
        b = (returns[:, j].clamp(v_min, v_max) - v_min) / gap
        low, up = b.floor().long(), b.ceil().long().clamp(max=atoms - 1)
        whole = low == up  # where the paper's two shares would both be zero
        m[rows, low] += probabilities[:, j] * torch.where(whole, 1.0, up - b)
        m[rows, up] += probabilities[:, j] * torch.where(whole, 0.0, b - low)
    return m


def normalised(x: Tensor, norm: str, gain: Tensor, offset: Tensor | None) -> Tensor:
    """Over all but the batch axis; gain and offset are per channel."""
    axes, ones = tuple(range(1, x.ndim)), [1] * (x.ndim - 2)
    if norm == "rms":
        return x / ((x**2).mean(axes, keepdim=True) + 1e-6).sqrt() * gain
    centred = x - x.mean(axes, keepdim=True)
    deviation = ((centred**2).mean(axes, keepdim=True) + 1e-5).sqrt()
    assert offset is not None
    return centred / deviation * gain.view(-1, *ones) + offset.view(-1, *ones)


def noise_of(z: Tensor) -> Tensor:
    return z.sign() * z.abs().sqrt()


@dataclass(frozen=True)
class Settings:
    """`torso` is the number of dense hidden layers before the head, or "cnn"."""

    torso: int | Literal["cnn"] = 1
    norm: str = "none"
    actions: int = 3
    double: bool = False
    dueling: bool = False
    noisy: bool = False
    atoms: int = 1
    v_min: float = 0.0
    v_max: float = 0.0
    loss: str = "huber"
    grad_clip: float | None = None
    target_every: int = 7
    lr: float = 0.01
    eps: float = 1.5e-4
    multiplier: Callable[[int], float] = lambda step: 1.0
    nap: bool = False
    gains: str = "free"
    alpha: float = 0.999

    @property
    def streams(self) -> tuple[str, ...]:
        return ("advantage", "value") if self.dueling else ("advantage",)

    def names(self) -> list[str]:
        """All parameters in order: torso, then advantages, then value."""
        after = {"none": [], "layer": ["gain", "offset"], "rms": ["gain"]}[self.norm]
        biases = ["weight", "bias"] if self.norm == "none" else ["weight"]
        number = 3 if self.torso == "cnn" else self.torso
        names = [f"torso{i}.{leaf}" for i in range(1, number + 1) for leaf in biases + after]
        for stream in self.streams:
            names += [f"{stream}.hidden.{leaf}" for leaf in biases + after]
            names += [f"{stream}.output.{leaf}" for leaf in biases]
        return names


class PlainRainbow:
    """Starts from `weights`, in the order of `Settings.names`.

    A parameter of a noisy map is a pair, means first.
    """

    def __init__(self, weights: Iterable[Tensor], settings: Settings) -> None:
        self.s = settings
        pairs = zip(settings.names(), weights, strict=True)
        self.parameters = {name: w.detach().clone().requires_grad_() for name, w in pairs}
        self.target = self.copy()
        self.m = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        hidden = [n for n in self.parameters if n.endswith("weight") and "output" not in n]
        self.norms = {n: self.norm(*self.parts(n)) for n in hidden} if settings.nap else {}
        self.updates = 0

    def copy(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.parameters.items()}

    def parts(self, name: str) -> tuple[Tensor, ...]:
        """A weight, or means and noise of a noisy one."""
        p = self.parameters[name]
        return (p[0], p[1]) if self.s.noisy and not name.startswith("torso") else (p,)

    @staticmethod
    def norm(*tensors: Tensor) -> Tensor:
        return torch.sqrt(torch.as_tensor(sum((t.detach() ** 2).sum() for t in tensors)))

    def linear(
        self, p: dict[str, Tensor], name: str, x: Tensor, noise: dict[str, Any] | None
    ) -> Tensor:
        weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
        if self.s.noisy:
            assert noise is not None
            into, out = (noise_of(z) for z in noise[name])
            weight = weight[0] + weight[1] * torch.outer(out, into)
            if bias is not None:  # means and noise, or the noise alone
                bias = bias[-1] * out + (bias[0] if len(bias) == 2 else 0)
        return x @ weight.T if bias is None else x @ weight.T + bias

    def activated(self, p: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
        if self.s.norm != "none":
            x = normalised(x, self.s.norm, p[f"{name}.gain"], p.get(f"{name}.offset"))
        return x.clamp(min=0)

    def outputs(self, p: dict[str, Tensor], x: Tensor, noise: dict[str, Any] | None) -> Tensor:
        """Logits (batch, actions, atoms); with one atom they are values."""
        if self.s.torso == "cnn":
            x = x.to(p["torso1.weight"].dtype) / 255
            for name, stride in STRIDES.items():
                x = conv2d(x, p[f"{name}.weight"], p.get(f"{name}.bias"), stride)
                x = self.activated(p, name, x)
            x = x.reshape(len(x), -1)
        else:
            for i in range(1, self.s.torso + 1):
                weight, bias = p[f"torso{i}.weight"], p.get(f"torso{i}.bias", 0.0)
                x = self.activated(p, f"torso{i}", x @ weight.T + bias)
        out = []
        for stream in self.s.streams:
            hidden = self.linear(p, f"{stream}.hidden", x, noise)
            hidden = self.activated(p, f"{stream}.hidden", hidden)
            y = self.linear(p, f"{stream}.output", hidden, noise)
            out.append(y.reshape(len(x), -1, self.s.atoms))
        q = out[0]
        if self.s.dueling:
            q = out[1] + q - q.sum(1, keepdim=True) / self.s.actions
        return q

    def values(self, logits: Tensor) -> Tensor:
        if self.s.atoms == 1:
            return logits[:, :, 0]
        gap = (self.s.v_max - self.s.v_min) / (self.s.atoms - 1)
        probabilities = logits.softmax(2)
        atoms = range(self.s.atoms)
        return torch.as_tensor(
            sum((self.s.v_min + i * gap) * probabilities[:, :, i] for i in atoms)
        )

    def losses(self, batch: dict[str, Tensor], noise: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The losses and the errors that prioritised replay keeps, both (batch,)."""
        s, rows = self.s, torch.arange(len(batch["a_tm1"]))
        r_t, discount_t = batch["r_t"], batch["discount_t"]
        with torch.no_grad():
            out_t = self.outputs(self.target, batch["s_t"], noise["target"])
            chooser = out_t
            if s.double:
                chooser = self.outputs(self.parameters, batch["s_t"], noise["selector"])
            best = self.values(chooser).argmax(1)
        out_tm1 = self.outputs(self.parameters, batch["s_tm1"], noise["online"])
        if s.atoms > 1:
            gap = (s.v_max - s.v_min) / (s.atoms - 1)
            z = [r_t + discount_t * (s.v_min + i * gap) for i in range(s.atoms)]
            chances = out_t[rows, best].softmax(1)
            target = projected(torch.stack(z, 1), chances, s.v_min, s.v_max)
            logits = out_tm1[rows, batch["a_tm1"]]
            logs = logits - logits.exp().sum(1, keepdim=True).log()
            losses = -(target * logs).sum(1)
            return losses, losses.detach()
        error = r_t + discount_t * out_t[rows, best, 0] - out_tm1[rows, batch["a_tm1"], 0]
        if s.loss == "mse":
            return error**2 / 2, error.detach()
        return torch.where(error.abs() <= 1, error**2 / 2, error.abs() - 0.5), error.detach()

    def update(self, batch: dict[str, Tensor], noise: dict[str, Any]) -> float:
        """Make one update and return its loss; keep its errors and clipped gradients.

        Noise is one ``{map: (z_in, z_out)}`` for each of target, selector and online.
        """
        losses, self.errors = self.losses(batch, noise)
        loss = (batch.get("weights", torch.ones_like(losses)) * losses).sum() / len(losses)
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        if self.s.grad_clip is not None:
            factor = min(1.0, self.s.grad_clip / (self.norm(*gradients).item() + 1e-6))
            gradients = tuple(g * factor for g in gradients)
        self.gradients = dict(zip(self.parameters, gradients, strict=True))
        rate = self.s.lr * self.s.multiplier(self.updates)
        self.updates += 1
        with torch.no_grad():
            for name, p in self.parameters.items():
                self.adam(name, p, rate)
            self.project()
        if self.updates % self.s.target_every == 0:
            self.target = self.copy()
        return loss.item()

    def adam(self, name: str, p: Tensor, rate: float) -> None:
        self.m[name] = 0.9 * self.m[name] + 0.1 * self.gradients[name]
        self.v[name] = 0.999 * self.v[name] + 0.001 * self.gradients[name] ** 2
        mean = self.m[name] / (1 - 0.9**self.updates)
        p -= rate * mean / ((self.v[name] / (1 - 0.999**self.updates)).sqrt() + self.s.eps)

    def project(self) -> None:
        """Back to the initial norms; of a noisy map to that of means and noise together."""
        for name, norm in self.norms.items():
            self.parameters[name] *= norm / self.norm(*self.parts(name))
        for name in [n for n in self.parameters if n.endswith("gain")] if self.s.nap else []:
            gain, offset = self.parameters[name], self.parameters.get(name[:-4] + "offset")
            pair = [gain] if offset is None else [gain, offset]
            if self.s.gains == "joint":  # the gains began as ones, the offsets as zeros
                factor = len(gain) ** 0.5 / self.norm(*pair)
                for part in pair:
                    part *= factor
            elif self.s.gains == "decay_to_init":
                gain.mul_(self.s.alpha).add_(1 - self.s.alpha)
                for part in pair[1:]:
                    part *= self.s.alpha
