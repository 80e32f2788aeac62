"""Crops and flips against a slow copy, pixel by pixel."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.seeding import Seeds
from suite.streams.augment import PADDING, Draws, crop_flip

CPU = torch.device("cpu")


@settings(max_examples=20)
@given(seed=st.integers(0, 100), height=st.integers(1, 7), width=st.integers(1, 7))
def test_crops_and_flips_are_those_of_a_slow_copy(seed: int, height: int, width: int) -> None:
    images = torch.randn(5, 2, height, width, generator=torch.Generator().manual_seed(seed))
    black = torch.tensor([-1.0, 0.5])
    draws = Draws.of(Seeds("t", seed), "augment", 5, CPU)
    found = crop_flip(images, draws, black)
    for i in range(5):
        top, left = int(draws.top[i]) - PADDING, int(draws.left[i]) - PADDING
        for c in range(2):
            for y in range(height):
                for x in range(width):
                    across = width - 1 - x if bool(draws.flip[i]) else x
                    row, column = y + top, across + left
                    inside = 0 <= row < height and 0 <= column < width
                    wanted = images[i, c, row, column] if inside else black[c]
                    assert torch.allclose(found[i, c, y, x], wanted, atol=1e-6)


def test_draws_cover_all_offsets_and_both_sides() -> None:
    draws = Draws.of(Seeds("t", 0), "augment", 5000, CPU)
    for offsets in (draws.top, draws.left):
        assert set(offsets.tolist()) == set(range(2 * PADDING + 1))
    assert 0.45 < draws.flip.float().mean() < 0.55
