"""`Phase.inputs`: a change of the inputs of a phase, in all that trains and scores it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_streams import PlainPhase, PlainStream, order
from torch import Tensor

from suite.data.sets import load
from suite.errors import ConfigError
from suite.registry import Registry
from suite.run_config import RunConfig
from suite.seeding import Seeds
from suite.streams.phase import Phase, Pool
from suite.streams.stream import Stream
from suite.streams.tasks import EqualTasksConfig
from suite.tasks.base import TASKS
from suite.training.batched import BatchedRun, batch_key
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

CPU = torch.device("cpu")
MLP = {"kind": "mlp", "width": 6, "depth": 1, "norm": "layer"}
TASK = {"kind": "changed", "dataset": "digits", "batch_size": 16, "tasks": 2}
TASK |= {"examples_per_task": 64, "epochs": 2}


class ChangedConfig(EqualTasksConfig):
    """Inputs of every second task are permuted, then a x + b."""

    side_by_side: ClassVar[bool] = True

    kind: Literal["changed"] = "changed"
    changes: bool = True
    change: ClassVar[Callable[[Tensor], Tensor] | None] = None

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        examples, name = self.subset(pool, seeds), f"order/{index}"
        if index % 2 == 0:
            return Phase(examples, name)
        permutation = torch.randperm(64, generator=seeds.torch("permutation"))
        return Phase(
            examples,
            name,
            permutation=permutation if self.augment == "none" else None,
            inputs=type(self).change if self.changes else None,
        )


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    TASKS.register("changed")(ChangedConfig)
    yield
    Registry.forget(__name__)


def request(seed: int = 0, **changes: Any) -> RunConfig:
    """Return a checked request, in double precision."""
    mapping = {"task": {**TASK, **changes}, "model": MLP, "precision": "float64", "seed": seed}
    config = RunConfig.from_mapping(mapping)
    config.check()
    return config


def stream_of(change: Callable[[Tensor], Tensor] | None, **changes: Any) -> Stream:
    """Return a stream with a change, the same for all, or without."""
    if change is not None:
        ChangedConfig.change = staticmethod(change)
    run = request(changes=change is not None, **changes)
    built = run.task.build(run.seeds, run.clock(), CPU)  # type: ignore[attr-defined]
    assert isinstance(built, Stream)
    return built


@settings(max_examples=10)
@given(a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_batches_are_those_of_a_slow_reader(a: float, b: float) -> None:
    stream = stream_of(lambda inputs: a * inputs + b)
    data, key = load("digits"), "changed/digits"
    images = order(key, 0, "subset", 1437)[:64]
    phases = [
        PlainPhase(images, 8, "order/0"),
        PlainPhase(
            images,
            8,
            "order/1",
            permutation=order(key, 0, "permutation", 64),
            change=lambda value: a * value + b,
        ),
    ]
    plain = PlainStream(data.train_inputs, data.train_labels, key, 0, 16, phases)
    expected = plain.batches()
    assert len(expected) == stream.clock.total
    for step, batch in enumerate(expected):
        inputs, targets = stream.batch(step)
        assert targets.tolist() == [label for _, label in batch]
        wanted = np.stack([x for x, _ in batch])
        assert np.allclose(inputs.flatten(1).numpy(), wanted, atol=1e-5)
    assert torch.equal(stream.batches(9, 3)[0][1], stream.batch(10)[0])


def test_training_and_held_out_data_follow_and_the_probe_does_not() -> None:
    plain, changed = stream_of(None), stream_of(torch.Tensor.neg_)  # in place
    for step in (16, 3, 16):
        sign = -1 if step == 16 else 1
        for split, (inputs, targets) in changed.splits(step).items():
            before, same = plain.splits(step)[split]
            assert torch.equal(inputs, sign * before)
            assert torch.equal(targets, same)
    negated, given = changed.held_out(1), plain.held_out(1)
    assert negated is not None
    assert given is not None
    assert torch.equal(negated[0], -given[0])
    assert torch.equal(changed.probe, plain.probe)


def test_the_change_comes_after_crops() -> None:
    """So that the black around an image is changed as the image is."""
    plain = stream_of(None, augment="crop_flip")
    changed = stream_of(lambda inputs: 2 * inputs + 1, augment="crop_flip")
    for step in range(16):
        inputs, before = changed.batch(step)[0], plain.batch(step)[0]
        assert torch.equal(inputs, 2 * before + 1 if step >= 8 else before)
    first, before = changed.current(1).first(9)[0], plain.current(1).first(9)[0]
    assert torch.equal(first, 2 * before + 1)


def test_in_a_transition_each_example_has_the_change_of_its_own_phase() -> None:
    changed = stream_of(lambda inputs: inputs + 100, transition=8)
    shares = []
    for step in range(8, 16):
        inputs, _ = changed.batch(step)
        high = (inputs > 50).flatten(1)
        assert torch.equal(high.any(1), high.all(1))
        shares.append(float(high.all(1).double().mean()))
    assert shares[0] < 0.5 < shares[-1]


def test_side_by_side_is_as_alone() -> None:
    ChangedConfig.change = torch.neg
    configs = [request(seed, transition=3) for seed in (0, 1)]
    assert batch_key(configs[0]) == batch_key(configs[1]) is not None
    group, sessions = BatchedRun(configs, CPU), [MemorySession() for _ in configs]
    assert group.train(sessions) == [None, None]
    for run, config in zip(group.runs, configs, strict=True):
        alone = SupervisedRun(config, CPU)
        alone.train(MemorySession())
        expected = alone.state_dict()["model"]
        torch.testing.assert_close(run.state_dict()["model"], expected, rtol=1e-9, atol=1e-12)


BAD: list[tuple[Callable[[Tensor], Any], str]] = [
    (lambda inputs: inputs.flatten(1), "torch.float64 of shape (64, 64)"),
    (lambda inputs: inputs[:3], "torch.float64 of shape (3, 1, 8, 8)"),
    (lambda inputs: inputs.half(), "torch.float16 of shape (64, 1, 8, 8)"),
    (lambda _: None, "'NoneType'"),
]


@pytest.mark.parametrize(("change", "found"), BAD)
def test_other_results_are_refused(change: Callable[[Tensor], Tensor], found: str) -> None:
    ChangedConfig.change = staticmethod(change)
    with pytest.raises(ConfigError, match=r"^Phase\.inputs: ") as error:
        SupervisedRun(request(), CPU).train(MemorySession())
    assert found in str(error.value)
