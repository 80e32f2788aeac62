"""Every stream's batches are those of a slow, independent reader (tests/references)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_streams import PlainPhase, PlainStream, order

from suite.data.sets import load
from suite.run_config import RunConfig
from suite.seeding import seed_for
from suite.streams.config import StreamConfig
from suite.streams.stream import Stream

CPU = torch.device("cpu")
MLP = {"kind": "mlp", "width": 4, "depth": 1, "norm": "layer"}


def stream_of(task: dict[str, Any], seed: int = 0) -> Stream:
    """Return the stream of a task on digits."""
    run = RunConfig.from_mapping(
        {"task": {"dataset": "digits", **task}, "model": MLP, "seed": seed}
    )
    run.check()
    assert isinstance(run.task, StreamConfig)
    built = run.task.build(run.seeds, run.clock(), CPU)
    assert isinstance(built, Stream)
    return built


def _ints(key: str, seed: int, stream: str, low: int, high: int, count: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed_for(key, seed, stream))
    return [int(i) for i in torch.randint(low, high, (count,), generator=generator)]


def _growing(seed: int) -> tuple[dict[str, Any], list[PlainPhase]]:
    task = {
        "kind": "growing",
        "batch_size": 50,
        "phases": [{"fraction": 0.1, "epochs": 2}, {"fraction": 0.3, "steps": 11}],
    }
    images = order("growing/digits", seed, "subset", 1437)
    return task, [
        PlainPhase(images[:144], 4, "order/0.1/0"),
        PlainPhase(images[:431], 11, "order/0.3/0"),
    ]


def _permuted(seed: int) -> tuple[dict[str, Any], list[PlainPhase]]:
    task = {
        "kind": "permuted",
        "batch_size": 16,
        "tasks": 3,
        "examples_per_task": 40,
        "epochs": 1,
        "first_in_order": True,
    }
    key = "permuted/digits"
    images = order(key, seed, "subset", 1437)[:40]
    return task, [
        PlainPhase(
            images,
            2,
            f"order/{k}",
            permutation=order(key, seed, f"permutation/{k}", 64) if k else None,
        )
        for k in range(3)
    ]


def _random_labels(seed: int) -> tuple[dict[str, Any], list[PlainPhase]]:
    task = {
        "kind": "random_labels",
        "batch_size": 16,
        "tasks": 2,
        "examples_per_task": 40,
        "steps": 5,
    }
    key = "random_labels/digits"
    images = order(key, seed, "subset", 1437)[:40]
    drawn = [_ints(key, seed, f"labels/{k}", 0, 10, 40) for k in range(2)]
    return task, [
        PlainPhase(images, 5, f"order/{k}", label=lambda place, _, k=k: drawn[k][place])  # type: ignore[misc]
        for k in range(2)
    ]


def _label_permuted(seed: int) -> tuple[dict[str, Any], list[PlainPhase]]:
    task = {
        "kind": "label_permuted",
        "batch_size": 16,
        "tasks": 2,
        "examples_per_task": 40,
        "steps": 5,
    }
    key = "label_permuted/digits"
    images = order(key, seed, "subset", 1437)[:40]
    names = [order(key, seed, f"names/{k}", 10) for k in range(2)]
    return task, [
        PlainPhase(images, 5, f"order/{k}", label=lambda _, own, k=k: names[k][own])  # type: ignore[misc]
        for k in range(2)
    ]


def _class_pairs(seed: int) -> tuple[dict[str, Any], list[PlainPhase]]:
    task = {"kind": "class_pairs", "batch_size": 16, "tasks": 3, "per_class": 20, "epochs": 1}
    key = "class_pairs/digits"
    labels = load("digits").train_labels
    pairs = [(a, b) for a in range(10) for b in range(a + 1, 10)]
    places = order(key, seed, "pairs/0", len(pairs))
    phases = []
    for k in range(3):
        pair = pairs[places[k]]
        examples = []
        for label in pair:
            own = [i for i, of in enumerate(labels) if of == label]
            drawn = order(key, seed, f"examples/{k}/{label}", len(own))
            examples += [own[i] for i in drawn[:20]]
        phases.append(
            PlainPhase(examples, 2, f"order/{k}", label=lambda _, own, p=pair: p.index(own))  # type: ignore[misc]
        )
    return task, phases


def _class_incremental(seed: int) -> tuple[dict[str, Any], list[PlainPhase]]:
    task = {
        "kind": "class_incremental",
        "batch_size": 16,
        "tasks": 3,
        "classes_per_task": 3,
        "per_class": 10,
        "epochs": 1,
    }
    key = "class_incremental/digits"
    labels = load("digits").train_labels
    classes = order(key, seed, "classes", 10)
    phases, examples = [], []
    for k in range(3):
        for label in classes[3 * k : 3 * k + 3]:
            own = [i for i, of in enumerate(labels) if of == label]
            drawn = order(key, seed, f"class/{label}", len(own))
            examples += [own[i] for i in drawn[:10]]
        phases.append(PlainPhase(list(examples), (30 * (k + 1)) // 16, f"order/{k}"))
    return task, phases


STREAMS = [_growing, _permuted, _random_labels, _label_permuted, _class_pairs, _class_incremental]


@pytest.mark.parametrize("make", STREAMS, ids=lambda make: make.__name__[1:])
@pytest.mark.parametrize("seed", [0, 3])
def test_batches_are_those_of_a_slow_reader(make: Any, seed: int) -> None:
    task, phases = make(seed)
    stream = stream_of(task, seed)
    data = load("digits")
    plain = PlainStream(
        data.train_inputs,
        data.train_labels,
        f"{task['kind']}/digits",
        seed,
        task["batch_size"],
        phases,
    )
    expected = plain.batches()
    assert len(expected) == stream.clock.total
    for step, batch in enumerate(expected):
        inputs, targets = stream.batch(step)
        assert targets.tolist() == [label for _, label in batch]
        wanted = np.stack([x for x, _ in batch])
        assert np.allclose(inputs.flatten(1).numpy(), wanted, atol=1e-6)


@settings(max_examples=30)
@given(share=st.floats(0, 1), seed=st.integers(0, 5))
def test_wrong_labels_are_wrong_and_as_many_as_asked_for(share: float, seed: int) -> None:
    task = {
        "kind": "growing",
        "batch_size": 16,
        "phases": [{"fraction": 0.2, "steps": 2, "noise": share}, {"fraction": 1.0, "steps": 2}],
    }
    stream = stream_of(task, seed)
    first = stream.current(0)
    own = stream.pool.labels[first.phase.examples]
    assert int((first.targets != own).sum()) == round(share * len(own))
    assert bool((first.targets >= 0).all() and (first.targets < 10).all())
    second = stream.current(1)
    assert torch.equal(second.targets, stream.pool.labels[second.phase.examples])


@settings(max_examples=20)
@given(validation=st.floats(0.01, 0.9), seed=st.integers(0, 3))
def test_held_out_examples_are_never_trained_on(validation: float, seed: int) -> None:
    task = {
        "kind": "growing",
        "batch_size": 64,
        "validation": validation,
        "phases": [{"fraction": 1.0, "epochs": 1}],
    }
    stream = stream_of(task, seed)
    splits = stream.splits(1)
    assert set(splits) == {"train", "validation"}
    held_out = {x.numpy().tobytes() for x in splits["validation"][0].contiguous()}
    assert len(splits["validation"][1]) == round(validation * 1437)
    assert len(stream.pool) + len(splits["validation"][1]) == 1437
    again = stream_of(task, seed + 1)
    assert torch.equal(splits["validation"][0], again.splits(1)["validation"][0])
    members = stream.inputs(stream.members)
    rows = [x.numpy().tobytes() for x in members.contiguous()]
    # Some digits occur twice in the data: as often as in the whole set, not because of the split.
    whole = stream.inputs(torch.arange(1437)).contiguous()
    twins = 1437 - len({x.numpy().tobytes() for x in whole})
    assert sum(row in held_out for row in rows) <= 2 * twins


def test_a_transition_mixes_the_phase_before_in_with_a_falling_share() -> None:
    base = {"kind": "permuted", "batch_size": 64, "tasks": 2, "steps": 20}
    plain, mixed = stream_of(base), stream_of({**base, "transition": 10})
    shares = []
    for step in range(20, 40):
        inputs, targets = mixed.batch(step)
        new, labels = plain.batch(step)
        same = (inputs == new).flatten(1).all(1)
        assert torch.equal(targets[same], labels[same])
        shares.append(same.float().mean().item())
    assert shares[10:] == [1.0] * 10
    expected = torch.arange(1, 11) / 11
    assert torch.allclose(torch.tensor(shares[:10]), expected, atol=0.2)
    for step in range(20):
        assert torch.equal(mixed.batch(step)[0], plain.batch(step)[0])


def test_the_data_of_a_mixed_batch_that_are_not_new_are_the_old_phase_s() -> None:
    stream = stream_of(
        {"kind": "label_permuted", "batch_size": 64, "tasks": 2, "steps": 20, "transition": 10}
    )
    old = stream._make(0)
    for step in (20, 25, 29):
        new_inputs, new_targets = stream.current(1).batch(step)
        old_inputs, old_targets = old.batch(step)
        inputs, targets = stream.batch(step)
        for i in range(64):
            pair = (inputs[i], targets[i])
            choices = [(new_inputs[i], new_targets[i]), (old_inputs[i], old_targets[i])]
            assert any(torch.equal(pair[0], x) and pair[1] == y for x, y in choices)
