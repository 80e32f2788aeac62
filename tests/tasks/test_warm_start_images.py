from __future__ import annotations

from typing import Any

import pytest
import torch

from suite.clock import Duration
from suite.errors import ConfigError
from suite.seeding import Seeds
from suite.streams.stream import Stream
from suite.tasks.warm_start_images import WarmStartImagesConfig

CPU = torch.device("cpu")


def _task(seed: int = 0, **settings: Any) -> Stream:
    config = WarmStartImagesConfig.from_mapping({"kind": "warm_start_images", **settings})
    return Stream(config, Seeds(config.seed_key, seed), config.clock(None), CPU)


def _keys(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images.contiguous()}


def test_phases_nest_and_count_their_epochs() -> None:
    config = WarmStartImagesConfig()
    clock = config.clock(None)
    assert [length.examples for length in config.lengths()] == [144, 1437]
    assert clock.starts == (0, 70)
    assert clock.total == 70 + 70 * (1437 // 128)
    task = _task()
    first, second = task.splits(1)["train"][0], task.splits(71)["train"][0]
    assert (len(first), len(second)) == (144, 1437)
    assert torch.equal(first, second[:144])
    assert len(task.splits(1)["test"][0]) == 360


def test_an_epoch_visits_each_image_at_most_once_and_phases_switch_on_time() -> None:
    task = _task(
        batch_size=16, phases=[{"fraction": 0.1, "epochs": 2}, {"fraction": 1.0, "steps": 3}]
    )
    small = _keys(task.splits(1)["train"][0])
    per_epoch = 144 // 16
    epoch = torch.cat([task.batch(step)[0] for step in range(per_epoch)])
    assert len(_keys(epoch)) == 144
    for step in range(2 * per_epoch):
        assert _keys(task.batch(step)[0]) <= small
    assert not _keys(task.batch(2 * per_epoch)[0]) <= small


def test_fresh_and_warm_arms_share_subset_orders_and_images() -> None:
    warm = _task(
        batch_size=32, phases=[{"fraction": 0.1, "epochs": 1}, {"fraction": 1.0, "epochs": 1}]
    )
    fresh = _task(batch_size=32, phases=[{"fraction": 1.0, "epochs": 1}])
    start = 144 // 32
    for step in (0, 5, 43):
        assert torch.equal(warm.batch(start + step)[0], fresh.batch(step)[0])
    other = _task(seed=1, batch_size=32, phases=[{"fraction": 1.0, "epochs": 1}])
    assert not torch.equal(other.batch(0)[0], fresh.batch(0)[0])


def test_pixels_are_normalised_and_channels_last() -> None:
    task = _task()
    train = task.splits(99)["train"][0]
    assert train.mean().item() == pytest.approx(0.0, abs=1e-4)
    assert train.std().item() == pytest.approx(1.0, abs=1e-3)
    assert train.shape[1:] == (1, 8, 8)


def test_a_budget_beside_phases_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget"):
        WarmStartImagesConfig().clock(Duration(steps=5))


@pytest.mark.parametrize(
    ("phase", "key"),
    [
        ({"fraction": 1.5, "epochs": 1}, "phases[0].fraction"),
        ({"fraction": 0.5}, "phases[0].epochs"),
        ({"fraction": 0.5, "epochs": 1, "steps": 1}, "phases[0].epochs"),
    ],
)
def test_bad_phases_name_their_key(phase: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        WarmStartImagesConfig.from_mapping({"kind": "warm_start_images", "phases": [phase]})
    assert error.value.key == key
