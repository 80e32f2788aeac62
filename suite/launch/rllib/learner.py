"""The learner: one update per call, counted in gradient steps, with the suite's hooks.

::

    an update (`suite.training.update`) by the mean loss of the TD errors
    every target_every-th step and after a reset: target network <- online network

With prioritised replay the loss is weighted. The schedule sees the loss without these weights,
because they drift over training.

RLlib's own schedules and target updates count environment steps and are not used.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from torch import Tensor, nn

from suite.interventions.base import Bound
from suite.interventions.reset import chosen, reset_
from suite.launch.plugins import share_plugins
from suite.launch.rllib.module import SELECTOR, TM1, QModule, T, check_compiler
from suite.models.base import build_model
from suite.optimizers import clear_state
from suite.rl.closed_form import closed_form
from suite.rl.run import RLRun
from suite.rows import Event
from suite.run_config import RunConfig
from suite.tasks.switch import SwitchConfig
from suite.training.observer import Observer, Value
from suite.training.q_chain import QChain
from suite.training.q_learning import (
    categorical_loss,
    categorical_target,
    double_q_target,
    elementwise_loss,
    q_learning_target,
    td_error,
)
from suite.training.update import Update

TRAINING = "training"
"""Key of the suite's part of the learner's state."""

NOISE = 32
"""Made-up observations on which scale invariance is checked before there are real ones."""


def to_batch(tensors: dict[str, Tensor]) -> MultiAgentBatch:
    """Return a batch as ``Learner.update(batch=...)`` takes it."""
    size = len(tensors["a_tm1"])
    return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(tensors)}, env_steps=size)


def on_device(state: Any, device: torch.device | str) -> Any:
    """Return nested plain data with all tensors on `device`."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, Mapping):
        return {key: on_device(value, device) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_device(value, device) for value in state)
    return state


