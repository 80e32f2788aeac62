from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.clock import Clock
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, InterventionStack
from suite.interventions.redo import dormant
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.head_spec import HeadSpec
from suite.models.inputs import Floats, Frames, IntegerPairs
from suite.models.noisy import draw_noise, noisy_layers
from suite.models.units import hidden_layers

Make = Callable[[], nn.Module]
REDO = {"kind": "redo", "every": 5}


def test_scores_are_in_units_of_the_layer_s_mean() -> None:
    activity = torch.tensor([0.0, 0.2, 0.3, 7.7], dtype=torch.float64)  # mean 2.05
    assert dormant(activity, 0.0).tolist() == [True, False, False, False]
    for scale in (1e-3, 1.0, 1e3):  # 0.2 / 2.05 = 0.09756...
        assert dormant(scale * activity, 0.09755).tolist() == [True, False, False, False]
        assert dormant(scale * activity, 0.09757).tolist() == [True, True, False, False]
    assert dormant(torch.zeros(3), 0.0).tolist() == [True] * 3  # a layer that is silent


def _kill(net: Any, unit: int, layer: int = 0) -> None:
    """Make a unit of a linear layer or convolution give zero whatever comes in."""
    with torch.no_grad():
        net[layer].weight[unit] = 0.0
        if net[layer].bias is not None:
            net[layer].bias[unit] = -1.0


def _outputs(run: Any) -> Tensor:
    with torch.no_grad():
        outputs: Tensor = run.net(run.batch(-1))
        return outputs.clone()


def test_a_dead_unit_is_recycled_and_nothing_else_is_touched(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)
        )

    run = bench(make, {**REDO, "tau": 0.0}).update(4)
    _kill(run.net, 2)
    before, outputs = run.values(), _outputs(run)
    moments = {n: {k: v.clone() for k, v in run.moments(n).items()} for n in run.named}
    held = {n: [(id(t), t.data_ptr()) for t in run.moments(n).values()] for n in run.named}
    objects = {n: (id(p), p.data_ptr()) for n, p in run.named.items()}
    assert run.stack.after_step(3, 0.1) is False
    assert all(torch.equal(before[n], p) for n, p in run.named.items()), "not before it is time"
    assert run.stack.after_step(4, 0.1) is False, "copies of the network stay as they are"
    drawn = dict(run.fresh(5).named_parameters())
    hit = {n: torch.zeros_like(p, dtype=torch.bool) for n, p in run.named.items()}
    hit["0.weight"][2], hit["0.bias"][2], hit["2.weight"][:, 2] = True, True, True
    for name, p in run.named.items():
        new = torch.zeros_like(p) if name == "2.weight" else drawn[name]
        assert torch.equal(p, torch.where(hit[name], new, before[name])), name
        for key, value in run.moments(name).items():
            gone = hit[name] if value.shape == p.shape else torch.tensor(False)
            assert torch.equal(value, torch.where(gone, 0.0, moments[name][key]).to(value)), key
        assert [(id(t), t.data_ptr()) for t in run.moments(name).values()] == held[name]
    assert {n: (id(p), p.data_ptr()) for n, p in run.net.named_parameters()} == objects
    torch.testing.assert_close(_outputs(run), outputs, rtol=1e-14, atol=1e-14)
    events = [tuple(event) for event in run.stack.take_events()]
    assert events == [(5, "recycled_units", "1", 1.0), (5, "recycled_units", "3", 0.0)]


def test_where_a_new_row_meets_a_silenced_column_there_is_zero(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)
        )

    run = bench(make, {**REDO, "tau": 0.0}).update(4)
    _kill(run.net, 2)
    _kill(run.net, 3, layer=2)
    run.stack.after_step(4, 0.1)
    row, drawn = run.named["2.weight"][3].detach(), run.fresh(5)[2].weight[3]
    keep = torch.arange(6) != 2
    assert row[2] == 0.0
    assert torch.equal(row[keep], drawn[keep])


