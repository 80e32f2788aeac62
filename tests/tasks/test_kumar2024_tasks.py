"""The tasks of Kumar et al. 2024 beyond the committee machine: data, sizes, what is right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.clock import Clock, Duration
from suite.data.sets import load
from suite.errors import ConfigError
from suite.metrics.accuracy_within import accuracy_within
from suite.metrics.base import Observation
from suite.rows import THRESHOLDS
from suite.seeding import Seeds
from suite.tasks.base import TASKS
from suite.tasks.image_regression import ImageRegressionConfig
from suite.tasks.modular_regression import ModularRegressionConfig
from suite.tasks.three_token_addition import ThreeTokenAdditionConfig

CPU = torch.device("cpu")


def build(kind: str, seed: int = 0, **keys: object) -> tuple[Any, Any]:
    config: Any = TASKS[kind].from_mapping({"kind": kind, **keys})
    return config, config.build(Seeds(config.seed_key, seed), Clock(10), CPU)


@pytest.mark.parametrize("kind", ["modular_regression", "three_token_addition"])
@settings(max_examples=15)
@given(p=st.integers(2, 20), fraction=st.floats(0.3, 0.9), seed=st.integers(0, 3))
def test_all_pairs_are_split_once_and_targets_are_sums(
    kind: str, p: int, fraction: float, seed: int
) -> None:
    config, task = build(kind, seed, modulus=p, fraction=fraction)
    splits = task.splits(0)
    pairs = [tuple(row) for part in splits.values() for row in part[0].tolist()]
    assert sorted(pairs) == [(x, y) for x in range(p) for y in range(p)]
    assert len(splits["train"][0]) == config.train_size == int(fraction * p**2)
    for inputs, targets in splits.values():
        assert torch.equal(targets, inputs.sum(1) % p)


def test_published_sizes() -> None:
    regression, addition = ModularRegressionConfig(), ThreeTokenAdditionConfig()
    assert (regression.train_size, regression.spec().outputs) == (476, 23)
    assert (addition.train_size, addition.spec().outputs) == (5107, 114)
    with pytest.raises(ConfigError, match=r"task\.fraction"):
        ModularRegressionConfig(modulus=2, fraction=0.1).clock(Duration(steps=1))


def test_images_are_drawn_from_the_training_images_and_batches_go_round() -> None:
    _, task = build("image_regression", dataset="digits", points=23, test_points=9, batch_size=5)
    (train, labels), (test, _) = task.splits(0)["train"], task.splits(0)["test"]
    known = {
        (images.tobytes(), int(label))
        for images, label in zip(
            load("digits").train_inputs, load("digits").train_labels, strict=True
        )
    }
    back = (train.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    assert {(i.tobytes(), int(k)) for i, k in zip(back, labels, strict=True)} <= known
    assert train.shape == (23, 1, 8, 8)
    assert 0 <= train.min() < train.max() <= 1
    assert not {t.numpy().tobytes() for t in train} & {t.numpy().tobytes() for t in test}
    for step in range(9):
        start = 5 * (step % 4)  # the last three fill no batch
        assert torch.equal(task.batch(step)[0], train[start : start + 5])


def test_more_images_than_there_are_is_an_error() -> None:
    config = ImageRegressionConfig(dataset="digits", points=1000, test_points=438)
    with pytest.raises(ConfigError, match=r"task\.test_points"):
        config.clock(Duration(steps=5))
    with pytest.raises(ConfigError, match="budget"):
        config.clock(None)
    epochs = ImageRegressionConfig().clock(Duration(epochs=2))
    assert (epochs.total, epochs.steps_per_epoch) == (10, (5,))
    assert ImageRegressionConfig(batch_size=None).whole_batch


def test_students_learn_a_teacher_s_outputs() -> None:
    _, task = build("student_teacher", dimension=3, outputs=2, points=12, test_points=8)
    _, other = build("student_teacher", 1, dimension=3, outputs=2, points=12, test_points=8)
    for split, size in (("train", 12), ("test", 8)):
        inputs, targets = task.splits(0)[split]
        assert inputs.shape == (size, 3)
        torch.testing.assert_close(targets, task.teacher(inputs))
    assert not any(p.requires_grad for p in task.teacher.parameters())
    assert not torch.equal(task.batch(0)[1], other.batch(0)[1])


def test_shares_within_thresholds() -> None:
    _, task = build("student_teacher", dimension=3, outputs=2, points=4, test_points=4)
    targets = torch.zeros(4, 2)
    outputs = torch.tensor([[0.0, 0.0], [0.02, 0.0], [0.2, 0.2], [1.0, 0.0]])  # 0, 2e-4, 0.04, 0.5
    seen = Observation(
        0, {}, {}, {}, predictions={"test": (outputs, targets)}, criterion=task.criterion
    )
    values = {k: v.item() for k, v in accuracy_within(seen).items()}
    assert values == {
        f"test<{t:g}": share
        for t, share in zip(THRESHOLDS, (0.25, 0.5, 0.5, 0.5, 0.5, 0.75), strict=True)
    }
    assert task.criterion.correct(outputs, targets).item() == 0.5
    assert accuracy_within(Observation(0, {}, {}, {})) == {}
