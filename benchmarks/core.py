"""Speed of the core: projection, the factored transformer, the CNN.

Figures:

- ``projection_k1_share``, ``projection_k100_share``: time of the projection as a share of the
  update it follows, every update and every hundredth; the worse of Nature CNN and transformer.
- ``factored_vs_plain``: updates per second of the factored transformer over those of a plain one
  that computes all positions (p = 117, full batch).
- ``factored_vs_peak``: updates per second over those that its arithmetic alone would allow at the
  rate of matrix products of its own shape, measured in the same run.
- ``cnn_images_per_s``: training images per second of the paper's CNN (batch 128, CIFAR-10 shape).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from common import arguments, interleaved, publish, ratio
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from suite import Projection
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats, Frames
from suite.models.transformer import GrokkingTransformer
from suite.training.supervised import keep_freed_memory

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "references"))
from plain_transformer import plain_forward

MODULUS, FRACTION = 117, 0.2


def training_step(
    forward: Callable[[Tensor], Tensor], model: nn.Module, inputs: Tensor, targets: Tensor
) -> Callable[[], None]:
    """Return a call that makes one update with fused Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(forward(inputs), targets).backward()
        optimizer.step()

    return step


def grokking_batch() -> tuple[Tensor, Tensor]:
    """Return the full training batch of the paper's modular addition."""
    pairs = torch.cartesian_prod(torch.arange(MODULUS), torch.arange(MODULUS))
    chosen = torch.randperm(len(pairs))[: int(FRACTION * len(pairs))]
    return pairs[chosen], pairs[chosen].sum(1) % MODULUS


def projection_shares(
    step: Callable[[], None], nap: Projection, rounds: int, updates: int
) -> float:
    """Return the median share of an update's time that `nap.step` adds, measured in place."""
    shares = []
    for _ in range(rounds):
        spent = 0.0
        start = time.perf_counter()
        for _ in range(updates):
            step()
            before = time.perf_counter()
            nap.step()
            spent += time.perf_counter() - before
        total = time.perf_counter() - start
        shares.append(spent / (total - spent))
    return statistics.median(shares)


def main() -> None:
    options = arguments(__doc__)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    torch.manual_seed(0)
    figures: dict[str, float] = {}

    pairs, sums = grokking_batch()
    factored = GrokkingTransformer(MODULUS, 128, 4, 512, "none")
    plain = GrokkingTransformer(MODULUS, 128, 4, 512, "none")
    factored_step = training_step(factored, factored, pairs, sums)
    plain_step = training_step(lambda x: plain_forward(plain, x), plain, pairs, sums)

    nature = build_model(
        MODELS["nature_cnn"].from_mapping({"kind": "nature_cnn", "norm": "layer"}),
        ModelSpec(Frames((4, 84, 84)), 6),
        seed=0,
    )
    frames = torch.randint(0, 256, (32, 4, 84, 84), dtype=torch.uint8)
    nature_step = training_step(nature, nature, frames, torch.randint(0, 6, (32,)))

    steps = {
        "transformer": (factored_step, factored, "matrices"),
        "nature_cnn": (nature_step, nature, "invariant"),
    }
    for every in (1, 100):
        shares = {}
        for name, (step, model, which) in steps.items():
            nap = Projection(model, every=every, which=which)
            for _ in range(5):
                step()
            shares[name] = projection_shares(step, nap, options.rounds, updates=100)
            figures[f"projection_k{every}_share_{name}"] = shares[name]
        figures[f"projection_k{every}_share"] = max(shares.values())

    left, right = torch.randn(len(pairs), 128), torch.randn(128, 512)
    product = torch.empty(len(pairs), 512)
    timed = interleaved(
        {
            "factored": factored_step,
            "plain": plain_step,
            "matmul": lambda: torch.mm(left, right, out=product),
        },
        seconds=1.0,
        rounds=options.rounds,
    )
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(factored(pairs), sums).backward()
    per_product = 2 * left.numel() * right.shape[1]
    arithmetic = [t * counter.get_total_flops() / per_product for t in timed["matmul"]]
    figures["factored_vs_plain"] = ratio(timed["plain"], timed["factored"])
    figures["factored_vs_peak"] = ratio(arithmetic, timed["factored"])
    figures["factored_steps_per_s"] = 1 / statistics.median(timed["factored"])

    cnn = build_model(
        MODELS["cnn"].from_mapping({"kind": "cnn"}), ModelSpec(Floats((3, 32, 32)), 10), 0
    )
    images = torch.randn(128, 32, 32, 3).permute(0, 3, 1, 2)
    cnn_step = training_step(cnn, cnn, images, torch.randint(0, 10, (128,)))
    seconds = interleaved({"cnn": cnn_step}, seconds=1.0, rounds=options.rounds)["cnn"]
    figures["cnn_images_per_s"] = 128 / statistics.median(seconds)

    settings = {"threads": torch.get_num_threads(), "rounds": options.rounds}
    publish(figures, settings, options.json)


if __name__ == "__main__":
    main()
