from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.seeding import Seeds
from suite.tasks.modular_addition import ModularAddition, ModularAdditionConfig

CPU = torch.device("cpu")


@settings(max_examples=30)
@given(p=st.integers(2, 30), fraction=st.floats(0.3, 0.9), seed=st.integers(0, 5))
def test_split_covers_all_pairs_once_and_targets_are_sums(
    p: int, fraction: float, seed: int
) -> None:
    config = ModularAdditionConfig(modulus=p, fraction=fraction)
    if config.train_size < 1:
        return
    task = ModularAddition(config, Seeds("m", seed), CPU)
    splits = task.splits(0)
    pairs = [tuple(row) for part in splits.values() for row in part[0].tolist()]
    assert sorted(pairs) == [(x, y) for x in range(p) for y in range(p)]
    assert len(splits["train"][0]) == int(fraction * p**2)
    for inputs, targets in splits.values():
        assert torch.equal(targets, inputs.sum(1) % p)


def test_an_epoch_of_batches_visits_every_training_pair_once() -> None:
    config = ModularAdditionConfig(modulus=12, fraction=0.5, batch_size=8)
    task = ModularAddition(config, Seeds("m", 0), CPU)
    train = {tuple(row) for row in task.splits(0)["train"][0].tolist()}
    epoch = [tuple(row) for step in range(9) for row in task.batch(step)[0].tolist()]
    assert len(epoch) == 72
    assert set(epoch) == train
    other = [tuple(row) for step in range(9, 18) for row in task.batch(step)[0].tolist()]
    assert set(other) == train
    assert other != epoch
    # A batch depends on its step alone, not on those drawn before it.
    fresh = ModularAddition(config, Seeds("m", 0), CPU)
    assert torch.equal(fresh.batch(13)[0], task.batch(13)[0])


def test_one_hot_inputs_encode_the_same_pairs() -> None:
    pairs = ModularAddition(ModularAdditionConfig(modulus=5, fraction=0.4), Seeds("m", 0), CPU)
    codes = ModularAddition(
        ModularAdditionConfig(modulus=5, fraction=0.4, inputs="one_hot"), Seeds("m", 0), CPU
    )
    x, _ = pairs.batch(0)
    decoded = codes.batch(0)[0].view(-1, 2, 5).argmax(2)
    assert torch.equal(decoded, x)


def test_budget_and_epochs() -> None:
    config = ModularAdditionConfig(modulus=10, fraction=0.5, batch_size=10)
    assert config.clock(Duration(steps=7)) == Clock(7, steps_per_epoch=(5,))
    assert config.clock(Duration(epochs=3)).total == 15
    with pytest.raises(ConfigError, match="budget"):
        config.clock(None)
    with pytest.raises(ConfigError, match=r"task\.fraction"):
        ModularAdditionConfig(modulus=2, fraction=0.1).clock(Duration(steps=1))
