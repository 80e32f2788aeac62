"""The learner of every agent, update by update, against bare PyTorch."""

import math
from contextlib import contextmanager

import pytest
import torch
from plain_rainbow import PlainRainbow, Settings

from suite.run_config import RunConfig

C51 = {"atoms": 21, "v_min": -6.0, "v_max": 4.0}
ALL = {"kind": "rainbow", "n_step": 3, "distribution": C51, "prioritized": None}

PARTS = {
    "plain": {},
    "double": {"double": True},
    "dueling": {"dueling": True},
    "n_step": {"n_step": 3},
    "c51": {"distribution": C51},
    "noisy": {"noisy": 0.5},
    "noisy, double": {"noisy": 0.5, "double": True},
    "noisy, dueling": {"noisy": 0.5, "dueling": True},
    "weights": {},
    "weights, c51": {"distribution": C51},
    "mse, clipped": {"loss": "mse", "grad_clip": 0.5},
    "schedule": {},
    "rainbow": ALL,
    "rainbow, weights, clipped, schedule": {**ALL, "grad_clip": 0.2},
}
"""The agent of each case; weights and schedule go by the name."""

VECTOR, FRAMES = (4,), (4, 36, 36)


def request(case, model, nap=None, precision="fp32", lr=0.01):
    kind = "classic_control" if model["kind"] == "mlp" else "atari"
    cyclic = {"kind": "cyclic", "period": 20, "warmup": 3, "floor": 0.1}
    return RunConfig.from_mapping(
        {
            "task": {"kind": kind, "learning_starts": 100, "utd": 1.0}
            | ({"game": "pong"} if kind == "atari" else {}),
            "model": model,
            "agent": {"kind": "dqn", **PARTS[case], "target_every": 7, "precision": precision},
            "optimizer": {"kind": "adam", "lr": lr, "eps": 1.5e-4},
            "schedule": cyclic if "schedule" in case else "constant",
            "interventions": [] if nap is None else [{"kind": "nap", "gains": nap, "alpha": 0.9}],
            "budget": {"agent_steps": 1100},
            "metrics": {"names": [], "every": 10},
        }
    )


def cycle(step):
    """Three steps up from a tenth, then half a cosine back to it."""
    t = step % 20
    down = (1 + math.cos(math.pi * (t - 3) / 17)) / 2
    return 0.1 + 0.9 * (t / 3 if t < 3 else down)


def reference_of(run, weights):
    agent, model = run.agent, run.model
    spread = agent.distribution
    ends = {} if spread is None else spread.model_dump()
    nap = next(iter(run.interventions), None)
    return PlainRainbow(
        weights,
        Settings(
            torso="cnn" if model.kind == "nature_cnn" else model.depth - 1,
            norm=model.norm,
            double=agent.double,
            dueling=agent.dueling,
            noisy=agent.noisy is not None,
            loss=agent.loss,
            grad_clip=agent.grad_clip,
            target_every=agent.target_every,
            lr=run.optimizer.lr,
            eps=run.optimizer.eps,
            multiplier=cycle if run.schedule.kind == "cyclic" else lambda step: 1.0,
            nap=nap is not None,
            gains="free" if nap is None else nap.gains,
            alpha=0.0 if nap is None else nap.alpha,
            **ends,
        ),
    )


def batches(case, shape, size, number, dtype):
    """Windows of one reward, or of three with some cut short; some of them end the game."""
    generator = torch.Generator().manual_seed(0)
    length = 3 if PARTS[case].get("n_step") == 3 else 1
    for _ in range(number):
        if len(shape) == 3:
            s = torch.randint(0, 256, (2, size, *shape), generator=generator, dtype=torch.uint8)
        else:
            s = torch.randn(2, size, *shape, generator=generator).to(dtype)
        rewards = 2 * torch.randn(size, length, generator=generator).to(dtype)
        lengths = torch.randint(1, length + 1, (size,), generator=generator)
        powers = 0.99 ** torch.arange(length, dtype=dtype)
        within = torch.arange(length) < lengths.unsqueeze(1)
        going = torch.rand(size, generator=generator) < 0.8
        batch = {
            "s_tm1": s[0],
            "a_tm1": torch.randint(0, 3, (size,), generator=generator),
            "r_t": (rewards * powers * within).sum(1),
            "discount_t": going * 0.99 ** lengths.to(dtype),
            "s_t": s[1],
        }
        if "weights" in case:
            batch["weights"] = 0.1 + 0.9 * torch.rand(size, generator=generator).to(dtype)
        yield batch