@pytest.mark.parametrize(("tau", "count"), [(0.0999, 0.0), (0.1001, 1.0)])
def test_a_unit_is_dormant_up_to_tau_and_not_beyond(tau: float, count: float, bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))

    run = bench(make, {**REDO, "tau": tau})
    with torch.no_grad():
        run.net[0].weight[:] = torch.eye(3, 4)
    # Activities 10, 20 and x with x = (10 + 20 + x) / 3 / 10.
    run.stack.set_probe(torch.tensor([[10.0, 20.0, 30 / 29, 0.0]], dtype=torch.float64))
    run.stack.after_step(4, 0.1)
    assert [event.value for event in run.stack.take_events()] == [count]


def test_channels_of_a_convolution_and_the_positions_behind_a_flattening(bench: Any) -> None:
    def make() -> nn.Module:
        net: Any = nn.Sequential(
            nn.Conv2d(2, 4, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 3, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(3 * 4, 5),
            nn.ReLU(),
            nn.Linear(5, 2),
        )
        moved: nn.Module = net.to(memory_format=torch.channels_last)
        return moved

    run = bench(make, {**REDO, "tau": 0.0}, inputs=(2, 8, 8))
    with torch.no_grad():
        run.net[5].bias.fill_(10.0)  # alive, all of them
    run.update(4)
    _kill(run.net, 1)
    _kill(run.net, 2, layer=2)
    before, outputs = run.values(), _outputs(run)
    run.stack.after_step(4, 0.1)
    drawn = dict(run.fresh(5).named_parameters())
    torch.testing.assert_close(_outputs(run), outputs, rtol=1e-13, atol=1e-13)
    expected = {name: value.clone() for name, value in before.items()}
    expected["0.weight"][1], expected["0.bias"][1] = drawn["0.weight"][1], drawn["0.bias"][1]
    expected["2.weight"][2], expected["2.bias"][2] = drawn["2.weight"][2], drawn["2.bias"][2]
    expected["2.weight"][:, 1] = 0.0
    expected["5.weight"][:, 8:12] = 0.0  # the third channel's four positions
    for name, p in run.named.items():
        assert torch.equal(p, expected[name]), name
        assert p.stride() == before[name].stride()


def test_gain_and_offset_of_a_unit_start_again(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, bias=False),
            nn.GroupNorm(1, 4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * 36, 5, bias=False),
            nn.LayerNorm(5),
            nn.ReLU(),
            nn.Linear(5, 2),
        )

    run = bench(make, {**REDO, "tau": 0.0}, inputs=(2, 8, 8)).update(4)
    with torch.no_grad():
        for layer, unit in ((1, 3), (5, 0)):
            run.net[layer].bias.fill_(3.0)  # alive, all others
            run.net[layer].weight[unit], run.net[layer].bias[unit] = 0.1, -9.0
    before, outputs = run.values(), _outputs(run)
    run.stack.after_step(4, 0.1)
    for layer, unit in ((1, 3), (5, 0)):
        assert (run.net[layer].weight[unit], run.net[layer].bias[unit]) == (1.0, 0.0)
        others = torch.arange(len(run.net[layer].weight)) != unit
        for leaf in ("weight", "bias"):
            name = f"{layer}.{leaf}"
            assert torch.equal(run.named[name][others], before[name][others])
            assert run.moments(name)["exp_avg"][unit] == 0.0
    assert not torch.equal(_outputs(run), outputs), "a norm layer sees the new unit"


def test_units_are_scored_on_the_latest_probe(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))

    found = []
    for wanted in range(3):
        run = bench(make, {**REDO, "tau": 0.0})
        with torch.no_grad():
            run.net[0].weight[:] = torch.eye(3, 4)
        before = run.values()
        run.stack.set_probe(1.0 - torch.eye(4, dtype=torch.float64)[wanted : wanted + 1])
        run.stack.after_step(4, 0.1)
        changed = (run.named["0.weight"] != before["0.weight"]).any(1)
        found.append(changed.nonzero().flatten().tolist())
    assert found == [[0], [1], [2]]


