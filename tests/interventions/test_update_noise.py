from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.clock import Clock
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, InterventionStack
from suite.params import classify
from suite.seeding import Seeds

Make = Callable[[], nn.Module]
LR = 0.01  # of the bench


def _config(**settings: Any) -> dict[str, Any]:
    return {"kind": "update_noise", "std": 0.1, **settings}


def _noise(bench: Any, make: Make, *configs: dict[str, Any]) -> dict[str, Tensor]:
    """Return by how much the first update differs from that of a twin without noise."""
    run, twin = bench(make, *configs).update(), bench(make).update()
    return {name: value - twin.named[name] for name, value in run.values().items()}


def wide() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 200), nn.ReLU(), nn.Linear(200, 300), nn.Linear(300, 2))


@pytest.mark.parametrize(("settings", "std"), [({}, 0.1), ({"scale_with_lr": True}, 0.1 * LR)])
def test_the_noise_is_standard_normal_times_std(
    settings: dict[str, Any], std: float, bench: Any
) -> None:
    found = _noise(bench, wide, _config(**settings))
    z = found["2.weight"].flatten() / std  # 60,000 values
    error = len(z) ** -0.5
    assert abs(z.mean().item()) < 4 * error
    assert abs(z.square().mean().item() - 1) < 4 * error * 2**0.5
    assert abs(z.pow(4).mean().item() - 3) < 4 * error * 96**0.5  # variance 105 - 9
    share = (z.abs() < 1).double().mean().item()
    assert abs(share - 0.682689) < 4 * error * 0.4654
    assert all(bool(value.all()) for value in found.values())  # every value has its own
    assert len(torch.cat([v.flatten() for v in found.values()]).unique()) == sum(
        v.numel() for v in found.values()
    )


def test_each_update_has_noise_of_its_own_that_is_the_seeds_alone(
    bench: Any, network: Make
) -> None:
    config = INTERVENTIONS["update_noise"].from_mapping(_config())

    def noise(seeds: Seeds, step: int) -> Tensor:
        net = network()
        stack = InterventionStack([config], Bound.of(net, Clock(9), seeds=seeds))
        before = nn.utils.parameters_to_vector(net.parameters()).clone()
        stack.after_step(step, LR)
        return nn.utils.parameters_to_vector(net.parameters()) - before

    first = noise(Seeds("a", 0), 3)
    torch.testing.assert_close(noise(Seeds("a", 0), 3), first, rtol=0, atol=1e-6)
    for other in (noise(Seeds("a", 1), 3), noise(Seeds("b", 0), 3), noise(Seeds("a", 0), 4)):
        assert (first - other).abs().min() > 1e-6


def test_only_the_chosen_roles_get_it(bench: Any, network: Make) -> None:
    roles = classify(bench(network).net)
    for name, value in _noise(bench, network, _config(roles=["output", "bias"])).items():
        assert bool(value.any()) == (roles[name] in ("output", "bias"))


def test_projection_comes_after_the_noise(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6, bias=False), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 1)
        )

    run = bench(make, {"kind": "nap"}, _config())
    before = run.named["0.weight"].norm().item()
    run.update(3)
    assert run.named["0.weight"].norm().item() == pytest.approx(before, rel=1e-12)


def test_gains_that_nap_holds_stay_where_they_are(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6, bias=False), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 1)
        )

    run = bench(make, {"kind": "nap", "gains": "dropped"}, _config()).update(2)
    assert torch.equal(run.named["1.weight"], torch.ones(6).double())


def test_bad_settings_name_their_key() -> None:
    for settings, key in (({"std": -0.1}, "std"), ({"roles": []}, "roles")):
        with pytest.raises(ConfigError) as error:
            INTERVENTIONS["update_noise"].from_mapping(_config(**settings))
        assert error.value.key == key


def test_roles_that_are_not_there_are_refused(bench: Any) -> None:
    with pytest.raises(ConfigError, match=r"update_noise\.roles: got \['gain'\]"):
        bench(lambda: nn.Linear(4, 2), _config(roles=["gain"]))


def test_without_seeds_there_is_no_noise_but_an_error() -> None:
    config = INTERVENTIONS["update_noise"].from_mapping(_config())
    stack = InterventionStack([config], Bound.of(nn.Linear(2, 1), Clock(9)))
    with pytest.raises(ValueError, match="seeds: got None"):
        stack.after_step(0, LR)
