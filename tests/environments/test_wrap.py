"""Changes of environments: against a slow reference, and what must hold of any of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain_wrap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.environments.wrap import MaskConfig, Wrap, WrapConfig
from suite.errors import ConfigError
from suite.ranges import ANY, Range
from suite.tasks.classic_control import ClassicControlConfig

SEEDS = st.none() | st.integers(0, 2**63 - 1)
SHAPES = st.sampled_from([(2,), (7,), (10, 5), (4, 3, 3)])


@st.composite
def configs(draw: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "permute_observations": draw(SEEDS),
        "permute_actions": draw(SEEDS),
        "shift": draw(st.sampled_from([0.0, 0.5, -3.0])),
        "reward_factor": draw(st.sampled_from([1.0, -1.0, 0.25])),
    }
    if draw(st.booleans()):
        found["mask"] = {"share": 0.5, "seed": draw(st.integers(0, 99))}
    return found


@given(configs(), SHAPES, st.integers(1, 6), st.integers(0, 99))
def test_it_is_the_slow_reference(
    config: dict[str, Any], shape: tuple[int, ...], actions: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    wrap = Wrap(WrapConfig.from_mapping(config), shape, actions)
    obs = generator.normal(size=(5, *shape)).astype(np.float32)
    before = obs.copy()
    found = wrap.observations(obs)
    assert found.shape == obs.shape
    assert found.dtype == np.float32
    np.testing.assert_array_equal(obs, before)  # a simulator's own array is left alone
    for one, lane in zip(found, obs, strict=True):
        np.testing.assert_allclose(one, plain_wrap.seen(config, lane), rtol=1e-6, atol=1e-6)
    chosen = generator.integers(actions, size=5)
    expected = [plain_wrap.taken(config, int(action), actions) for action in chosen]
    np.testing.assert_array_equal(wrap.actions(chosen), expected)
    rewards = generator.normal(size=5).astype(np.float32)
    paid = [plain_wrap.paid(config, float(reward)) for reward in rewards]
    np.testing.assert_allclose(wrap.rewards(rewards), paid, rtol=1e-6)
    assert wrap.rewards(rewards).dtype == np.float32


@given(SEEDS, SEEDS, SHAPES, st.integers(1, 18))
def test_permutations_lose_nothing(
    first: int | None, second: int | None, shape: tuple[int, ...], actions: int
) -> None:
    wrap = Wrap(WrapConfig(permute_observations=first, permute_actions=second), shape, actions)
    entries = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    assert sorted(wrap.observations(entries).ravel()) == sorted(entries.ravel())
    assert sorted(wrap.actions(np.arange(actions))) == list(range(actions))


@given(st.floats(0.01, 0.99), st.integers(2, 200), st.integers(0, 99))
def test_a_mask_has_the_share_it_says_or_is_refused(share: float, entries: int, seed: int) -> None:
    count = round(share * entries)
    mask = MaskConfig(share=share, seed=seed)
    if not 0 < count < entries:
        with pytest.raises(ConfigError, match=r"task\.wrap\.mask\.share.*some, not all"):
            Wrap(WrapConfig(mask=mask), (entries,), 2)
        return
    seen = Wrap(WrapConfig(mask=mask, shift=1.0), (entries,), 2).observations(
        np.ones((3, entries), np.float32)
    )
    assert (np.count_nonzero(seen == 0, axis=1) == count).all()
    assert (seen[seen != 0] == 2).all()
    assert (seen == seen[0]).all()  # the same entries in all lanes


def test_seeds_make_different_draws_and_streams_are_independent() -> None:
    def order(**changes: Any) -> list[float]:
        wrap = Wrap(WrapConfig(**changes), (50,), 50)
        entries = np.arange(50, dtype=np.float32)[None]
        return [*wrap.observations(entries)[0]]

    orders = [order(permute_observations=seed) for seed in range(8)]
    assert len({tuple(one) for one in orders}) == 8
    actions = Wrap(WrapConfig(permute_actions=0), (50,), 50).actions(np.arange(50))
    assert orders[0] != [*actions]
    assert order(permute_observations=0, permute_actions=3) == orders[0]


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5, -3.0])
@pytest.mark.parametrize("own", [Range(0, 500), Range(-1, 0), Range(-2, None), ANY])
def test_returns_stay_within_their_range(own: Range, factor: float) -> None:
    found = WrapConfig(reward_factor=factor).returns(own)
    for bound in (own.lower, own.upper, 0.0):
        if bound is not None:
            assert found.outside([bound * factor]) == 0
    assert (found.lower is None) + (found.upper is None) == (own.lower is None) + (
        own.upper is None
    )


def test_a_task_without_changes_is_the_task_it_was() -> None:
    plain = ClassicControlConfig(env="Catch-v0")
    assert "wrap" not in plain.canonical()
    assert plain == ClassicControlConfig(env="Catch-v0", wrap=WrapConfig())
    changed = ClassicControlConfig(env="Catch-v0", wrap=WrapConfig(shift=1.0))
    assert '"wrap":{' in changed.canonical()
    assert changed.seed_key == plain.seed_key


@pytest.mark.parametrize(
    ("wrap", "key", "said"),
    [
        ({"reward_factor": 0.0}, "wrap.reward_factor", "other than 0"),
        ({"mask": {"share": 1.0}}, "wrap.mask.share", "less than 1"),
        ({"permute_actions": -1}, "wrap.permute_actions", "greater than or equal to 0"),
        ({"permute": 1}, "wrap.permute", "permute_actions"),
    ],
)
def test_wrong_requests_name_the_key(wrap: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        ClassicControlConfig.from_mapping({"kind": "classic_control", "wrap": wrap})
    assert error.value.key == key
    assert said in error.value.expected
