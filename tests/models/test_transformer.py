from __future__ import annotations

import math
import warnings
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_transformer import plain_forward

from suite.models.normalize import NormKind
from suite.models.transformer import APART, GrokkingTransformer


def _pair_of_gradients(
    model: GrokkingTransformer, pairs: torch.Tensor
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    found = []
    for forward in (model, lambda x: plain_forward(model, x)):
        model.zero_grad()
        torch.nn.functional.cross_entropy(forward(pairs), pairs.sum(1) % model.modulus).backward()
        found.append([cast(torch.Tensor, p.grad).clone() for p in model.parameters()])
    return found[0], found[1]


@pytest.mark.parametrize("norm", ["none", "rms", "layer"])
@pytest.mark.parametrize("modulus", [5, 23])
def test_factored_equals_plain(norm: NormKind, modulus: int) -> None:
    torch.manual_seed(0)
    model = GrokkingTransformer(modulus, 32, 4, 64, norm).double()
    pairs = torch.cartesian_prod(torch.arange(modulus), torch.arange(modulus))
    torch.testing.assert_close(model(pairs), plain_forward(model, pairs), rtol=1e-10, atol=1e-10)
    for ours, reference in zip(*_pair_of_gradients(model, pairs), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-11)


def test_factored_equals_plain_in_single_precision_at_the_papers_size() -> None:
    torch.manual_seed(1)
    model = GrokkingTransformer(117, 128, 4, 512, "rms")
    pairs = torch.randint(0, 117, (500, 2))
    torch.testing.assert_close(model(pairs), plain_forward(model, pairs), rtol=1e-5, atol=1e-5)
    for ours, reference in zip(*_pair_of_gradients(model, pairs), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


@settings(max_examples=25)
@given(scale=st.floats(0.1, 60.0), seed=st.integers(0, 1000))
def test_sharp_attention_stays_equal_and_finite(scale: float, seed: int) -> None:
    """Scores far apart (up to hundreds of nats) neither overflow nor vanish."""
    torch.manual_seed(seed)
    model = GrokkingTransformer(7, 8, 2, 16, "none").double()
    with torch.no_grad():
        model.query.weight.mul_(scale)
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    torch.testing.assert_close(model(pairs), plain_forward(model, pairs), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("times", [0.5, 3.0, 30.0])
def test_scores_far_above_the_shared_ones_keep_their_gradients_in_single_precision(
    times: float,
) -> None:
    torch.manual_seed(0)
    model = GrokkingTransformer(7, 8, 2, 16, "none")
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    with torch.no_grad():
        scores = model._scores(model.norm_attention(model._rows()))
        most = (scores.amax(0) - scores[14:].amax(0)).max()
        model.query.weight.mul_(times * APART / most)
    torch.testing.assert_close(model(pairs), plain_forward(model, pairs), rtol=1e-4, atol=1e-4)
    for ours, reference in zip(*_pair_of_gradients(model, pairs), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-3, atol=1e-4)


def test_each_example_may_have_its_own_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does, and scores far apart."""
    torch.manual_seed(2)
    model = GrokkingTransformer(11, 8, 2, 16, "rms").double()
    pairs = torch.cartesian_prod(torch.arange(11), torch.arange(11))
    rows = model(pairs)
    monkeypatch.setattr("suite.models.transformer.APART", -math.inf)
    torch.testing.assert_close(model(pairs), rows, rtol=1e-12, atol=1e-12)
    for ours, reference in zip(*_pair_of_gradients(model, pairs), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


def test_it_runs_where_nothing_is_known_of_the_scores() -> None:
    """On the meta device, as plans do, and inside vmap."""
    with torch.device("meta"):
        model = GrokkingTransformer(11, 8, 2, 16, "rms")
        assert model(torch.zeros((5, 2), dtype=torch.int64)).shape == (5, 11)
    model = GrokkingTransformer(5, 8, 2, 16, "none").double()
    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sums of rows have no batching rule
        one_by_one = torch.func.vmap(lambda pair: model(pair.unsqueeze(0))[0])(pairs)
    torch.testing.assert_close(one_by_one, model(pairs), rtol=1e-12, atol=1e-12)


def test_scores_hundred_nats_above_the_shared_tokens_stay_finite_in_single_precision() -> None:
    torch.manual_seed(0)
    model = GrokkingTransformer(7, 8, 2, 16, "none")
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    with torch.no_grad():
        for _ in range(200):
            model.query.weight.mul_(1.1)
            rows = model.tokens.weight[:7] + model.places.weight[0]
            query = model.query(model.tokens.weight[-1] + model.places.weight[4])
            if (model.key(rows) * query).sum(1).abs().max() > 100:
                break
        assert torch.isfinite(model(pairs)).all()
