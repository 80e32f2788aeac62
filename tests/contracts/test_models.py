"""Every registered model, in each normalisation, for every task and head that it agrees to."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from examples import agents, inputs_of, norms
from projected import PINNED
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from suite.errors import ConfigError
from suite.invariance.scale_invariance import scale_invariant
from suite.invariance.select_weights import select
from suite.models.base import (
    ACTIVATIONS,
    MODELS,
    Activation,
    Tap,
    build_model,
    dry_model,
    recording,
)
from suite.params import ParamRole, classify, output_layers
from suite.run_config import RunConfig
from suite.tasks.base import TASKS

NONLINEAR = "relu leaky_relu gelu silu tanh elu softplus sigmoid mish hardswish hardtanh threshold"
MODELS_AND_NORMS = [
    pytest.param(config, id="-".join([config["kind"], *filter(None, [config.get("norm")])]))
    for kind in MODELS.entries()
    for config in norms(kind)
]


class Nonlinear(TorchDispatchMode):
    """Counts calls of elementwise nonlinearities."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__.removesuffix("_") in NONLINEAR.split()
        return func(*args, **(kwargs or {}))


def _refusal(run: RunConfig) -> ConfigError | None:
    """Return what the model says to a request that it does not serve."""
    try:
        dry_model(run.model, run.model_spec())
    except ConfigError as error:
        return error
    return None


def _all(config: dict[str, Any]) -> list[tuple[RunConfig, ConfigError | None]]:
    """Return, for each task and each head that agents ask for, a smoke run and its refusal."""
    return _asked(json.dumps(config))


@cache
def _asked(config: str) -> list[tuple[RunConfig, ConfigError | None]]:
    model = json.loads(config)
    runs: dict[Any, RunConfig] = {}
    for kind, task in TASKS.entries().items():
        smoke = {**task.smoke, "model": model}
        parts = [p.values[0] for p in agents(task.engine)] if "agent" in smoke else []
        for mapping in [smoke | {"agent": smoke["agent"] | part} for part in parts] or [smoke]:
            run = RunConfig.from_mapping(mapping)
            runs.setdefault((kind, run.model_spec()), run)
    return [(run, _refusal(run)) for run in runs.values()]


def _fits(config: dict[str, Any]) -> list[RunConfig]:
    """Return those that the model agrees to serve."""
    runs = [run for run, refusal in _all(config) if refusal is None]
    assert runs, f"no task of the suite can test the model {config['kind']!r}"
    return runs


def _build(run: RunConfig, seed: int = 0) -> nn.Module:
    return build_model(run.model, run.model_spec(), seed)


def _weights(model: nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())


def _heads(config: dict[str, Any]) -> list[RunConfig]:
    """Return those with different heads or kinds of inputs, one of each."""
    runs = {(r.model_spec().head, len(r.model_spec().inputs.shape)): r for r in _fits(config)}
    return list(runs.values())