def noise_drawer(run, units):
    """Draw what the learner should: a fresh set per network and use, from the run's stream.

    Args:
        run: whose seeds.
        units: inputs and outputs of every noisy map, by name.
    """
    generator = run.seeds.torch("noise/learn")
    uses = ("target", "selector", "online") if run.agent.double else ("target", "online")

    def draw():
        sizes = [n for pair in units.values() for n in pair]
        found = {}
        for use in uses:
            z = torch.randn(sum(sizes), generator=generator).split(sizes)
            found[use] = dict(zip(units, zip(z[::2], z[1::2], strict=True), strict=True))
        return {"selector": None, **found}

    return draw


def noisy_units(reference):
    """Inputs and outputs of the noisy maps, in order."""
    if not reference.s.noisy:
        return {}
    maps = [n for n in reference.parameters if not n.startswith("torso") and n.endswith("weight")]
    return {n.removesuffix(".weight"): reference.parameters[n].shape[:0:-1] for n in maps}


@contextmanager
def default(dtype):
    """Build networks, and draw noise, of a precision while inside."""
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def compare(make_learner, case, run, dtype, number=50):
    """Follow both for 50 updates; return the largest difference in anything, relative."""
    shape = VECTOR if run.model.kind == "mlp" else FRAMES
    close = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    with default(dtype):
        learner = make_learner(run, shape)
        q, target = learner.net.q, learner.net.target
        reference = reference_of(run, list(q.parameters()))
        draw = noise_drawer(run, noisy_units(reference))
        stream = list(batches(case, shape, 16, number, dtype))
        learner.start(stream[0]["s_tm1"])
        for step, batch in enumerate(stream):
            expected = reference.update(batch, draw())
            learner.learn(batch)
            assert learner._losses[-1].item() == pytest.approx(expected, rel=close["rtol"]), step
            torch.testing.assert_close(learner.errors, reference.errors, **close)
            rows = zip(
                reference.parameters.items(),
                reference.gradients.values(),
                reference.target.values(),
                q.parameters(),
                target.parameters(),
                strict=True,
            )
            for (name, p), gradient, old, mine, mine_old in rows:
                where = f"{name} after update {step}"
                torch.testing.assert_close(mine.grad, gradient, **close, msg=where)
                torch.testing.assert_close(mine.detach(), p.detach(), **close, msg=where)
                torch.testing.assert_close(mine_old, old, **close, msg=where)
    return learner, reference


def mlp(norm):
    return {"kind": "mlp", "width": 16, "depth": 3, "norm": norm}


def cnn(norm):
    return {"kind": "nature_cnn", "hidden": 16, "norm": norm}


@pytest.mark.parametrize("nap", [None, "free"])
@pytest.mark.parametrize("case", PARTS)
def test_updates_equal_bare_pytorch(make_learner, case, nap):
    run = request(case, mlp("none" if nap is None else "layer"), nap)
    compare(make_learner, case, run, torch.float64)


@pytest.mark.parametrize(
    ("norm", "nap"),
    [
        ("layer", None),
        ("rms", "free"),
        ("layer", "joint"),
        ("rms", "joint"),
        ("layer", "decay_to_init"),
    ],
)
def test_updates_of_rainbow_equal_bare_pytorch_in_every_normalisation(make_learner, norm, nap):
    compare(make_learner, "rainbow", request("rainbow", mlp(norm), nap), torch.float64)


@pytest.mark.parametrize("nap", [None, "free"])
@pytest.mark.parametrize("case", PARTS)
def test_updates_equal_bare_pytorch_in_single_precision(make_learner, case, nap):
    run = request(case, mlp("none" if nap is None else "layer"), nap)
    compare(make_learner, case, run, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("nap", [None, "free"])
@pytest.mark.parametrize("case", PARTS)
def test_cnn(make_learner, case, nap, dtype):
    run = request(case, cnn("none" if nap is None else "layer"), nap)
    compare(make_learner, case, run, dtype)