FRAMES = (4, 84, 84)
HEAD = {"hidden": 8}
NETWORKS: list[dict[str, Any]] = [
    *({"kind": "mlp", "width": 8, "norm": norm} for norm in ("none", "layer", "rms")),
    *({"kind": "cnn", "hidden": 8, "norm": norm} for norm in ("none", "layer")),
    *({"kind": "cnn", "hidden": 8, "activation": name} for name in ("crelu", "fourier")),
    *(
        {"kind": kind, "norm": norm, **HEAD}
        for kind in ("nature_cnn", "data_efficient_cnn")
        for norm in ("none", "layer")
    ),
    *({"kind": "transformer", "width": 8, "hidden": 16, "norm": n} for n in ("none", "rms")),
]
HEADS: list[dict[str, Any]] = [
    {},
    {"dueling": True},
    {"noisy": 0.5},
    {"dueling": True, "atoms": 5, "noisy": 0.5},
]
CASES = [
    pytest.param(model, head, id="-".join(map(str, [*model.values(), *head])))
    for model in NETWORKS
    for head in (
        HEADS if model["kind"] in ("mlp", "nature_cnn", "data_efficient_cnn") else HEADS[:1]
    )
]


def _build(model: dict[str, Any], head: dict[str, Any]) -> tuple[nn.Module, Tensor, Make]:
    spec = {
        "mlp": ModelSpec(Floats((4,)), 3, head=HeadSpec(**head)),
        "cnn": ModelSpec(Floats((3, 8, 8)), 3),
        "nature_cnn": ModelSpec(Frames(FRAMES), 3, head=HeadSpec(**head)),
        "data_efficient_cnn": ModelSpec(Frames(FRAMES), 3, head=HeadSpec(**head)),
        "transformer": ModelSpec(IntegerPairs(7), 7),
    }[model["kind"]]
    config = MODELS[model["kind"]].from_mapping(model)
    generator = torch.Generator().manual_seed(0)
    probe = spec.inputs.draw(16, generator)
    return build_model(config, spec, 0), probe, lambda: build_model(config, spec, 1)


@pytest.mark.parametrize(("model", "head"), CASES)
def test_every_network_of_the_suite_is_recycled_as_a_whole(
    model: dict[str, Any], head: dict[str, Any]
) -> None:
    """With tau above every score: what leads to a hidden unit is new, what reads it is zero."""
    net, probe, fresh = _build(model, head)
    if noisy := list(noisy_layers(net)):
        draw_noise(noisy, torch.Generator().manual_seed(1))
    layers = hidden_layers(net, lambda: net(probe))
    config = INTERVENTIONS["redo"].from_mapping({**REDO, "tau": 1e9})
    stack = InterventionStack([config], Bound.of(net, Clock(100), probe, lambda k: fresh()))
    stack.attach(torch.optim.Adam(net.parameters()))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    drawn = dict(fresh().named_parameters())
    stack.after_step(4, 0.1)
    streams = 2 if head.get("dueling") else 1
    convolutions = {"mlp": 1, "nature_cnn": 3, "data_efficient_cnn": 2}
    expected = {"cnn": 4, "transformer": 1, **{k: n + streams for k, n in convolutions.items()}}
    assert len(layers) == len(stack.take_events()) == expected[model["kind"]]
    silent = {f"{name}.weight" for layer in layers for name in layer.outgoing}
    renewed = {
        f"{name}.{leaf}"
        for layer in layers
        for name in (layer.incoming, *layer.norms)
        for leaf, _ in net.get_submodule(name).named_parameters()
    }
    assert len(silent) == expected[model["kind"]] + (streams - 1 if head.get("dueling") else 0)
    if model["kind"] != "transformer":
        biases = {f"{n.rpartition('.')[0]}.bias" for n in silent}
        assert silent | renewed | biases >= set(before), "every parameter has its part in it"
    for name, p in net.named_parameters():
        if name in silent:
            assert not p.any(), name
        elif name in renewed:
            assert torch.equal(p, drawn[name]), name
        else:
            assert torch.equal(p, before[name]), name
    assert torch.isfinite(net(probe)).all()


