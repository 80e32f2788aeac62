"""Compiled updates against the same updates uncompiled."""

import copy
import sys

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from suite.errors import ConfigError
from suite.launch.rllib import module
from suite.run_config import RunConfig

AGENTS = {
    "double": {"kind": "dqn", "double": True},
    "rainbow": {"kind": "rainbow", "prioritized": None},
}


def make_run(agent, compile):
    return RunConfig.from_mapping(
        {
            "task": {"kind": "classic_control", "learning_starts": 100},
            "model": {"kind": "mlp", "width": 16, "depth": 2, "norm": "layer"},
            "agent": {**agent, "target_every": 3, "compile": compile},
            "optimizer": {"kind": "adam", "lr": 0.01, "eps": 1.5e-4},
            "interventions": ["nap"],
            "metrics": {"names": ["dead_units", "feature_covariance_change"], "every": 5},
            "budget": {"agent_steps": 1100},
        }
    )


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    s_tm1, s_t = torch.randn(2, 32, 4, generator=generator)
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
@pytest.mark.parametrize("name", AGENTS)
def test_compiled_updates_are_those_of_the_plain_network(make_learner, name):
    torch._dynamo.reset()
    plain = make_learner(make_run(AGENTS[name], compile=False))
    fast = make_learner(make_run(AGENTS[name], compile=True))
    names = [key for key, _ in plain.net.named_parameters()]
    assert [key for key, _ in fast.net.named_parameters()] == names
    for learner in (plain, fast):
        learner.start(batch(99)["s_tm1"])
    for step in range(10):
        for learner in (plain, fast):
            learner.learn(batch(step))
    for a, b in zip(plain.net.parameters(), fast.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    mine, theirs = ({k[:2]: k[2] for k in x.measure()} for x in (plain, fast))
    assert mine.keys() == theirs.keys()
    assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_pass_is_what_updates_call(make_learner):
    torch._dynamo.reset()
    counter = CompileCounter()
    learner = make_learner(make_run(AGENTS["double"], compile=False))
    net = learner.net
    net.learn_q = torch.compile(net.q.forward, backend=counter, dynamic=False)
    learner.start(batch(99)["s_tm1"])
    learner.learn(batch(0))
    assert counter.frame_count == 2, "with gradients and without"
    before = copy.deepcopy(counter.frame_count)
    for step in range(1, 4):
        learner.learn(batch(step))
    assert counter.frame_count == before, "compiled once"


def test_a_machine_that_cannot_compile_is_told_before_the_run_starts(make_learner, monkeypatch):
    def compile(function, **kwargs):
        def broken(*args):
            raise RuntimeError("no C++ compiler\nat length")

        return broken

    monkeypatch.setattr(module.torch, "compile", compile)
    with pytest.raises(ConfigError, match=r"agent\.compile: got True; expected false.*compiler"):
        make_learner(make_run(AGENTS["double"], compile=True))
