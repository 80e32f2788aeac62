"""The RLModule: the run's network and, for learning, a copy of it that gives the targets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, TargetNetworkAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.base import ModelSpec, build_model
from suite.models.inputs import Floats, Frames
from suite.models.noisy import draw_noise, noisy_layers
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.training.q_learning import expected_values, support

TM1, T, SELECTOR = "tm1", "t", "selector"
"""Outputs for s_tm1 by the online network and for s_t by the target network, and the values of s_t
that choose the action there."""


Network = Callable[[Tensor], Tensor]
"""From observations (batch, ...) to outputs."""


def compiled(network: nn.Module) -> Network:
    """Return the forward pass of `network`, compiled at its first call."""
    forward: Network = torch.compile(network.forward, dynamic=False)
    return forward


def check_compiler(device: torch.device) -> None:
    """Check that ``torch.compile`` works on `device`, with one small function.

    Raises:
        ConfigError: if it does not, with the reason.
    """
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(2, device=device))
    except Exception as error:  # of many kinds: no compiler, no Triton, an old Python
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        expected = f"false: torch.compile does not work here on {device} ({reason})"
        raise ConfigError("agent.compile", True, expected) from error


class QModule(TorchRLModule, TargetNetworkAPI, InferenceOnlyAPI):
    """Action values of the online network `q` and of its copy `target`.

    Built from ``model_config["run"]``, the run's config as plain data; the initial weights follow
    from the run's seeds. A runner's module has no `target`.

    Attributes:
        spec: what the networks take and give.
        noise: generator of the noise of noisy layers.
        learn_q: the online network as the updates call it, compiled if the agent says so. Acting,
            probes and hooks use `q` itself, whose parameters it shares.
        learn_target: the same of the target network.
    """

    observation_space: gymnasium.spaces.Box
    action_space: gymnasium.spaces.Discrete[np.int64]
    model_config: dict[str, Any]
    q: nn.Module
    target: nn.Module
    learn_q: Network
    learn_target: Network

    def setup(self) -> None:
        """Build the networks."""
        run = RLRun.of(RunConfig.from_mapping(self.model_config["run"]))
        agent = run.agent
        kind = Frames if self.observation_space.dtype == np.uint8 else Floats
        inputs = kind(tuple(self.observation_space.shape))
        self.spec = ModelSpec(inputs, int(self.action_space.n), agent.head)
        self.q = build_model(run.model, self.spec, run.seeds.seed("init"))
        self.double, self.autocast = agent.double, agent.precision == "bf16"
        self.noise = run.seeds.torch("noise/act" if self.inference_only else "noise/learn")
        self.noisy = list(noisy_layers(self.q))
        self.noisy_target: list[Any] = []
        self.z: Tensor | None = None
        if (spread := agent.distribution) is not None:
            self.register_buffer("atoms", support(spread.atoms, spread.v_min, spread.v_max), False)
            self.z = self.atoms
        if not self.inference_only:
            self.make_target_networks()
            if agent.compile:
                self.learn_q, self.learn_target = compiled(self.q), compiled(self.target)

    def make_target_networks(self) -> None:
        """Copy the online network."""
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.learn_q, self.learn_target = self.q.forward, self.target.forward
        self.noisy_target = list(noisy_layers(self.target))

    def get_target_network_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the online network and its copy."""
        return [(self.q, self.target)]

    def get_non_inference_attributes(self) -> list[str]:
        """Name what acting does without."""
        return ["target"]

    @torch.no_grad()
    def sync_target(self) -> None:
        """Copy the online weights into the target network."""
        torch._foreach_copy_(list(self.target.parameters()), list(self.q.parameters()))

    def draw_noise(self) -> None:
        """Give the online network new noise, if it has noisy layers."""
        if self.noisy:
            draw_noise(self.noisy, self.noise)

    @torch.no_grad()
    def silence(self) -> None:
        """Take the noise off the online network until it is drawn again."""
        for layer in self.noisy:
            layer.eps_in.zero_()
            layer.eps_out.zero_()

    def values(self, outputs: Tensor) -> Tensor:
        """Return the action values that outputs of a network stand for, (batch, actions)."""
        return outputs if self.z is None else expected_values(outputs, self.atoms)

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the target network's outputs for s_t."""
        if self.noisy_target:
            draw_noise(self.noisy_target, self.noise)
        with torch.no_grad():
            return {T: self.learn_target(batch["s_t"])}

    def forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the outputs a loss needs; the networks have no mode that training would set."""
        return self._forward_train(batch, **kwargs)

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if self.autocast:
            with torch.autocast(batch["s_t"].device.type, torch.bfloat16):
                out = {name: value.float() for name, value in self._outputs(batch).items()}
        else:
            out = self._outputs(batch)
        out[SELECTOR] = self.values(out.get(SELECTOR, out[T])).detach()
        return out

    def _outputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the networks' outputs, with new noise for each pass."""
        out = self.forward_target(batch)
        if self.double:
            self.draw_noise()
            with torch.no_grad():
                out[SELECTOR] = self.learn_q(batch["s_t"])
        self.draw_noise()
        out[TM1] = self.learn_q(batch["s_tm1"])
        return out

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the greedy actions of observations, as RLlib's own tools ask for them."""
        return {Columns.ACTIONS: self.greedy(batch[Columns.OBS])}

    def greedy(self, observations: Tensor) -> Tensor:
        """Return the action of the largest value, (batch,)."""
        return self.values(self.q(observations)).argmax(1)


def check_weights(saved: Mapping[str, Tensor], module: QModule, checkpoint: str) -> None:
    """Check that saved weights are of the network of `module`.

    Args:
        saved: state of a `QModule`, by name.
        module: of the run, also a runner's.
        checkpoint: where they come from, for the error.

    Raises:
        ConfigError: if they are not, with the first difference.
    """
    here = {f"q.{k}": tuple(v.shape) for k, v in module.q.state_dict().items()}
    there = {k: tuple(v.shape) for k, v in saved.items() if k.startswith("q.")}
    for name in sorted(here.keys() | there.keys()):
        found, wanted = (shapes.get(name, "missing") for shapes in (there, here))
        if found != wanted:
            expected = f"one of this run's network: {name} is {found} there and {wanted} here"
            raise ConfigError("checkpoint", checkpoint, expected)
