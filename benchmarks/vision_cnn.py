"""The CNN's training against a plain loop and its arithmetic, and what metrics cost."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from itertools import chain, count, repeat
from typing import Any

import numpy as np
import torch
from common import interleaved, ratio
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from suite.data.sets import load
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats
from suite.optimizers import rates
from suite.run_config import RunConfig
from suite.training.supervised import SupervisedRun

BATCH = 128
METRICS = (
    "accuracy",
    "loss",
    "effective_lr",
    "relative_update",
    "parameter_norm",
    "activation_pattern_change",
    "feature_covariance_change",
    "dead_units",
    "dormant_units",
    "linearised_units",
    "feature_rank",
    "feature_srank",
    "gradient_norm",
    "gradient_orthogonality",
    "jacobian_norm",
    "sample_plasticity",
    "task_accuracy",
)


def run_of(**changes: Any) -> SupervisedRun:
    """Return a run on CIFAR-10 at its first step; nothing is measured but what `changes` name."""
    task = {"kind": "growing", "dataset": "cifar10", "batch_size": BATCH}
    mapping = {
        "task": {**task, "phases": [{"fraction": 1.0, "epochs": 70}], **changes.pop("task", {})},
        "model": "cnn",
        "metrics": {"names": [], "every": {"fraction": 1.0}},
        **changes,
    }
    run = SupervisedRun(RunConfig.from_mapping(mapping))
    run.updates.start()
    return run


class Images(Dataset[tuple[Tensor, int]]):
    """CIFAR-10 one image at a time, as most programs read it.

    Args:
        augment: whether to crop and flip.
    """

    def __init__(self, augment: bool) -> None:
        data = load("cifar10")
        self.images, self.labels, self.augment = data.train_inputs, data.train_labels, augment
        self.mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
        self.std = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.images[index]).permute(2, 0, 1).contiguous().float().div(255)
        image = (image - self.mean) / self.std
        if self.augment:
            top, left = np.random.randint(0, 9, 2)  # noqa: NPY002 - as such programs do
            image = nn.functional.pad(image, [4] * 4)[:, top : top + 32, left : left + 32]
            if np.random.rand() < 0.5:  # noqa: NPY002
                image = image.flip(-1)
        return image, int(self.labels[index])


def network() -> nn.Module:
    """Return the paper's CNN."""
    config = MODELS["cnn"].from_mapping({"kind": "cnn"})
    return build_model(config, ModelSpec(Floats((3, 32, 32)), 10), 0)


def plain_batches(augment: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the endless batches of a plain loop."""
    loader = DataLoader(Images(augment), BATCH, shuffle=True, drop_last=True)
    return chain.from_iterable(repeat(loader))


def batches_alone(run: SupervisedRun) -> Callable[[], None]:
    """Return a call that makes the next batch of a run, and nothing else."""
    steps = count()
    return lambda: [run.task.batch(next(steps))].clear()


def dataloader_loop(augment: bool) -> Callable[[], None]:
    """Return one update of a plain loop."""
    model = network()
    for weight in model.parameters():
        weight.data = weight.data.contiguous()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = plain_batches(augment)

    def step() -> None:
        inputs, targets = next(batches)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return step


def bare_products() -> Callable[[], None]:
    """Return forward and backward of the CNN's convolutions and products alone."""
    layers = network().children()
    kept = [m for m in layers if isinstance(m, nn.Conv2d | nn.Linear | nn.Flatten)]
    model = nn.Sequential(*kept)
    images = torch.randn(BATCH, 32, 32, 3).permute(0, 3, 1, 2)
    shape = torch.randn(BATCH, 10)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(images).backward(shape)

    return step


def metric_shares(rounds: int) -> dict[str, float]:
    """Return the time of each metric over that of an update."""
    found = {}
    plain = run_of()
    for name in METRICS:
        run = run_of(metrics={"names": [name], "every": {"fraction": 1.0}})
        run._update()
        splits = run.task.splits(1)
        named = rates(run.optimizer)

        def measure(run: SupervisedRun = run, splits: Any = splits, named: Any = named) -> None:
            run.observer._before = {n: p.detach() for n, p in run.model.named_parameters()}
            run.observer._looked = None
            run.observer.measure(1, named, splits)

        timed = interleaved({"update": plain._update, "metric": measure}, 0.2, rounds)
        found[f"metric_share.{name}"] = ratio(timed["metric"], timed["update"])
    return found


def cnn_figures(rounds: int) -> dict[str, float]:
    """Return the figures of the CNN."""
    ours, half = run_of(), run_of(precision="bfloat16")
    augmented = run_of(task={"augment": "crop_flip"})
    loaded = {augment: plain_batches(augment) for augment in (False, True)}
    side = torch.randn(1024, 1024)
    product = torch.empty(1024, 1024)
    timed = interleaved(
        {
            "ours": ours._update,
            "bf16": half._update,
            "dataloader": dataloader_loop(augment=False),
            "augmented": augmented._update,
            "augmented_dataloader": dataloader_loop(augment=True),
            "batches": batches_alone(ours),
            "dataloader_batches": lambda: [next(loaded[False])].clear(),
            "augmented_batches": batches_alone(augmented),
            "augmented_dataloader_batches": lambda: [next(loaded[True])].clear(),
            "products": bare_products(),
            "matmul": lambda: torch.mm(side, side, out=product),
        },
        seconds=1.0,
        rounds=rounds,
    )
    with FlopCounterMode(display=False) as counter:
        network()(torch.randn(BATCH, 3, 32, 32)).sum().backward()
    peak = [t * counter.get_total_flops() / (2 * 1024**3) for t in timed["matmul"]]
    return {
        "cnn_images_per_s": BATCH / statistics.median(timed["ours"]),
        "cnn_vs_dataloader": ratio(timed["dataloader"], timed["ours"]),
        "cnn_augmented_vs_dataloader": ratio(timed["augmented_dataloader"], timed["augmented"]),
        "batches_vs_dataloader": ratio(timed["dataloader_batches"], timed["batches"]),
        "augmented_batches_vs_dataloader": ratio(
            timed["augmented_dataloader_batches"], timed["augmented_batches"]
        ),
        "cnn_vs_peak": ratio(peak, timed["ours"]),
        "cnn_convolutions_vs_peak": ratio(peak, timed["products"]),
        "cnn_bf16": ratio(timed["ours"], timed["bf16"]),
    }