class NapLearner(TorchLearner):
    """Learns the run of `config.run`.

    Attributes:
        events: what happened at updates, since somebody took the list.
    """

    def build(self) -> None:
        """Build module, stack, optimizer and observer."""
        config: Any = self.config
        share_plugins(config.plugins)
        self.run = RLRun.of(RunConfig.from_mapping(config.run))
        self.clock = self.run.clock()
        self.events: list[Event] = []
        self._errors = self._each = torch.empty(0)
        super().build()
        if self.run.agent.compile:
            check_compiler(self.device_in_use)
        self._trained = self.module[DEFAULT_MODULE_ID]
        self._chain = self._closed_form()
        self._noisy = bool(self.net.noisy)

    @property
    def closed_form(self) -> bool:
        """Whether gradients come from `QChain` and not from autograd."""
        return self._chain is not None

    def _closed_form(self) -> QChain | None:
        """Return the loss in closed form, if there is one of this network and agent."""
        agent, net = self.run.agent, self.net
        own = type(self).compute_loss_for_module is NapLearner.compute_loss_for_module
        if not own or self.distributed or not closed_form(agent, net.q):
            return None
        return QChain(net.q, net.target, agent.double, agent.loss)

    @property
    def errors(self) -> Tensor:
        """Of the latest batch, (batch,): TD errors, or losses of distributions."""
        return self._errors if self._chain is None else self._chain.errors

    @property
    def each(self) -> Tensor:
        """Losses of the latest batch before any weights, (batch,)."""
        return self._each if self._chain is None else self._chain.each

    @property
    def step(self) -> int:
        """Gradient steps made."""
        return self.updates.step

    @property
    def net(self) -> QModule:
        """The module that is trained."""
        module = self.module[DEFAULT_MODULE_ID].unwrapped()
        assert isinstance(module, QModule)
        return module

    @property
    def device_in_use(self) -> torch.device:
        """The device of the module, after it is built."""
        assert self._device is not None
        return torch.device(self._device)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Bind the interventions, then make the run's optimizer; RLlib is given no rate to set."""
        q = self.net.q
        self.bound = Bound.of(q, self.clock, self._noise(), self._fresh, self.run.seeds)
        run = self.run
        self.observer = Observer(
            q,
            run.metric_names,
            run.metrics,
            self.clock,
            None,
            phase_ends=self.clock.priming > 0,
        )
        self.updates = Update(run, self.bound, self.observer, "TD loss", run.agent.grad_clip)
        self.stack, self.schedule = self.updates.stack, self.updates.schedule
        self.optimizer, self.losses = self.updates.optimizer, self.updates.losses
        self.register_optimizer(
            module_id=module_id, optimizer=self.optimizer, params=self.updates.parameters
        )

    def _fresh(self, index: int) -> nn.Module:
        """Return a newly initialised network, drawn from the stream ``reset/index``."""
        net = self.net
        spec = replace(self.run.model_spec(), inputs=net.spec.inputs, outputs=net.spec.outputs)
        return build_model(self.run.model, spec, self.run.seeds.seed(f"reset/{index}"))

    def _noise(self) -> Tensor:
        """Return random observations, (n, ...)."""
        generator = self.run.seeds.torch("noise")
        return self.net.spec.inputs.draw(NOISE, generator).to(self._device)

    def start(self, probe: Tensor) -> None:
        """Begin the run at step 0, with the observations on which features are read."""
        self.observer.probe = probe.to(self._device)
        self.updates.start()

    def switch(self, switch: SwitchConfig) -> None:
        """Go on in another environment and forget what `switch` says."""
        if switch.fresh_network:
            drawn = self.bound.initial(self.step)
            reset_(chosen(self.bound, "all"), drawn, self.optimizer)
        elif switch.reset_optimizer:
            clear_state(self.optimizer, self.updates.parameters)
        if switch.copy_target:
            self.net.sync_target()

    def _update(self, batch: dict[str, Any], **kwargs: Any) -> tuple[Any, Any, Any]:
        """Make the one update of RLlib's ``update``; it is given nothing to log."""
        self.learn(batch[DEFAULT_MODULE_ID])
        return {}, {}, {}

    def split(self, fields: dict[str, Tensor], size: int) -> Sequence[Mapping[str, Tensor]]:
        """Return batches that are learnt from one after the other.

        Args:
            fields: `FIELDS` of all of them, (batches * size, ...).
            size: of a batch.
        """
        if self._chain is not None:
            return self._chain.split(fields, size)
        if len(fields["a_tm1"]) == size:
            return [fields]
        parts = zip(*(value.split(size) for value in fields.values()), strict=True)
        return [dict(zip(fields, values, strict=True)) for values in parts]

    def learn(self, batch: Mapping[str, Tensor]) -> None:
        """Make one update; nothing waits for the device unless a schedule must see every loss.

        Args:
            batch: `FIELDS`, on the learner's device, or one from `split`.
        """
        self.stack.set_probe(batch["s_tm1"])
        derived = self.closed_form
        loss = self._derived if derived else self._loss
        self.updates.make(lambda: loss(batch), self._begun, self._ended, derived)
        self.events += self.updates.events(lambda: self._shared(self.each.mean()).item())

    def _loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        values = self._trained.forward_train(dict(batch))
        return self.compute_loss_for_module(
            module_id=DEFAULT_MODULE_ID, config=self.config, batch=batch, fwd_out=values
        )

    def _derived(self, batch: Mapping[str, Tensor]) -> Tensor:
        assert self._chain is not None
        return self._chain.gradients(batch)

    def _begun(self, reset: bool) -> None:
        if reset:
            self.net.sync_target()

    def _ended(self, reset: bool) -> None:
        if reset or self.step % self.run.agent.target_every == 0:
            self.net.sync_target()
        if self._noisy:
            self.net.silence()

    def _shared(self, loss: Tensor) -> Tensor:
        """Return the loss averaged over all learners, so that they come to the same conclusions."""
        if not self.distributed:
            return loss
        total = loss.clone()
        torch.distributed.all_reduce(total)
        return total / torch.distributed.get_world_size()

    def learn_part(self, part: dict[str, Any]) -> Any:
        """Make one update on this learner's part of a batch; return its errors and the events."""
        self.learn({k: torch.from_numpy(v.copy()).to(self.device) for k, v in part.items()})
        return self.errors.float().cpu().numpy(), self.take_events()

    def parameters(self) -> list[Tensor]:
        """Return a copy of the online network's parameters, on the CPU."""
        return [p.detach().cpu() for p in self.net.q.parameters()]

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Any, fwd_out: dict[str, Any]
    ) -> Tensor:
        """Return the mean loss of the batch, a scalar; the errors are kept for the replay."""
        agent = self.run.agent
        r_t, discount_t, a_tm1 = batch["r_t"], batch["discount_t"], batch["a_tm1"]
        if agent.distribution is not None:
            target = categorical_target(
                r_t, discount_t, fwd_out[T], fwd_out[SELECTOR], self.net.atoms
            )
            losses = categorical_loss(fwd_out[TM1], a_tm1, target)
            self._errors = losses.detach()
        else:
            if agent.double:
                target = double_q_target(r_t, discount_t, fwd_out[T], fwd_out[SELECTOR])
            else:
                target = q_learning_target(r_t, discount_t, fwd_out[T])
            error = td_error(fwd_out[TM1], a_tm1, target)
            losses = elementwise_loss(error, agent.loss)
            self._errors = error.detach()
        self._each = losses.detach()
        return (losses * batch["weights"]).mean() if "weights" in batch else losses.mean()

    def measure(self) -> list[Value]:
        """Return the rate in force, the mean loss since the last call and the run's metrics."""
        return self.updates.measure()

    def check(self) -> None:
        """Check that the latest TD loss is finite.

        Raises:
            DivergedError: if it is not, naming the first gradient step since the last measurement
                from which on no loss was.
        """
        self.losses.check(self.step)

    def take_events(self) -> list[Event]:
        """Return what happened since the last call, in the order of the steps."""
        events, self.events = self.events, []
        return sorted(events)

    # RLlib would do this around every update, but its results are not used.

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Leave rates and target network alone: `_update` has seen to them."""

    def _log_metrics(self, batch: MultiAgentBatch) -> None:
        pass

    def _log_steps_trained_metrics(self, batch: MultiAgentBatch) -> None:
        pass

    def _get_optimizer_state(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def _set_optimizer_state(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(copy.deepcopy(state))  # which would keep its tensors

    def get_state(self, components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Return RLlib's state and, under `TRAINING`, all else that has state."""
        state = super().get_state(components, **kwargs)
        if self._check_component(TRAINING, components, kwargs.get("not_components")):
            own = self.updates.state_dict()
            del own["optimizer"]  # RLlib's state has it
            state[TRAINING] = {
                **own,
                "events": [list(event) for event in self.events],
                "probe": self.observer.probe,
                "noise": self.net.noise.get_state(),
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`, whether it is older or newer than what was learnt here."""
        self._weights_seq_no = 0  # else RLlib keeps weights that look newer
        super().set_state(state)
        if TRAINING not in state:
            return
        training = on_device(state[TRAINING], self.device_in_use)
        self.updates.load_state_dict(training)
        self.events = [Event(*event) for event in training["events"]]
        self.observer.probe = training["probe"]
        self.net.noise.set_state(training["noise"].cpu())
