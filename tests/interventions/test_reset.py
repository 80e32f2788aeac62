from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.clock import Clock
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, InterventionStack
from suite.interventions.reset import chosen
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.head_spec import HeadSpec
from suite.models.inputs import Floats, Frames, IntegerPairs
from suite.run_config import RunConfig
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

Make = Callable[[], nn.Module]
ALL = {"kind": "reset", "every": 10, "layers": "all"}


def _equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, bool]:
    return {name: torch.equal(a[name], b[name]) for name in a}


@pytest.mark.parametrize("layers", ["last", "head", "all"])
def test_it_acts_at_its_step_in_place_and_on_its_layers_alone(
    layers: str, bench: Any, network: Make
) -> None:
    run, twin = bench(network, {**ALL, "layers": layers}), bench(network)
    named = list(run.named)
    objects = {n: (id(p), p.data_ptr()) for n, p in run.named.items()}
    run.update(9)
    twin.update(9)
    assert all(_equal(run.values(), twin.values()).values()), "nothing before the tenth update"
    assert not run.reset
    held = {n: [(id(t), t.data_ptr()) for t in run.moments(n).values()] for n in named}
    run.update()
    twin.update()
    assert run.reset
    initial = dict(run.fresh(10).named_parameters())
    width = len(list(network().children()))
    first = {"last": width - 1, "head": 2 if width == 5 else 3, "all": 0}[layers]
    changed = {name for name in named if int(name.split(".")[0]) >= first}
    for name in named:
        expected = initial[name] if name in changed else twin.named[name]
        assert torch.equal(run.named[name], expected), name
        moments = run.moments(name)
        assert set(moments) == {"step", "exp_avg", "exp_avg_sq"}
        for key, value in moments.items():
            assert bool(value.any()) == (name not in changed), (name, key)
        assert [(id(t), t.data_ptr()) for t in moments.values()] == held[name]
    assert {n: (id(p), p.data_ptr()) for n, p in run.net.named_parameters()} == objects
    assert [tuple(event) for event in run.stack.take_events()] == [(10, "reset", layers, 1.0)]
    assert run.stack.take_events() == []
    after = run.values()
    run.update()
    assert not run.reset
    assert not any(_equal(run.values(), after).values())


@pytest.mark.parametrize("optimizer", [{"kind": "adam"}, {"kind": "sgd", "momentum": 0.9}])
def test_what_follows_a_full_reset_is_a_new_run(
    optimizer: dict[str, Any], bench: Any, network: Make
) -> None:
    """To the last bit that of a fresh network with a new optimizer on the same batches."""
    run, new = bench(network, ALL, optimizer=optimizer), bench(network, optimizer=optimizer)
    run.update(10)
    new.net.load_state_dict(run.fresh(10).state_dict())
    new.step = 10
    assert all(_equal(run.update(7).values(), new.update(7).values()).values())
    run.update(3)
    assert all(_equal(run.values(), dict(run.fresh(20).named_parameters())).values())


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        ({"every": 10}, [10, 20, 30, 40, 50]),  # not after the last update, 60
        ({"every": 10, "start": 20}, [20, 30, 40, 50]),
        ({"every": 10, "start": 21}, [30, 40, 50]),
        ({"every": 10, "stop": 30}, [10, 20]),
        ({"every": 10, "stop": 31}, [10, 20, 30]),
        ({"every": 10, "stop": 1000}, [10, 20, 30, 40, 50]),
        ({"every": {"fraction": 0.5}}, [30]),
        ({"every": {"epochs": 2}}, [8, 16, 24, 32, 40, 48, 56]),
        ({"every": {"frames": 80}}, [10, 20, 30, 40, 50]),
        ({"every": {"agent_steps": 40}}, [20, 40]),
        ({"at_phases": True}, [24, 40]),
        ({"at_phases": True, "stop": 40}, [24]),
        ({"every": 25, "at_phases": True}, [24, 25, 40, 50]),
    ],
)
def test_times(timing: dict[str, Any], expected: list[int], bench: Any, network: Make) -> None:
    clock = Clock(60, (0, 24, 40), (4, 4, 4), agent_steps_per_step=2.0, frames_per_agent_step=4)
    run = bench(network, {"kind": "reset", **timing}, clock=clock)
    assert run.update(60).acts == expected
    assert [event.step for event in run.stack.take_events()] == expected


