"""Frames kept in a tensor give what frames in a numpy array give."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike
from traces import to_block, trace

from suite.replay.blocks import Sample
from suite.replay.frame_ring import FrameRing


def rings_of(
    capacity: int, lanes: int, dtype: DTypeLike, stack: int, n_step: int
) -> list[FrameRing]:
    return [
        FrameRing(
            capacity, lanes, (3, 2), dtype, stack, n_step, 0.9, np.random.default_rng(0), device
        )
        for device in (None, torch.device("cpu"))
    ]


def assert_same(host: Sample, device: Sample) -> None:
    for name, expected in vars(host).items():
        found = getattr(device, name)
        if name in ("s_tm1", "s_t"):
            assert torch.equal(found, torch.from_numpy(expected))  # of the same type, too
        else:
            assert np.array_equal(found, expected)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    lanes=st.integers(1, 3),
    capacity=st.integers(1, 40),
    dtype=st.sampled_from([np.uint8, np.float32]),
    stack=st.integers(1, 4),
    n_step=st.integers(1, 4),
    blocks=st.lists(st.integers(1, 60), min_size=1, max_size=6),
)
def test_samples_are_those_of_numpy(
    seed: int,
    lanes: int,
    capacity: int,
    dtype: DTypeLike,
    stack: int,
    n_step: int,
    blocks: list[int],
) -> None:
    rng = np.random.default_rng(seed)
    host, device = rings_of(capacity, lanes, dtype, stack, n_step)
    traces = [trace(rng, sum(blocks), 80 * lane) for lane in range(lanes)]
    t = 0
    for steps in blocks:
        for ring in (host, device):
            ring.add(to_block(traces, t, t + steps, (3, 2)))
        t += steps
        index = np.flatnonzero(host.resolve(np.arange(lanes * host.slots)).eligible)
        assert_same(*(ring.gather(ring.resolve(index)) for ring in (host, device)))
        if len(index):
            assert_same(host.sample(8), device.sample(8))


def test_snapshots_are_interchangeable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.replay.arrays.PIECE", 7)  # several pieces of a lane
    rng = np.random.default_rng(0)
    traces = [trace(rng, 60, 0), trace(rng, 60, 100)]
    for source in (0, 1):
        folder = tmp_path / str(source)
        folder.mkdir()
        ring = rings_of(40, 2, np.uint8, 4, 3)[source]
        ring.add(to_block(traces, 0, 20, (3, 2)))
        ring.save(folder)
        host, device = rings_of(40, 2, np.uint8, 4, 3)
        for other in (host, device):
            other.load_state_dict(ring.state_dict())
            other.load(folder)
            other.add(to_block(traces, 20, 22, (3, 2)))
        ring.add(to_block(traces, 20, 22, (3, 2)))
        samples = [r.sample(16) for r in (host, device, ring)]
        assert_same(*samples[:2])
        assert np.array_equal(np.asarray(samples[2].s_t), samples[0].s_t)
    first, second = (sorted((tmp_path / name).iterdir()) for name in "01")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_snapshot_of_other_frames_is_refused(tmp_path: Path) -> None:
    _, device = rings_of(40, 2, np.float32, 4, 3)
    rings_of(40, 2, np.uint8, 4, 3)[0].save(tmp_path)
    with pytest.raises(ValueError, match=r"frames\.npy: got uint8 .*; expected float32"):
        device.load(tmp_path)
