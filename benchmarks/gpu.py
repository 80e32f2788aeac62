"""The paths for GPUs on one card: what they compute, against float64 on the CPU, and their times.

Neither Ray nor environments are needed. Checks:

- ``ring``: samples of a replay that keeps its frames on the device are those of one in memory.
- ``closed_form``, ``graph``, ``compile``, ``bf16``: 50 updates of a small Q-network from one start,
  by written-out gradients, by the same recorded as a CUDA graph and replayed, by a compiled
  forward pass, and in bf16; parameters against those of plain autograd in float64 on the CPU.

Times are microseconds per update, medians over rounds in which all take turns.

``--device cpu`` makes the same checks where there is no GPU; a graph is then the plain function.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from suite.replay.frame_ring import Block, FrameRing
from suite.training.cuda_graph import Replayed
from suite.training.q_chain import QChain
from suite.training.q_learning import elementwise_loss, q_learning_target, td_error

UPDATES, RATE = 50, 0.05

BOUNDS = {"closed_form": 1e-3, "graph": 1e-3, "compile": 1e-3, "bf16": 0.05}
"""Largest difference of the parameters, as a share of how far the updates have moved them."""

Update = Callable[[], None]


def network(width: int) -> nn.Module:
    """Return a Q-network of two hidden layers for observations of 4 numbers and 2 actions."""
    torch.manual_seed(0)
    hidden = nn.Linear(width, width)
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), hidden, nn.ReLU(), nn.Linear(width, 2))


def batch(size: int, like: Tensor) -> dict[str, Tensor]:
    """Return made-up transitions of the type and on the device of `like`."""
    rng = np.random.default_rng(0)
    numbers: dict[str, Any] = {
        "s_tm1": rng.standard_normal((size, 4)),
        "r_t": rng.standard_normal(size),
        "discount_t": 0.9 * (rng.random(size) < 0.9),
        "s_t": rng.standard_normal((size, 4)),
    }
    found = {name: torch.as_tensor(value).to(like) for name, value in numbers.items()}
    return found | {"a_tm1": torch.as_tensor(rng.integers(0, 2, size)).to(like.device)}


@torch.no_grad()
def descend(online: nn.Module) -> None:
    """Take a step of gradient descent."""
    for parameter in online.parameters():
        assert parameter.grad is not None
        parameter.sub_(parameter.grad, alpha=RATE)


def by_autograd(
    online: nn.Module, target: nn.Module, fields: dict[str, Tensor], how: str = ""
) -> Update:
    """Return an update by autograd, plain, with `how` = ``compile``, or in ``bf16``."""
    call = torch.compile(online, dynamic=False) if how == "compile" else online
    device = fields["r_t"].device.type

    def update() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=how == "bf16"):
            with torch.no_grad():
                q_t = target(fields["s_t"])
            q_tm1 = call(fields["s_tm1"])
        aim = q_learning_target(fields["r_t"], fields["discount_t"], q_t.to(fields["r_t"]))
        error = td_error(q_tm1.to(aim), fields["a_tm1"], aim)
        online.zero_grad()
        elementwise_loss(error, "huber").mean().backward()
        descend(online)

    return update


def in_closed_form(online: nn.Module, target: nn.Module, fields: dict[str, Tensor]) -> Update:
    """Return an update by written-out gradients."""
    chain = QChain(online, target, False, "huber")

    def update() -> None:
        chain.gradients(fields)
        descend(online)

    return update


Ways = dict[str, tuple[nn.Module, Update]]


def updates_of(width: int, size: int, device: torch.device) -> Ways:
    """Return the network and the update of each way, on `device`."""
    found: Ways = {}
    for name in ("autograd", *BOUNDS):
        online = network(width).to(device)
        target = copy.deepcopy(online)
        fields = batch(size, next(online.parameters()).detach())
        if name in ("closed_form", "graph"):
            update = in_closed_form(online, target, fields)
        else:
            update = by_autograd(online, target, fields, name)
        found[name] = online, Replayed(update, device) if name == "graph" else update
    return found


def distances(ways: Ways, width: int, size: int) -> dict[str, float]:
    """Return how far each way's parameters are from float64's after its first `UPDATES` updates."""

    def flat(net: nn.Module) -> Tensor:
        return torch.cat([p.detach().double().cpu().flatten() for p in net.parameters()])

    exact = network(width).double()
    first, fields = flat(exact), batch(size, next(exact.parameters()).detach())
    update = by_autograd(exact, copy.deepcopy(exact), fields)
    for _ in range(UPDATES):
        update()
    moved, found = (flat(exact) - first).norm(), {}
    for name, (net, step) in ways.items():
        for _ in range(UPDATES):
            step()
        found[name] = ((flat(net) - flat(exact)).norm() / moved).item()
    return found


def same_samples(slots: int, device: torch.device) -> bool:
    """Return whether a ring on `device` gives the samples of one in memory."""
    rng, steps = np.random.default_rng(0), slots // 2
    marks = np.zeros((3, steps, 1), np.bool_)
    marks[0] = True
    marks[1, 99::100] = marks[2, ::100] = True
    frames = rng.integers(0, 256, (steps, 1, 84, 84), np.uint8)
    actions, rewards = rng.integers(0, 4, (steps, 1)), np.ones((steps, 1), np.float32)
    samples = []
    for where in (None, device):
        draws = np.random.default_rng(1)
        ring = FrameRing(slots, 1, (84, 84), np.uint8, 4, 3, 0.99, draws, where)
        for _ in range(3):  # beyond the end
            ring.add(Block(frames, actions, rewards, *marks))
        samples.append(ring.samples(32, 4))
    host, there = (
        [torch.as_tensor(x).cpu() for x in vars(s).values() if x is not None] for s in samples
    )
    return all(torch.equal(a, b) for a, b in zip(host, there, strict=True))


def times(ways: Ways, device: torch.device, rounds: int) -> dict[str, float]:
    """Return microseconds per update by way, medians over `rounds`."""
    spent: dict[str, list[float]] = {name: [] for name in ways}

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for round_ in range(rounds + 1):
        for name, (_, update) in ways.items():
            wait()
            begun = time.perf_counter()
            for _ in range(UPDATES):
                update()
            wait()
            if round_ > 0:  # the first one compiles and records
                spent[name].append((time.perf_counter() - begun) / UPDATES * 1e6)
    return {name: statistics.median(values) for name, values in spent.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("gpu.py: torch finds no CUDA device; expected one, or --device cpu", file=sys.stderr)
        return 2
    device, small = torch.device(options.device), options.device == "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    if small:
        torch.set_num_threads(1)
    fine = same_samples(400 if small else 20_000, device)
    print(f"{'ring':<12} {'ok' if fine else 'FAILED: samples differ'}", flush=True)
    ways = updates_of(64, 32, device)
    found = distances(ways, 64, 32)
    for name, bound in BOUNDS.items():
        good = found[name] < bound
        fine &= good
        print(f"{name:<12} {'ok' if good else 'FAILED'}: {found[name]:.1e}, bound {bound:g}")
    for width, size in ((64, 32),) if small else ((64, 32), (1024, 512)):
        timed = ways if width == 64 else updates_of(width, size, device)
        for name, spent in times(timed, device, 2 if small else 9).items():
            print(f"{name:<12} {spent:.0f} us an update, width {width}, batch {size}", flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
