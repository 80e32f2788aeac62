"""What a careful user would write in one file: the update alone, and whole DQN and Rainbow loops.

The network of DQN, the losses and the loops are their own; the replay, the environments, the
conversion of bytes and the noisy dueling network of Rainbow are the suite's, so that what is
compared is what the engine adds around them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import Contender
from rl_engine import (
    ACTIONS,
    BATCH,
    CAPACITY,
    EPSILON,
    FRAME,
    TARGET_EVERY,
    WARM_UP,
    atari_run,
    rainbow_run,
    ready_batches,
)
from torch import Tensor, nn

from suite.models.base import ModelSpec, build_model
from suite.models.inputs import Frames
from suite.models.noisy import draw_noise, noisy_layers
from suite.models.pixels import interleave
from suite.replay.frame_ring import Block, FrameRing
from suite.replay.prioritized import PrioritizedRing
from suite.rl.envs import make_pool

Batch = dict[str, Tensor]


def nature_cnn(actions: int) -> nn.Module:
    """Return the network of Mnih et al. 2015, channels last."""
    net: Any = nn.Sequential(
        nn.Conv2d(4, 32, 8, 4),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 4, 2),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 3, 1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.ReLU(inplace=True),
        nn.Linear(512, actions),
    )
    moved: nn.Module = net.to(memory_format=torch.channels_last)
    return moved


def scaled(frames: Tensor) -> Tensor:
    """Return bytes as numbers in [0, 1], channels last."""
    return interleave(frames).float().mul_(1 / 255)


class Dqn:
    """Network, target network and optimizer of DQN."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.q = nature_cnn(ACTIONS)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.adam = torch.optim.Adam(self.q.parameters(), lr=6.25e-5, eps=1.5e-4, fused=True)
        self.updates = 0

    def update(self, batch: Batch) -> Tensor:
        """Make one update and return the TD errors."""
        with torch.no_grad():
            best = self.target(scaled(batch["s_t"])).amax(1)
            goal: Tensor = batch["r_t"] + batch["discount_t"] * best
        q = self.q(scaled(batch["s_tm1"])).gather(1, batch["a_tm1"][:, None])[:, 0]
        self.adam.zero_grad(set_to_none=True)
        nn.functional.smooth_l1_loss(q, goal).backward()
        self.adam.step()
        self.updates += 1
        if self.updates % TARGET_EVERY == 0:
            self.target.load_state_dict(self.q.state_dict())
        return goal

    @torch.inference_mode()
    def greedy(self, observations: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the best actions, (lanes,)."""
        best: Tensor = self.q(scaled(torch.from_numpy(observations))).argmax(1)
        return best.numpy()


class Rainbow:
    """The same for Rainbow: double, dueling, 51 atoms, noisy, weighted, the gradient clipped."""

    def __init__(self) -> None:
        run = rainbow_run()
        spec = ModelSpec(Frames((4, *FRAME)), ACTIONS, head=run.agent.head)
        self.q = build_model(run.model, spec, seed=0)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.adam = torch.optim.Adam(self.q.parameters(), lr=6.25e-5, eps=1.5e-4, fused=True)
        self.noisy = [list(noisy_layers(net)) for net in (self.q, self.target)]
        self.generator = torch.Generator().manual_seed(0)
        self.z = torch.linspace(-10, 10, 51)
        self.base = 51 * torch.arange(BATCH)[:, None]
        self.updates = 0

    def update(self, batch: Batch) -> Tensor:
        """Make one update and return the losses."""
        rows = torch.arange(BATCH)
        with torch.no_grad():
            draw_noise(self.noisy[0], self.generator)
            best = (self.q(batch["s_t"]).softmax(-1) @ self.z).argmax(1)
            draw_noise(self.noisy[1], self.generator)
            chances = self.target(batch["s_t"])[rows, best].softmax(-1)
            goal = batch["r_t"][:, None] + batch["discount_t"][:, None] * self.z
            place = (goal.clamp_(-10, 10) + 10) / 0.4
            low = place.floor().clamp_(0, 49)
            up_share = place - low
            low = low.long() + self.base
            m = torch.zeros(BATCH * 51)
            m.index_add_(0, low.view(-1), (chances * (1 - up_share)).view(-1))
            m.index_add_(0, low.view(-1) + 1, (chances * up_share).view(-1))
        draw_noise(self.noisy[0], self.generator)
        logits = self.q(batch["s_tm1"])[rows, batch["a_tm1"]]
        losses: Tensor = -(m.view(BATCH, 51) * logits.log_softmax(-1)).sum(1)
        self.adam.zero_grad(set_to_none=True)
        (losses * batch["weights"]).mean().backward()
        nn.utils.clip_grad_norm_(self.q.parameters(), 10.0)
        self.adam.step()
        self.updates += 1
        if self.updates % 2000 == 0:
            self.target.load_state_dict(self.q.state_dict())
        return losses.detach()

    @torch.inference_mode()
    def greedy(self, observations: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the best actions under new noise, (lanes,)."""
        draw_noise(self.noisy[0], self.generator)
        logits = self.q(torch.from_numpy(observations))
        best: Tensor = (logits.softmax(-1) @ self.z).argmax(1)
        return best.numpy()


class Loop:
    """One environment, one replay, one update per agent step."""

    def __init__(self, agent: Dqn | Rainbow, epsilon: float, prioritized: bool) -> None:
        task = atari_run().task
        self.agent, self.epsilon = agent, epsilon
        self.pool = make_pool(task, 1, seed=0)
        rng = np.random.default_rng(0)
        if prioritized:
            self.ring: FrameRing = PrioritizedRing(
                *(CAPACITY, 1, FRAME, np.uint8, 4, 3, 0.99, rng),
                exponent=0.5,
                uniform_share=1e-3,
                largest=100.0,
            )
        else:
            self.ring = FrameRing(CAPACITY, 1, FRAME, np.uint8, 4, 1, 0.99, rng)
        self.rng = np.random.default_rng(1)
        self.obs, info = self.pool.reset()
        self.lives, self.starts, self.over = info["lives"], np.ones(1, np.bool_), False
        while len(self.ring) < WARM_UP:
            self.act()

    def act(self) -> bool:
        """Take one step and remember it; return whether it was one of the agent's."""
        if self.rng.random() < self.epsilon:
            actions = self.rng.integers(ACTIONS, size=1)
        else:
            actions = self.agent.greedy(self.obs)
        frame, starts, acted = self.obs[:, -1], self.starts, not self.over
        self.obs, rewards, terminated, truncated, info = self.pool.step(actions)
        stops = (terminated | (info["lives"] < self.lives)) & acted
        self.lives = info["lives"]
        block: tuple[Any, ...] = (
            frame,
            actions,
            rewards.clip(-1, 1),
            np.array([acted]),
            stops,
            starts,
        )
        self.ring.add(Block(*(field[None] for field in block)))
        self.starts, self.over = np.array([self.over]), bool(terminated[0] or truncated[0])
        return acted

    def learn(self) -> None:
        """Make one update."""
        ring = self.ring
        names = ["s_tm1", "a_tm1", "r_t", "discount_t", "s_t"]
        if isinstance(ring, PrioritizedRing):
            names, sample = [*names, "weights"], ring.sample(BATCH, beta=0.4)
        else:
            sample = ring.sample(BATCH)
        errors = self.agent.update({n: torch.from_numpy(getattr(sample, n)) for n in names})
        if isinstance(ring, PrioritizedRing):
            ring.update(sample.index, errors.numpy())

    def go(self, steps: int) -> None:
        """Take `steps` agent steps and make as many updates."""
        for _ in range(steps):
            while not self.act():
                pass
            self.learn()


def bare() -> Contender:
    """One update of DQN, the batch being ready."""
    agent, batches = Dqn(), ready_batches()
    turn = iter(range(1 << 62))
    return Contender(lambda: agent.update(batches[next(turn) % len(batches)]))


def loop(agent: Callable[[], Dqn | Rainbow], epsilon: float, steps: int = 50) -> Contender:
    """`steps` agent steps of the whole loop, with as many updates."""
    of_agent = agent()
    whole = Loop(of_agent, epsilon, prioritized=isinstance(of_agent, Rainbow))
    return Contender(lambda: whole.go(steps), steps, whole.pool.close)


def dqn_loop() -> Contender:
    """Return the DQN loop."""
    return loop(Dqn, EPSILON)


def rainbow_loop() -> Contender:
    """Return the Rainbow loop; its noise explores."""
    return loop(Rainbow, 0.0)


def envpool_loop(lanes: int, steps: int) -> Contender:
    """`steps` steps of all lanes by an epsilon-greedy policy; nothing is kept."""
    pool = make_pool(atari_run().task, lanes, seed=0)
    agent, rng = Dqn(), np.random.default_rng(0)
    state = {"obs": pool.reset()[0]}

    def call() -> None:
        for _ in range(steps):
            explores = rng.random(lanes) < EPSILON
            random = rng.integers(ACTIONS, size=lanes)
            actions = np.where(explores, random, agent.greedy(state["obs"]))
            state["obs"] = pool.step(actions)[0]

    return Contender(call, steps * lanes, pool.close)