@pytest.mark.parametrize("config", MODELS_AND_NORMS)
def test_initial_weights_depend_on_the_seed_alone(config: dict[str, Any]) -> None:
    run = _fits(config)[0]
    first = _weights(_build(run))
    before = torch.manual_seed(123).get_state()
    second, third = _weights(_build(run)), _weights(_build(run, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    changed = any(not torch.equal(a, b) for a, b in zip(first, third, strict=True))
    assert changed == run.model.random_start


@pytest.mark.parametrize("config", MODELS_AND_NORMS)
def test_a_task_that_does_not_fit_is_refused_by_name(config: dict[str, Any]) -> None:
    for _, error in _all(config):
        if error is not None:
            *inner, _ = error.key.removeprefix("model.").split(".")
            asked = config
            for key in inner:
                asked = asked[key]
            assert error.key.endswith("kind")
            assert error.value == asked["kind"]


@pytest.mark.parametrize("config", MODELS_AND_NORMS)
def test_a_task_that_is_not_refused_is_served(config: dict[str, Any]) -> None:
    """Shapes, on the meta device too; one output per input, whatever else is in the batch."""
    for run in _fits(config):
        # In evaluation mode, because batch norm shares its statistics in the other.
        spec, inputs, model = run.model_spec(), inputs_of(run), _build(run).eval()
        outputs = model(inputs)
        atoms = [spec.head.atoms] if spec.head.atoms > 1 else []
        assert outputs.shape == (len(inputs), spec.outputs, *atoms)
        assert torch.isfinite(outputs).all()
        torch.testing.assert_close(model(inputs[2:5]), outputs[2:5], rtol=1e-4, atol=1e-5)
        dry = dry_model(run.model, spec)
        shapes = {name: p.shape for name, p in model.named_parameters()}
        assert {name: p.shape for name, p in dry.named_parameters()} == shapes
        assert all(p.is_meta for p in dry.parameters())
        assert dry(inputs.to("meta")).shape == outputs.shape


@pytest.mark.parametrize("config", MODELS_AND_NORMS)
def test_roles_cover_every_trainable_parameter(config: dict[str, Any]) -> None:
    for run in _fits(config):
        model = _build(run)
        roles = classify(model)
        assert set(roles) == {n for n, p in model.named_parameters() if p.requires_grad}
        assert ParamRole.WEIGHT in roles.values()
        assert (ParamRole.OUTPUT in roles.values()) == bool(output_layers(model))
        assert roles == classify(dry_model(run.model, run.model_spec()))
        if config.get("norm", "none") != "none":
            assert ParamRole.GAIN in roles.values()
            assert ParamRole.BIAS not in roles.values()


@pytest.mark.parametrize("config", MODELS_AND_NORMS)
@torch.no_grad()
def test_weights_called_scale_invariant_are(config: dict[str, Any]) -> None:
    for run in (runs := _heads(config)):
        model, inputs = _build(run).double(), inputs_of(run, 2)
        inputs = inputs.double() if inputs.is_floating_point() else inputs
        before, names = model(inputs), scale_invariant(model, inputs).names
        # So that each is half as large, then three times; one by one with the first head alone.
        steps = [[name] for name in names] if run is runs[0] else [names]
        for factor, some in product((0.5, 6.0), steps):
            for name in some:
                model.get_parameter(name).data.mul_(factor)
            torch.testing.assert_close(model(inputs), before, rtol=1e-2, atol=1e-3, msg=str(some))
        # A normalised network has such weights, unless it says itself which.
        declared = hasattr(model, "scale_invariant_weights")
        assert bool(names) == (config.get("norm", "none") != "none") or declared


@pytest.mark.parametrize(
    ("config", "name"), [pytest.param(*p.values, p.id, id=p.id) for p in MODELS_AND_NORMS]
)
def test_projection_takes_the_same_tensors_as_ever(config: dict[str, Any], name: str) -> None:
    """Also where plans bind: on the meta device, without inputs."""
    if (name, "matrices") not in PINNED:
        pytest.skip("a model of somebody else, or a new one: no results rest on it yet")
    found: dict[str, set[tuple[str, ...]]] = {"invariant": set(), "matrices": set()}
    for run in _heads(config):
        model = _build(run)
        found["matrices"].add(select(model, "matrices", "tensor", None).names)
        names = select(model, "invariant", "tensor", inputs_of(run, 2)).names
        found["invariant"].add(names)
        if config.get("norm", "none") != "none":
            for _ in range(2):  # the second time from memory
                dry = dry_model(run.model, run.model_spec())
                assert select(dry, "invariant", "tensor", None).names == names
    for which, selections in found.items():
        assert selections == PINNED[name, which], which


@pytest.mark.parametrize("config", MODELS_AND_NORMS)
def test_every_nonlinearity_is_a_module_of_its_own(config: dict[str, Any]) -> None:
    """Else its features would be missing, or overwritten by a later use of the module."""
    for run in _fits(config):
        model, inputs = _build(run), inputs_of(run)
        modules = [m for m in model.modules() if isinstance(m, ACTIVATIONS)]
        calls: list[nn.Module] = []
        for module in modules:
            module.register_forward_hook(lambda m, i, o, calls=calls: calls.append(m))
        with Nonlinear() as seen, torch.no_grad():
            model(inputs)
        own = sum(isinstance(module, Activation) for module in modules)
        assert len(calls) == len(set(calls)) == len(modules) == seen.count + own
        with recording(model, (*ACTIVATIONS, Tap)) as values:
            model(inputs)
        assert all(len(value) == len(inputs) for value in values.values())
