"""Speed of the grokking laboratory: runs side by side, and the transformer against the plain form.

Figures:

- ``batched_committee``, ``batched_diagonal``, ``batched_completion``: run-steps per second of 16
  runs trained at once over those of runs trained one at a time, updates of the suite's own two
  loops. The diagonal networks see the same data; with data of their own reading these is all the
  work, and the suite trains such runs one by one.
- ``batched_pairs``: the same for the two-layer ReLU network of pairs.
- ``transformer_vs_plain``: updates per second of the factored transformer over those of a plain one
  that computes all positions (p = 117, full batch).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from common import arguments, interleaved, publish, ratio
from core import MODULUS, grokking_batch, training_step
from plain_transformer import plain_forward

from suite.config import merge
from suite.models.transformer import GrokkingTransformer
from suite.run_config import RunConfig
from suite.training.batched import batch_key, join
from suite.training.supervised import SupervisedRun, keep_freed_memory

RUNS = 16
STEPS = 20
"""Updates of a call."""

DECAY = {"kind": "weight_decay", "coefficient": 1e-3, "roles": ["weight"]}
SETTINGS: dict[str, tuple[dict[str, Any], Callable[[int], dict[str, Any]]]] = {
    "committee": (
        {
            "task": {"kind": "quadratic_regression", "dimension": 40, "points": 220},
            "model": {"kind": "committee", "width": 100, "epsilon": 0.05},
            "optimizer": {"kind": "sgd", "lr": 1.0},
        },
        lambda index: {"seed": index},
    ),
    "diagonal": (
        {
            "task": {"kind": "sparse_sign", "dimension": 1000, "points": 64, "test_points": 10},
            "model": {"kind": "diagonal"},
            "optimizer": {"kind": "sgd", "lr": 0.01},
        },
        lambda index: {"model": {"initial_norm": 10.0 + index}},
    ),
    "completion": (
        {
            "task": {"kind": "matrix_completion", "size": 31, "fraction": 0.16},
            "model": {"kind": "matrix_factors", "scale": 10},
            "optimizer": {"kind": "sgd", "lr": 0.01},
        },
        lambda index: {"seed": index},
    ),
    "pairs": (
        {
            "task": {"kind": "modular_addition", "modulus": 23, "fraction": 0.75},
            "model": {"kind": "pair_relu", "width": 128},
            "optimizer": {"kind": "sgd", "lr": 0.1},
        },
        lambda index: {"seed": index},
    ),
}
"""By name, what 16 runs share and what each has of its own."""


def requests(name: str, runs: int = RUNS) -> list[RunConfig]:
    """Return the runs of a setting."""
    shared, own = SETTINGS[name]
    rest = {"budget": 1_000_000, "interventions": [DECAY]}
    return [RunConfig.from_mapping(merge(merge(shared, own(i)), rest)) for i in range(runs)]


def one_at_a_time(config: RunConfig, steps: int = STEPS) -> Callable[[], None]:
    """Return a call that makes `steps` updates of one run."""
    run = SupervisedRun(config, torch.device("cpu"))

    def call() -> None:
        for _ in range(steps):
            run._update()
        run.losses.mean()  # which a measurement takes, and so empties

    return call


def side_by_side(configs: Sequence[RunConfig], steps: int = STEPS) -> Callable[[], None]:
    """Return a call that makes `steps` updates of all runs at once."""
    assert len({batch_key(config) for config in configs}) == 1, "runs that cannot be joined"
    runs = [SupervisedRun(config, torch.device("cpu")) for config in configs]
    joint = join(runs)

    def call() -> None:
        start = runs[0].step
        joint.plan(start, start + steps)
        for _ in range(steps):
            joint.update()
        for run in runs:
            run.step = start + steps
        joint.hand_over()
        for run in runs:
            run.losses.mean()

    return call


def main() -> None:
    options = arguments(__doc__)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    torch.manual_seed(0)
    figures: dict[str, float] = {}
    for name in SETTINGS:
        configs = requests(name)
        calls = {"alone": one_at_a_time(configs[0]), "joined": side_by_side(configs)}
        timed = interleaved(calls, seconds=0.5, rounds=options.rounds)
        figures[f"batched_{name}"] = RUNS * ratio(timed["alone"], timed["joined"])

    pairs, sums = grokking_batch()
    factored, plain = (GrokkingTransformer(MODULUS, 128, 4, 512, "none") for _ in range(2))
    timed = interleaved(
        {
            "factored": training_step(factored, factored, pairs, sums),
            "plain": training_step(lambda x: plain_forward(plain, x), plain, pairs, sums),
        },
        seconds=1.0,
        rounds=options.rounds,
    )
    figures["transformer_vs_plain"] = ratio(timed["plain"], timed["factored"])
    settings = {"threads": torch.get_num_threads(), "rounds": options.rounds, "runs": RUNS}
    publish(figures, settings, options.json)


if __name__ == "__main__":
    main()
