"""The RLModule: the run's network and, for learning, a copy of it that gives the targets."""

from __future__ import annotations

import copy
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, TargetNetworkAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from suite.models.base import ModelSpec, build_model
from suite.run_config import RunConfig

Q_TM1, Q_T, Q_T_SELECTOR = "q_tm1", "q_t", "q_t_selector"
"""Values of s_tm1 and of s_t by the online network, of s_t by the target network."""


class QModule(TorchRLModule, TargetNetworkAPI, InferenceOnlyAPI):
    """Action values of the online network `q` and of its copy `target`.

    Built from ``model_config["run"]``, the run's config as plain data; the initial weights follow
    from the run's seeds. A runner's module has no `target`.
    """

    q: nn.Module
    target: nn.Module

    def setup(self) -> None:
        """Build the networks."""
        run = RunConfig.from_mapping(self.model_config["run"])
        spec = ModelSpec(self.observation_space.shape, int(self.action_space.n))
        self.q = build_model(run.model, spec, run.seeds.seed("init"))
        self.double = run.agent.double
        if not self.inference_only:
            self.make_target_networks()

    def make_target_networks(self) -> None:
        """Copy the online network."""
        self.target = copy.deepcopy(self.q).requires_grad_(False)

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

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the target network's values of s_t."""
        with torch.no_grad():
            return {Q_T: self.target(batch["s_t"])}

    def forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the values a loss needs; the networks have no mode that training would set."""
        return self._forward_train(batch, **kwargs)

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        values = self.forward_target(batch)
        if self.double:
            with torch.no_grad():
                values[Q_T_SELECTOR] = self.q(batch["s_t"])
        values[Q_TM1] = self.q(batch["s_tm1"])
        return values

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the greedy actions of observations, as RLlib's own tools ask for them."""
        return {Columns.ACTIONS: self.greedy(batch[Columns.OBS])}

    def greedy(self, observations: Tensor) -> Tensor:
        """Return the action of the largest value, (batch,)."""
        return self.q(observations).argmax(1)
