"""Views: arrays of any of Gymnasium's spaces, with Gymnasium's own `flatten` as the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from suite.environments.failure import EnvironmentFailed
from suite.environments.view import View, ViewOptions
from suite.errors import ConfigError

IMAGE = spaces.Box(0, 255, (5, 4, 3), np.uint8)
VECTOR = spaces.Box(-1.0, 1.0, (3,), np.float64)
MIXED = spaces.Dict(
    {
        "image": IMAGE,
        "direction": spaces.Discrete(4, start=1),
        "inner": spaces.Dict({"a": VECTOR, "b": spaces.MultiBinary(2)}),
        "pair": spaces.Tuple([spaces.MultiDiscrete([2, 5]), spaces.Box(0, 1, (), np.float32)]),
    }
)
SPACES = [IMAGE, VECTOR, MIXED, spaces.Discrete(6), spaces.MultiBinary((2, 3)), MIXED["pair"]]
JOINED = ViewOptions(flatten=True)


def drawn(space: Any, count: int) -> list[Any]:
    space.seed(0)
    return [space.sample() for _ in range(count)]


def stacked(space: Any, observations: list[Any]) -> Any:
    """Return what a simulator of many environments gives: each part with their axis in front."""
    if isinstance(space, spaces.Dict):
        parts = space.spaces.items()
        return {k: stacked(part, [obs[k] for obs in observations]) for k, part in parts}
    if isinstance(space, spaces.Tuple):
        numbered = enumerate(space.spaces)
        return tuple(stacked(part, [obs[i] for obs in observations]) for i, part in numbered)
    return np.stack([np.asarray(obs) for obs in observations])


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_joined_parts_are_those_of_gymnasium(space: Any) -> None:
    view, observations = View(space, JOINED), drawn(space, 7)
    expected = [np.asarray(spaces.flatten(space, obs), np.float32) for obs in observations]
    assert view.shape == (len(expected[0]),)
    for obs, flat in zip(observations, expected, strict=True):
        seen = view.one(obs)
        assert seen.dtype == np.float32
        np.testing.assert_array_equal(seen, flat)
    np.testing.assert_array_equal(view.batch(stacked(space, observations)), np.stack(expected))


def test_one_part_keeps_its_shape() -> None:
    (obs,) = drawn(MIXED, 1)
    view = View(MIXED, ViewOptions(keys=("image",)))
    assert view.shape == (5, 4, 3)
    np.testing.assert_array_equal(view.one(obs), obs["image"])
    joined = View(MIXED, ViewOptions(keys=("direction", "image"), flatten=True)).one(obs)
    np.testing.assert_array_equal(joined[:4], np.eye(4)[obs["direction"] - 1])
    np.testing.assert_array_equal(joined[4:], obs["image"].reshape(-1))


def test_images_are_turned_and_scaled() -> None:
    options = ViewOptions(keys=("image",), scale=1 / 255, channels_last=True)
    view, observations = View(MIXED, options), drawn(MIXED, 3)
    assert view.shape == (3, 5, 4)
    seen = view.batch(stacked(MIXED, observations))
    assert seen.flags.c_contiguous
    for one, obs in zip(seen, observations, strict=True):
        np.testing.assert_array_equal(one, view.one(obs))
        np.testing.assert_allclose(one[2, 4, 1], obs["image"][4, 1, 2] / 255, rtol=1e-6)


def test_names_are_not_scaled() -> None:
    assert set(View(spaces.Discrete(3), ViewOptions(scale=0.5)).one(2)) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("space", "options", "key", "said"),
    [
        (MIXED, ViewOptions(), "task.observation", "flatten: true"),
        (MIXED, ViewOptions(keys=("inner",)), "task.observation", "inner.a, inner.b"),
        (MIXED, ViewOptions(keys=("imge",)), "task.observation", "'image'"),
        (VECTOR, ViewOptions(keys=("image",)), "task.observation", "no such key"),
        (VECTOR, ViewOptions(channels_last=True), "task.channels_last", r"\(3,\)"),
        (VECTOR, ViewOptions(pad_channels=5), "task.pad_channels", r"\(3,\)"),
        (
            IMAGE,
            ViewOptions(channels_last=True, pad_channels=2),
            "task.pad_channels",
            r"enough for images",
        ),
        (IMAGE, ViewOptions(flatten=True, channels_last=True), "task.channels_last", "60"),
        (spaces.Text(5), ViewOptions(), "task.env", "observations of numbers"),
        (spaces.Box(0, 1, (0,)), ViewOptions(), "task.env", "at least one number"),
        (spaces.Dict({}), ViewOptions(), "task.env", "a part"),
    ],
)
def test_what_is_no_array_is_refused(space: Any, options: ViewOptions, key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        View(space, options)
    assert error.value.key == key


@pytest.mark.parametrize(
    ("space", "obs", "said"),
    [
        (VECTOR, np.zeros(4), r"shape \(4,\), .* \(3,\)"),
        (VECTOR, [[1.0], [1.0, 2.0]], "no array of numbers"),
        (VECTOR, ["a", "b", "c"], "no array of numbers"),
        (VECTOR, None, r"shape \(\)"),
        (spaces.Discrete(3), 3, "out of its space"),
        (spaces.Discrete(3), -1, "out of its space"),
        (spaces.Dict({"x": VECTOR}), {"y": np.zeros(3)}, "no part 'x'"),
    ],
)
def test_an_observation_that_is_not_in_its_space_is_named(space: Any, obs: Any, said: str) -> None:
    with pytest.raises(EnvironmentFailed, match=said):
        View(space, JOINED).one(obs)
