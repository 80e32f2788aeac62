"""The scaled start: what is multiplied, what projection makes of it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from suite.errors import ConfigError
from suite.interventions.normalize_project import Projection
from suite.metrics.effective_lr import effective_lr
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats, IntegerPairs
from suite.optimizers import AdamConfig

SPEC = ModelSpec(IntegerPairs(7), 7)
INNER = {"kind": "transformer", "width": 8, "heads": 2, "hidden": 16, "norm": "layer"}


def make(spec: ModelSpec = SPEC, **keys: Any) -> nn.Module:
    config = MODELS["scaled_start"].from_mapping({"kind": "scaled_start", "inner": INNER, **keys})
    return build_model(config, spec, 0)


def test_matrices_are_multiplied_and_gains_are_not() -> None:
    usual = build_model(MODELS["transformer"].from_mapping(INNER), SPEC, 0)
    halved = make(factor=0.5).state_dict()
    assert halved.keys() == usual.state_dict().keys()
    for name, value in usual.state_dict().items():
        factor = 1.0 if "norm" in name else 0.5
        torch.testing.assert_close(halved[name], factor * value)


def test_roles_say_what_is_multiplied() -> None:
    usual = build_model(MODELS["transformer"].from_mapping(INNER), SPEC, 0).state_dict()
    doubled = make(factor=2.0, roles=["output"]).state_dict()
    assert {name for name in usual if not torch.equal(usual[name], doubled[name])} == {
        "decoder.weight"
    }
    torch.testing.assert_close(doubled["decoder.weight"], 2 * usual["decoder.weight"])


def test_roles_that_the_network_lacks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.roles: got \['bias'\]"):
        make(roles=["bias"])


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_an_invariant_map_learns_the_same_at_another_norm_and_its_effective_rate(
    factor: float,
) -> None:
    """In float64, with Adam, the norm of a map before RMSNorm matters through the rate alone."""
    inner = {"kind": "pair_mlp", "embedding": 4, "width": 8, "depth": 1, "norm": "rms"}
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    moved = []
    for scale in (1.0, factor):
        model = make(inner=inner, factor=scale, roles=["weight"]).double()
        rates = AdamConfig(lr=1e-2, eps=1e-30, rate_by_role={"weight": scale})
        optimizer, nap = rates.build(model), Projection(model, which="matrices")
        start = model(pairs).detach()
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(pairs), pairs.sum(1) % 7).backward()
            optimizer.step()
            nap.step()
        moved.append(model(pairs).detach() - start)
    difference = (moved[1] - moved[0]).abs().max()
    assert difference < 0.01 * moved[0].abs().max()  # the norm layer's epsilon is all that is left


def test_a_factor_of_one_is_the_inner_model() -> None:
    usual = build_model(MODELS["transformer"].from_mapping(INNER), SPEC, 0).state_dict()
    assert all(torch.equal(v, usual[k]) for k, v in make().state_dict().items())


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_projection_holds_it_there_and_a_rate_in_proportion_holds_the_effective_one(
    factor: float,
) -> None:
    usual, scaled = make(), make(factor=factor)
    for model in (usual, scaled):
        projection = Projection(model, which="matrices")
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
        projection.step()
    for name in ("query.weight", "tokens.weight", "decoder.weight"):
        a, b = (m.get_parameter(name).norm() for m in (usual, scaled))
        torch.testing.assert_close(b, factor * a)
        rates = [
            effective_lr(rate, norm, normalised_updates=True)
            for rate, norm in ((0.1, a), (0.1 * factor, b))
        ]
        torch.testing.assert_close(rates[0], rates[1])


def test_what_cannot_be_inside_is_refused_by_its_path() -> None:
    with pytest.raises(ConfigError, match=r"model\.inner\.kind"):
        make(spec=ModelSpec(Floats((5,)), 3))
    centred = {"kind": "scaled", "inner": {"kind": "mlp"}, "centred": True}
    with pytest.raises(ConfigError, match=r"model\.inner\.kind.*copy of its start"):
        make(spec=ModelSpec(Floats((5,)), 3), inner=centred)


def test_there_is_a_closed_form_where_the_inner_model_has_one() -> None:
    kinds = {"committee": 4, "mlp": None}
    for kind, width in kinds.items():
        inner = {"kind": kind} if width is None else {"kind": kind, "width": width}
        config = MODELS["scaled_start"].from_mapping({"kind": "scaled_start", "inner": inner})
        found = type(config).batched([config, config], torch.zeros(1))
        assert (found is None) == (width is None)