@pytest.mark.parametrize(
    ("kind", "recycled", "left_alone"),
    [
        ("nature_cnn", 4, set()),
        ("impala_cnn", 7, {f"section{s}.2.branch.0" for s in (1, 2, 3)}),
    ],
)
@pytest.mark.parametrize("head", [{}, {"dueling": True}], ids=["plain", "dueling"])
def test_recycling_dead_units_leaves_the_outputs_of_frames_as_they_are(
    kind: str, recycled: int, left_alone: set[str], head: dict[str, Any]
) -> None:
    spec = ModelSpec(Frames((4, 36, 36)), 3, head=HeadSpec(**head))
    config = MODELS[kind].from_mapping({"kind": kind, **HEAD})

    def make(seed: int) -> nn.Module:
        return build_model(config, spec, seed).double()

    net, generator = make(0), torch.Generator().manual_seed(0)
    probe = spec.inputs.draw(8, generator)
    with torch.no_grad():
        for layer in hidden_layers(net, lambda: net(probe)):
            module: Any = net.get_submodule(layer.incoming)
            module.weight[1], module.bias[1] = 0.0, -1.0
    redo = INTERVENTIONS["redo"].from_mapping({**REDO, "tau": 0.0})
    stack = InterventionStack([redo], Bound.of(net, Clock(100), probe, make))
    stack.attach(torch.optim.Adam(net.parameters()))
    with torch.no_grad():
        before = net(probe).clone()
    stack.after_step(4, 0.1)
    events = stack.take_events()
    assert len(events) == recycled + bool(head)
    assert all(event.value >= 1 for event in events)
    with torch.no_grad():
        torch.testing.assert_close(net(probe), before, rtol=1e-12, atol=1e-12)
    intervention: Any
    (intervention,) = stack.members
    assert {name.removeprefix("torso.") for name in intervention.skipped} == left_alone
    assert all("also read by add" in reason for reason in intervention.skipped.values())


def test_networks_whose_units_cannot_be_told_apart_are_refused() -> None:
    config = INTERVENTIONS["redo"].from_mapping(REDO)

    def bind(net: nn.Module) -> None:
        config.bind(Bound.of(net, Clock(100), torch.randn(3, 4)))

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.relu, self.out = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.out(self.relu(self.map(self.relu(self.map(x)))))
            return out

    class Functional(Shared):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.out(torch.relu(self.map(x)))
            return out

    class Skipping(Shared):
        def forward(self, x: Tensor) -> Tensor:
            y = self.relu(self.map(x))
            out: Tensor = y[:, :2] + self.out(y)
            return out

    with pytest.raises(ConfigError, match="a network with hidden units"):
        bind(nn.Linear(4, 2))
    with pytest.raises(ConfigError, match="'map' is used more than once"):
        bind(Shared())
    with pytest.raises(ConfigError, match="no linear map reads the output of a nonlinearity"):
        bind(Functional())
    with pytest.raises(ConfigError, match="relu: its units are also read by getitem"):
        bind(Skipping())
    with pytest.raises(ConfigError, match="3 has 8 inputs; expected a multiple of 16 features"):
        bind(
            nn.Sequential(
                nn.Unflatten(1, (4, 1)),
                nn.Conv1d(4, 16, 1),
                nn.ReLU(),
                nn.Conv1d(16, 4, 1, groups=2),
            )
        )
