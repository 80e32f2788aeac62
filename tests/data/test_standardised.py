"""Inputs on a device, standardised by channel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from suite.data.base import DataSet
from suite.data.sets import DataName, load
from suite.data.standardised import Standardised
from suite.errors import ConfigError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        pytest.param("mnist", marks=pytest.mark.slow),
        pytest.param("cifar10", marks=pytest.mark.slow),
    ],
)
def test_images_are_standardised_by_channel(name: DataName) -> None:
    try:
        data = load(name)
    except ConfigError as error:
        pytest.skip(str(error))
    train, test = Standardised.splits(data, CPU)
    pixels = data.train_inputs.astype(np.float64) / 255
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2), ddof=1)
    index = torch.tensor([3, 3, 99, 0])
    for split, images in ((train, data.train_inputs), (test, data.test_inputs)):
        inputs = split(index)
        expected = (images[index.numpy()].astype(np.float64) / 255 - mean) / std
        assert np.allclose(inputs.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-4)
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        assert (inputs.dtype, len(split)) == (torch.float32, len(images))


def _floats(shape: tuple[int, ...]) -> DataSet:
    generator = np.random.default_rng(0)
    scale = np.arange(1, shape[1] + 1).reshape(-1, *[1] * (len(shape) - 2))
    train, test = (
        (scale * generator.standard_normal(shape) + 10 * scale).astype(np.float32) for _ in range(2)
    )
    labels = np.arange(len(train)) % 3
    return DataSet(train, labels, test, labels, 3, "made up")


@pytest.mark.parametrize("shape", [(50, 4), (50, 1, 7), (50, 3, 5, 6)])
def test_floats_are_standardised_by_their_first_axis(shape: tuple[int, ...]) -> None:
    data = _floats(shape)
    train, test = Standardised.splits(data, CPU)
    index = torch.tensor([3, 3, 49, 0])
    for split, inputs in ((train, data.train_inputs), (test, data.test_inputs)):
        expected = np.empty(inputs.shape)
        for channel in range(shape[1]):
            of_train = data.train_inputs[:, channel].astype(np.float64)
            part = inputs[:, channel].astype(np.float64)
            expected[:, channel] = (part - of_train.mean()) / of_train.std(ddof=1)
        made = split(index)
        assert (made.dtype, made.shape) == (torch.float32, (4, *shape[1:]))
        np.testing.assert_allclose(made.numpy(), expected[index.numpy()], rtol=1e-4, atol=1e-5)


def test_a_constant_channel_is_zero() -> None:
    inputs = np.full((1, 2), 3.0, np.float32)
    assert Standardised(inputs, CPU)(slice(None)).tolist() == [[0, 0]]
    images = np.full((4, 2, 2, 1), 7, np.uint8)
    assert not Standardised(images, CPU)(slice(None)).any()