@pytest.mark.parametrize("total", [16, 17, 18, 19, 10_001, 11_250])
def test_a_share_of_the_run_has_no_reset_just_before_the_end(
    total: int, bench: Any, network: Make
) -> None:
    quarters = {"kind": "reset", "every": {"fraction": 0.25}}
    timing = bench(network, quarters, clock=Clock(total)).stack.members[0].timing
    times = [done for done in range(1, total + 1) if timing.due(done)]
    assert len(times) == 3
    assert total - times[-1] >= total // 4 - 3


def test_a_phase_begins_with_a_reset_and_the_one_before_ends_without(bench: Any) -> None:
    def network() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6, bias=False), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 1)
        )

    shrink = {"kind": "shrink_perturb", "at_phases": True, "shrink": 0.5, "perturb": 0.0}
    run = bench(network, {"kind": "nap"}, shrink, clock=Clock(20, (0, 10)))
    norms = {
        name: run.named[name].detach().norm() for name in run.stack.members[0].projection.names
    }
    run.update(10)
    assert not run.stack.take_events()
    before = run.values()
    assert run.stack.begin_update(10)
    assert [(e.step, e.metric) for e in run.stack.take_events()] == [(10, "shrink_perturb")]
    for name, value in run.values().items():
        if name in norms:  # halved, then put back
            torch.testing.assert_close(value.norm(), norms[name].to(value))
        else:
            torch.testing.assert_close(value, 0.5 * before[name])


@pytest.mark.parametrize(
    ("timing", "clock", "key", "value"),
    [
        ({"every": 0}, Clock(9), "interventions.reset.every", 0),
        ({"every": {"frames": 3}}, Clock(9), "interventions.reset.every", {"frames": 3}),
        ({"every": 3, "stop": {"epochs": 1}}, Clock(9), "interventions.reset.stop", {"epochs": 1}),
        ({"every": 9}, Clock(9), "interventions.reset.every", 9),
        ({"every": 3, "start": 7}, Clock(9), "interventions.reset.every", 3),
        ({"every": 3, "stop": 3}, Clock(9), "interventions.reset.every", 3),
        ({"at_phases": True}, Clock(9), "interventions.reset.at_phases", True),
    ],
)
def test_what_would_never_act_is_refused(
    timing: dict[str, Any], clock: Clock, key: str, value: Any, bench: Any, network: Make
) -> None:
    with pytest.raises(ConfigError) as error:
        bench(network, {"kind": "reset", **timing}, clock=clock)
    assert (error.value.key, error.value.value) == (key, value)


def test_it_is_refused_before_anything_is_made(smoke: Callable[..., RunConfig]) -> None:
    with pytest.raises(ConfigError, match="every"):
        INTERVENTIONS["reset"].from_mapping({"kind": "reset"})
    run = smoke(interventions=[{"kind": "reset", "every": {"frames": 100}}])
    with pytest.raises(ConfigError, match=r"interventions\.reset\.every.*it has no frames"):
        run.check()
    smoke(interventions=[{"kind": "reset", "every": {"epochs": 1}}]).check()


def test_without_an_optimizer_or_a_source_of_weights_it_says_so(network: Make) -> None:
    net, config = network(), INTERVENTIONS["reset"].from_mapping({"kind": "reset", "every": 1})
    stack = InterventionStack([config], Bound.of(net, Clock(5)))
    with pytest.raises(ValueError, match="fresh: got None"):
        stack.after_step(0, 0.1)
    stack = InterventionStack([config], Bound.of(net, Clock(5), fresh=lambda k: network()))
    with pytest.raises(RuntimeError, match="attach"):
        stack.after_step(0, 0.1)


def _spec(inputs: tuple[int, ...], **head: Any) -> ModelSpec:
    kind = Frames if len(inputs) == 3 and inputs[1] == 84 else Floats
    return ModelSpec(kind(inputs), 3, HeadSpec(**head))


