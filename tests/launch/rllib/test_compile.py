"""Compiled updates against the same updates uncompiled."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from suite.errors import ConfigError
from suite.run_config import RunConfig

AGENTS: dict[str, dict[str, Any]] = {
    "double": {"kind": "dqn", "double": True},
    "rainbow": {"kind": "rainbow", "prioritized": None},
}
VECTORS: dict[str, Any] = {
    "task": {"kind": "classic_control", "learning_starts": 100},
    "model": {"kind": "mlp", "width": 16, "depth": 2, "norm": "layer"},
}
FRAMES: dict[str, Any] = {
    "task": {"kind": "atari", "game": "breakout", "learning_starts": 100, "utd": 1.0},
    "model": {"kind": "nature_cnn", "hidden": 16, "norm": "layer"},
}
SHAPES: dict[str, tuple[int, ...]] = {"vectors": (4,), "frames": (4, 36, 36)}
SEEN = {"vectors": VECTORS, "frames": FRAMES}


def make_run(agent: dict[str, Any], compile: bool, seen: dict[str, Any] = VECTORS) -> RunConfig:
    return RunConfig.from_mapping(
        {
            **seen,
            "agent": {**agent, "target_every": 3, "compile": compile},
            "optimizer": {"kind": "adam", "lr": 0.01, "eps": 1.5e-4},
            "interventions": ["nap"],
            "metrics": {"names": ["dead_units", "feature_covariance_change"], "every": 5},
            "budget": {"agent_steps": 1100},
        }
    )


def batch(seed: int, shape: tuple[int, ...] = (4,)) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    if len(shape) == 1:
        s_tm1, s_t = torch.randn(2, 32, *shape, generator=generator)
    else:
        s_tm1, s_t = torch.randint(0, 256, (2, 32, *shape), generator=generator, dtype=torch.uint8)
    return {
        "s_tm1": s_tm1,
        "a_tm1": torch.randint(0, 3, (32,), generator=generator),
        "r_t": torch.randn(32, generator=generator),
        "discount_t": torch.full((32,), 0.99),
        "s_t": s_t,
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of the compiler's own making
@pytest.mark.parametrize(
    ("name", "seen"), [("double", "vectors"), ("rainbow", "vectors"), ("double", "frames")]
)
def test_compiled_updates_are_those_of_the_plain_network(
    make_learner: Callable[..., Any], name: str, seen: str
) -> None:
    torch._dynamo.reset()
    shape = SHAPES[seen]
    plain = make_learner(make_run(AGENTS[name], compile=False, seen=SEEN[seen]), shape)
    fast = make_learner(make_run(AGENTS[name], compile=True, seen=SEEN[seen]), shape)
    names = [key for key, _ in plain.net.named_parameters()]
    assert [key for key, _ in fast.net.named_parameters()] == names
    for learner in (plain, fast):
        learner.start(batch(99, shape)["s_tm1"])
    for step in range(10):
        for learner in (plain, fast):
            learner.learn(batch(step, shape))
    for a, b in zip(plain.net.parameters(), fast.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    mine, theirs = ({k[:2]: k[2] for k in x.measure()} for x in (plain, fast))
    assert mine.keys() == theirs.keys()
    assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("compile", [True, False])
def test_the_key_compiles_what_updates_call_and_nothing_else(
    make_learner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, compile: bool, seen: str
) -> None:
    """The graphs are counted and run as they are, so this needs no C++ compiler."""
    torch._dynamo.reset()
    counter, made = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: made(f, backend=counter, **options))
    shape = SHAPES[seen]
    learner = make_learner(make_run(AGENTS["double"], compile, SEEN[seen]), shape)
    net, before = learner.net, counter.frame_count
    assert before == int(compile), "the function that is tried first"
    net.greedy(batch(98, shape)["s_tm1"])
    learner.start(batch(99, shape)["s_tm1"])
    assert counter.frame_count == before, "acting and measuring are as they were"
    learner.learn(batch(0, shape))
    passes = 3 if compile else 0  # of the target, of the online network without gradients and with
    assert counter.frame_count - before == passes
    ops = counter.op_count
    for step in range(1, 4):
        learner.learn(batch(step, shape))
    learner.measure()
    assert (counter.frame_count - before, counter.op_count) == (passes, ops), "compiled once"


def test_a_machine_that_cannot_compile_is_told_before_the_run_starts(
    make_learner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile(function: Any, **kwargs: Any) -> Callable[..., Any]:
        def broken(*args: Any) -> NoReturn:
            raise RuntimeError("no C++ compiler\nat length")

        return broken

    monkeypatch.setattr(torch, "compile", compile)
    with pytest.raises(ConfigError, match=r"agent\.compile: got True; expected false.*compiler"):
        make_learner(make_run(AGENTS["double"], compile=True))
