from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from suite.clock import Clock
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS
from suite.params import classify

Make = Callable[[], nn.Module]


def _config(**settings: Any) -> dict[str, Any]:
    return {"kind": "shrink_perturb", "every": 5, **settings}


@pytest.mark.parametrize(("shrink", "perturb"), [(0.8, 0.2), (0.4, 0.05), (1.0, 0.0), (0.0, 2.0)])
def test_every_weight_is_shrunk_and_given_noise(
    shrink: float, perturb: float, bench: Any, network: Make
) -> None:
    run = bench(network, _config(shrink=shrink, perturb=perturb, reset_optimizer=False))
    twin = bench(network).update(5)
    objects = {name: (id(p), p.data_ptr()) for name, p in run.named.items()}
    for name, value in run.update(4).values().items():
        assert torch.equal(value, bench(network).update(4).named[name])
    assert run.update().reset
    drawn = dict(run.fresh(5).named_parameters())
    for name, p in run.named.items():
        expected = shrink * twin.named[name] + perturb * drawn[name]
        torch.testing.assert_close(p, expected, rtol=1e-14, atol=1e-16)
        for key, value in run.moments(name).items():
            assert torch.equal(value, twin.moments(name)[key])
    assert {name: (id(p), p.data_ptr()) for name, p in run.named.items()} == objects
    assert [tuple(e) for e in run.stack.take_events()] == [(5, "shrink_perturb", "", 1.0)]


def test_all_noise_and_a_new_optimizer_is_a_full_reset(bench: Any, network: Make) -> None:
    ours = bench(network, _config(shrink=0.0, perturb=1.0)).update(12)
    reset = bench(network, {"kind": "reset", "every": 5, "layers": "all"}).update(12)
    for name, value in ours.values().items():
        assert torch.equal(value, reset.named[name])


def test_the_optimizer_forgets_in_place_what_was_changed_and_nothing_else(
    bench: Any, network: Make
) -> None:
    run = bench(network, _config(roles=["weight"])).update(4)
    held = {name: [id(t) for t in run.moments(name).values()] for name in run.named}
    run.update()
    roles = classify(run.net)
    assert {"weight", "output"} <= set(roles.values())
    for name in run.named:
        moments = run.moments(name)
        assert [id(t) for t in moments.values()] == held[name]
        for key, value in moments.items():
            assert bool(value.any()) == (roles[name] != "weight"), (name, key)
    twin = bench(network).update(5)
    for name, role in roles.items():
        assert torch.equal(run.named[name], twin.named[name]) == (role != "weight")


def test_gains_that_nap_holds_stay_where_they_are(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6, bias=False), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 1)
        )

    nap = {"kind": "nap", "gains": "dropped"}
    run = bench(make, nap, _config(shrink=0.5, perturb=0.1)).update(5)
    assert torch.equal(run.named["1.weight"], torch.ones(6).double())
    assert torch.equal(run.named["1.bias"], torch.zeros(6).double())


def test_it_acts_where_data_arrive(bench: Any, network: Make) -> None:
    config = {"kind": "shrink_perturb", "at_phases": True}
    run = bench(network, config, clock=Clock(20, (0, 7, 13)))
    assert run.update(20).acts == [7, 13]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"shrink": 1.1}, "shrink"),
        ({"perturb": -0.1}, "perturb"),
        ({"every": None}, "every"),
        ({"roles": []}, "roles"),
    ],
)
def test_bad_settings_name_their_key(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        INTERVENTIONS["shrink_perturb"].from_mapping(_config(**settings))
    assert error.value.key == key


def test_roles_that_are_not_there_are_refused(bench: Any) -> None:
    with pytest.raises(ConfigError, match=r"shrink_perturb\.roles: got \['gain'\]"):
        bench(lambda: nn.Linear(4, 2), _config(roles=["gain"]))