FRAMES = (4, 84, 84)
LAST = "head.advantage.output", "head.value.output"
HEADS = [
    ({"kind": "mlp", "width": 8, "norm": "layer"}, _spec((4,)), ["7"], ["4", "5", "7"]),
    ({"kind": "mlp", "width": 8, "depth": 1}, _spec((4,)), ["3"], ["1", "3"]),
    ({"kind": "cnn"}, _spec((3, 8, 8)), ["13"], ["10", "11", "13"]),
    ({"kind": "nature_cnn"}, _spec(FRAMES), ["output"], ["hidden", "output"]),
    (
        {"kind": "nature_cnn", "norm": "layer", "hidden": 8},
        _spec(FRAMES, dueling=True, atoms=5, noisy=0.5),
        list(LAST),
        [*LAST, *(f"head.{s}.{m}" for s in ("advantage", "value") for m in ("hidden", "norm.0"))],
    ),
    (
        {"kind": "mlp", "width": 8},
        _spec((4,), noisy=0.1),
        LAST[:1],
        [LAST[0], "head.advantage.hidden"],
    ),
    (
        {"kind": "transformer", "norm": "rms"},
        ModelSpec(IntegerPairs(7), 7),
        ["decoder"],
        ["down", "norm_output.0", "decoder"],
    ),
]


@pytest.mark.parametrize(("model", "spec", "last", "head"), HEADS)
def test_layers_of_the_suite_s_networks(
    model: dict[str, Any], spec: ModelSpec, last: list[str], head: list[str]
) -> None:
    net = build_model(MODELS[model["kind"]].from_mapping(model), spec, 0)
    bound = Bound.of(net, Clock(5))

    def modules(layers: Any) -> set[str]:
        return {name.rpartition(".")[0] for name in chosen(bound, layers)}

    assert modules("last") == set(last)
    assert modules("head") == set(head)
    assert set(chosen(bound, "all")) == {name for name, _ in net.named_parameters()}


def test_projection_comes_behind_it(bench: Any) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 6, bias=False), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 1)
        )

    run = bench(make, {"kind": "nap"}, {**ALL, "every": 3})
    norm = run.named["0.weight"].detach().norm()
    run.update(3)
    drawn = run.fresh(3)[0].weight
    assert not torch.isclose(drawn.norm(), norm)
    torch.testing.assert_close(run.named["0.weight"], drawn * (norm / drawn.norm()))


def test_in_a_run_draws_follow_from_seed_and_step_and_rows_show_the_resets(
    smoke: Callable[..., RunConfig],
) -> None:
    def train(**settings: Any) -> tuple[SupervisedRun, list[tuple[int, str]]]:
        reset = {"kind": "reset", "layers": "all", "every": 4, **settings.pop("reset", {})}
        config = smoke("warm_start_images", interventions=[reset], **settings)
        run, session = SupervisedRun(config), MemorySession()
        run.train(session)
        return run, [(r.step, r.layer) for r in session.rows if r.metric == "reset"]

    run, rows = train()
    assert rows == [(4, "all"), (8, "all")]  # of 12: not at the end
    _, rows = train(reset={"every": None, "at_phases": True})
    assert rows == [(5, "all")]
    other, rows = train(reset={"every": 8}, schedule="single_cycle")
    assert rows == [(8, "all")]
    weight = run._fresh(8).get_parameter("1.weight")
    assert torch.equal(other._fresh(8).get_parameter("1.weight"), weight)
    assert not torch.equal(run._fresh(4).get_parameter("1.weight"), weight)
    seeded, _ = train(seed=1)
    assert not torch.equal(seeded._fresh(8).get_parameter("1.weight"), weight)


@pytest.mark.parametrize(("layers", "fresh"), [("all", {1, 4}), ("head", {4}), ("last", set())])
def test_running_statistics_of_the_layers_start_again(
    layers: str, fresh: set[int], bench: Any
) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            *(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU()),
            *(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2)),
        )

    run = bench(make, {"kind": "reset", "every": 5, "layers": layers}).update(4)
    norms = {index: run.net[index] for index in (1, 4)}
    held = {name: (id(b), b.data_ptr()) for name, b in run.net.named_buffers()}
    run.update()
    for index, norm in norms.items():
        started = norm.running_mean.eq(0).all() and norm.running_var.eq(1).all()
        assert bool(started) == (index in fresh)
        assert norm.num_batches_tracked.item() == (0 if index in fresh else 5)
    assert {name: (id(b), b.data_ptr()) for name, b in run.net.named_buffers()} == held
