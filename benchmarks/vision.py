"""Speed of supervised learning on images, and what metrics cost.

Figures:

- ``cnn_images_per_s``: training images per second of the suite's loop (CIFAR-10, the paper's CNN,
  batch 128, Adam), batches included.
- ``cnn_vs_dataloader``: the same over a plain loop: a Dataset that converts and normalises one
  image at a time, a DataLoader without workers, contiguous images, Adam as it comes.
  ``cnn_augmented_vs_dataloader``: both with crops and flips.
- ``batches_vs_dataloader``: batches per second of the two alone, without any network, which is what
  is left of the difference on a device that is much faster than a core;
  ``augmented_batches_vs_dataloader``: with crops and flips.
- ``cnn_vs_peak``: updates per second over those that the network's arithmetic alone would allow at
  the rate of a large matrix product, measured in the same run. ``cnn_convolutions_vs_peak``: the
  same for its convolutions and products alone, forward and backward, without norm layers,
  nonlinearities, loss, optimizer and data.
- ``cnn_bf16``: the suite's loop in bfloat16 over float32.
- ``metric_share.NAME``: time of one measurement of a metric, over that of an update.
- ``mlp_batched``: updates per second of ten runs that are trained at once, all runs together, over
  those of one run alone: Kumar et al. 2025's permuted MNIST (10,000 images a task, batches of 16),
  an MLP of two hidden layers of 100 units, Adam, by the suite's own two loops.
  ``mlp_batched_l2_init``: the same with the penalty `l2_init`. ``mlp_batched_digits``: the same
  stream of digits (1,000 images a task of 64 pixels).
- ``slow_regression_batched``: the same for slowly changing regression: batches of one example, a
  hidden layer of five units.

A group of figures is a function of the number of rounds in `FIGURES`. The data have to be there:
the suite's data folder or its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from common import arguments, interleaved, publish, ratio
from grokking import one_at_a_time, side_by_side
from vision_cnn import cnn_figures, metric_shares

from suite.run_config import RunConfig
from suite.training.supervised import keep_freed_memory

RUNS = 10
STEPS = 25
"""Updates of a call; a task of the stream has 625."""


def permuted(
    seed: int, dataset: str = "mnist", images: int = 10_000, interventions: Sequence[str] = ()
) -> RunConfig:
    """Return a run of Kumar et al. 2025's permuted MNIST."""
    return RunConfig.from_mapping(
        {
            "task": {
                "kind": "permuted",
                "dataset": dataset,
                "tasks": 500,
                "examples_per_task": images,
                "epochs": 1,
                "batch_size": 16,
            },
            "model": {"kind": "mlp", "width": 100, "depth": 2},
            "optimizer": {"kind": "adam", "lr": 1e-3},
            "interventions": list(interventions),
            "seed": seed,
            "metrics": {"names": ["average_online_accuracy"], "every": {"fraction": 1.0}},
        }
    )


def slow_regression(seed: int) -> RunConfig:
    """Return a run of Dohare et al. 2024's slowly changing regression."""
    return RunConfig.from_mapping(
        {
            "task": {"kind": "slow_regression", "period": 10_000, "batch_size": 1},
            "model": {"kind": "mlp", "width": 5, "depth": 1},
            "optimizer": {"kind": "adam", "lr": 1e-3},
            "budget": 3_000_000,
            "seed": seed,
            "metrics": {"names": ["loss"], "every": {"fraction": 1.0}},
        }
    )


BATCHED: dict[str, Callable[[int], RunConfig]] = {
    "mlp_batched": permuted,
    "mlp_batched_l2_init": partial(permuted, interventions=("l2_init",)),
    "mlp_batched_digits": partial(permuted, dataset="digits", images=1_000),
    "slow_regression_batched": slow_regression,
}
"""What is trained alone and at once, a run for each seed, by the figure."""


def batched(rounds: int) -> dict[str, float]:
    """Return the gains of ten runs at once."""
    figures = {}
    for name, make in BATCHED.items():
        configs = [make(seed) for seed in range(RUNS)]
        calls = {
            "alone": one_at_a_time(configs[0], STEPS),
            "joined": side_by_side(configs, STEPS),
        }
        timed = interleaved(calls, seconds=1.0, rounds=rounds)
        figures[name] = RUNS * ratio(timed["alone"], timed["joined"])
    return figures


FIGURES: tuple[Callable[[int], dict[str, float]], ...] = (cnn_figures, metric_shares, batched)


def main() -> None:
    options = arguments(__doc__)
    torch.set_num_threads(options.threads or 1)
    keep_freed_memory()
    torch.manual_seed(0)
    figures: dict[str, float] = {}
    for group in FIGURES:
        figures |= group(options.rounds)
    settings = {"threads": torch.get_num_threads(), "rounds": options.rounds, "runs": RUNS}
    publish(figures, settings, options.json)


if __name__ == "__main__":
    main()
