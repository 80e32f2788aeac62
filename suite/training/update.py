"""The one update that every loop makes, and its state besides the network.

::

    rate <- base * schedule(step), into every parameter group
    stack.begin_update                    # resets where a phase or a visit begins
    loss <- the caller's + stack.extra_loss()
    gradients, clipped if asked for
    stack.before_step
    optimizer.step
    stack.after_step                      # resets, then projection last
    an adaptive schedule sees the loss, which may change it from step + 1 on

It never waits for the device, unless a schedule must see every loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from suite.interventions.base import Bound, Intervention, InterventionStack
from suite.norms import clip_norm_
from suite.optimizers import rates, set_rate, step_of
from suite.rows import Event
from suite.run_config import RunConfig
from suite.schedules.base import AdaptiveSchedule
from suite.training.loss_log import LossLog
from suite.training.observer import Observer, Value


class Update:
    """Optimizer, schedule, interventions, observer and losses of a run, counted in updates.

    Args:
        config: the run.
        bound: what the interventions are bound to, the network that is trained among it.
        observer: measures that network.
        what: the loss, in words, for the error.
        clip: largest norm of all gradients together, or None.
        own: interventions of the task itself.

    Attributes:
        step: gradient steps made.
        losses: of the updates since the last measurement.
        parameters: all that the optimizer changes.
    """

    def __init__(
        self,
        config: RunConfig,
        bound: Bound,
        observer: Observer,
        what: str = "training loss",
        clip: float | None = None,
        own: Sequence[Intervention] = (),
    ) -> None:
        self.schedule = config.build_schedule()
        self.stack = InterventionStack(config.interventions, bound, own)
        self.optimizer = config.optimizer.build(bound.model)
        self._step = step_of(self.optimizer)
        self.stack.attach(self.optimizer)
        self.observer, self.losses = observer, LossLog(what)
        self.step = 0
        self._lr, self._clip = config.optimizer.lr, clip
        self.parameters = [p for g in self.optimizer.param_groups for p in g["params"]]

    def rate(self, step: int) -> float:
        """Return the learning rate of the update after `step` others."""
        return self._lr * self.schedule(step)

    def start(self) -> None:
        """Begin the run at step 0."""
        set_rate(self.optimizer, self.rate(0))
        self.observer.after_update(0)

    def make(
        self,
        loss: Callable[[], Tensor],
        begun: Callable[[bool], None] | None = None,
        ended: Callable[[bool], None] | None = None,
        derived: bool = False,
    ) -> Tensor:
        """Make one update; return its loss without the interventions', a scalar on the device.

        Args:
            loss: returns the loss, a scalar.
            begun: called before it, with whether an intervention has reset anything by then.
            ended: called after it, with whether one has since; what is measured comes later.
            derived: whether `loss` itself puts its gradients into the parameters' ``grad``.
        """
        step = self.step
        rate = self.rate(step)
        set_rate(self.optimizer, rate)
        reset = self.stack.begin_update(step)
        if begun is not None:
            begun(reset)
        self.observer.before_update(step)
        found = loss()
        extra = self.stack.extra_loss()
        if derived:
            if extra is not None:
                extra.backward()
        else:
            for parameter in self.parameters:
                parameter.grad = None
            (found if extra is None else found + extra).backward()
        if self._clip is not None:
            clip_norm_([p.grad for p in self.parameters if p.grad is not None], self._clip)
        self.stack.before_step(step, rate)
        self._step()
        reset = self.stack.after_step(step, rate)
        self.step = step + 1
        if ended is not None:
            ended(reset)
        self.observer.after_update(self.step)
        if found.requires_grad:
            found = found.detach()
        self.losses.add(found)
        return found

    def events(self, shown: Callable[[], float]) -> list[Event]:
        """Return what happened at the update just made, in order.

        Args:
            shown: returns the loss that an adaptive schedule sees; called only if there is one.
        """
        events = self.stack.take_events()
        if isinstance(self.schedule, AdaptiveSchedule):
            events += self.schedule.observe(self.step - 1, [shown()])
        return sorted(events)

    def measure(self, splits: Mapping[str, tuple[Tensor, Tensor]] | None = None) -> list[Value]:
        """Return the rate in force, the mean loss since the last call and the run's metrics.

        Between them stands what an adaptive schedule says of itself.

        Args:
            splits: inputs and targets to evaluate on.
        """
        group = next(g for g in self.optimizer.param_groups if g["scale"] > 0)
        values: list[Value] = [("learning_rate", "", group["lr"] / group["scale"])]
        if self.losses:
            values.append(("batch_loss", "", self.losses.mean()))
        if isinstance(self.schedule, AdaptiveSchedule):
            values += [(name, "", value) for name, value in self.schedule.readings().items()]
        return values + self.observer.measure(self.step, rates(self.optimizer), splits)

    def state_dict(self) -> dict[str, Any]:
        """Return everything with state."""
        schedule = self.schedule
        return {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "stack": self.stack.state_dict(),
            "schedule": schedule.state_dict() if isinstance(schedule, AdaptiveSchedule) else {},
            "observer": self.observer.state_dict(),
            "losses": self.losses.values(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`; without the optimizer's, which is then kept elsewhere."""
        self.step = state["step"]
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        self.stack.load_state_dict(state["stack"])
        if isinstance(self.schedule, AdaptiveSchedule):
            self.schedule.load_state_dict(state["schedule"])
        self.observer.load_state_dict(state["observer"])
        self.losses.load(state["losses"])
