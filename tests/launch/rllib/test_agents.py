"""The learner of every agent, update by update, against bare PyTorch."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from plain_rainbow import PlainRainbow, Settings
from scipy.stats import norm
from torch import Tensor

from suite.run_config import RunConfig

C51 = {"atoms": 21, "v_min": -6.0, "v_max": 4.0}
ALL = {"kind": "rainbow", "n_step": 3, "distribution": C51, "prioritized": None}

PARTS: dict[str, dict[str, Any]] = {
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

ALL_AND_MORE = "rainbow, weights, clipped, schedule"

VECTOR, FRAMES = (4,), (4, 36, 36)
FILLS = torch.zeros, torch.ones
LR = {"classic_control": 0.01, "atari": 0.001}


def request(
    case: str, model: dict[str, Any], nap: str | None = None, precision: str = "fp32"
) -> RunConfig:
    kind = "classic_control" if model["kind"] == "mlp" else "atari"
    cyclic = {"kind": "cyclic", "period": 20, "warmup": 3, "floor": 0.1}
    return RunConfig.from_mapping(
        {
            "task": {"kind": kind, "learning_starts": 100, "utd": 1.0}
            | ({"game": "pong"} if kind == "atari" else {}),
            "model": model,
            "agent": {"kind": "dqn", **PARTS[case], "target_every": 7, "precision": precision},
            "optimizer": {"kind": "adam", "lr": LR[kind], "eps": 1.5e-4},
            "schedule": cyclic if "schedule" in case else "constant",
            "interventions": [] if nap is None else [{"kind": "nap", "gains": nap, "alpha": 0.9}],
            "budget": {"agent_steps": 1100},
            "metrics": {"names": [], "every": 10},
        }
    )


def cycle(step: int) -> float:
    """Three steps up from a tenth, then half a cosine back to it."""
    t = step % 20
    down = (1 + math.cos(math.pi * (t - 3) / 17)) / 2
    return 0.1 + 0.9 * (t / 3 if t < 3 else down)


def reference_of(run: Any, weights: list[Tensor]) -> PlainRainbow:
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


def batches(
    case: str, shape: tuple[int, ...], size: int, number: int, dtype: torch.dtype
) -> Iterator[dict[str, Tensor]]:
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


def noise_drawer(run: Any, units: dict[str, torch.Size]) -> Callable[[], dict[str, Any]]:
    """Draw what the learner should: a fresh set per network and use, from the run's stream.

    Args:
        run: whose seeds.
        units: inputs and outputs of every noisy map, by name.
    """
    generator = run.seeds.torch("noise/learn")
    uses = ("target", "selector", "online") if run.agent.double else ("target", "online")

    def draw() -> dict[str, Any]:
        sizes = [n for pair in units.values() for n in pair]
        found = {}
        for use in uses:
            z = variables(sum(sizes), run.agent.noise_bound, generator).split(sizes)
            found[use] = dict(zip(units, zip(z[::2], z[1::2], strict=True), strict=True))
        return {"selector": None, **found}

    return draw


def variables(number: int, bound: float | None, generator: torch.Generator) -> Tensor:
    """Standard normal variables, or those that a uniform draw is mapped to within a bound."""
    if bound is None:
        return torch.randn(number, generator=generator)
    share = norm.cdf(bound) - norm.cdf(-bound)
    drawn = torch.empty(number).uniform_(-share, share, generator=generator)
    return torch.from_numpy(norm.ppf((1 + drawn.double().numpy()) / 2)).to(drawn.dtype)


def noisy_units(reference: PlainRainbow) -> dict[str, torch.Size]:
    """Inputs and outputs of the noisy maps, in order."""
    if not reference.s.noisy:
        return {}
    maps = [n for n in reference.parameters if not n.startswith("torso") and n.endswith("weight")]
    return {n.removesuffix(".weight"): reference.parameters[n].shape[:0:-1] for n in maps}


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    """Build networks, and draw noise, of a precision while inside."""
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def near(mine: Tensor, theirs: Tensor, tolerance: float) -> Tensor:
    """Whether tensors agree, relative to the largest entry."""
    theirs = theirs.detach()
    return (mine.detach() - theirs).abs().max() <= tolerance * theirs.abs().max()


def follow(
    make_learner: Callable[..., Any], case: str, run: Any, dtype: torch.dtype, number: int = 50
) -> tuple[Any, PlainRainbow]:
    """Make the same updates with both, comparing everything after each; return both."""
    frames = run.model.kind == "nature_cnn"
    shape, size = (FRAMES, 8) if frames else (VECTOR, 16)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    with default(dtype):
        learner = make_learner(run, shape)
        q, target = learner.net.q, learner.net.target
        assert next(q.parameters()).dtype == dtype
        reference = reference_of(run, list(q.parameters()))
        draw = noise_drawer(run, noisy_units(reference))
        stream = list(batches(case, shape, size, number, dtype))
        learner.start(stream[0]["s_tm1"])
        for step, batch in enumerate(stream):
            expected = reference.update(batch, draw())
            learner.learn(batch)
            assert learner.losses.values()[-1].item() == pytest.approx(expected, rel=tolerance), (
                step
            )
            assert near(learner.errors, reference.errors, tolerance), step
            for (name, theirs), mine, mine_old in zip(
                reference.parameters.items(), q.parameters(), target.parameters(), strict=True
            ):
                where = f"{name} in update {step}"
                assert near(mine.grad, reference.gradients[name], tolerance), where
                assert near(mine, theirs, tolerance), where
                assert near(mine_old, reference.target[name], tolerance), where
    assert learner.step == number
    return learner, reference


def mlp(norm: str) -> dict[str, Any]:
    return {"kind": "mlp", "width": 16, "depth": 3, "norm": norm}


def cnn(norm: str) -> dict[str, Any]:
    return {"kind": "nature_cnn", "hidden": 16, "norm": norm}


@pytest.mark.parametrize("nap", [None, "free"])
@pytest.mark.parametrize("case", PARTS)
def test_updates_equal_bare_pytorch(
    make_learner: Callable[..., Any], case: str, nap: str | None
) -> None:
    run = request(case, mlp("none" if nap is None else "layer"), nap)
    _, reference = follow(make_learner, case, run, torch.float64)
    streams = 2 if "dueling" in case or "rainbow" in case else 1
    assert len(reference.norms) == (0 if nap is None else 2 + streams)


@pytest.mark.parametrize(
    ("norm", "nap"),
    [
        ("layer", None),
        ("rms", "free"),
        ("rms", "joint"),
        ("layer", "joint"),
        ("layer", "decay_to_init"),
    ],
)
def test_updates_of_rainbow_equal_bare_pytorch_with_every_norm(
    make_learner: Callable[..., Any], norm: str, nap: str | None
) -> None:
    follow(make_learner, "rainbow", request("rainbow", mlp(norm), nap), torch.float64)


@pytest.mark.parametrize("nap", [None, "free"])
@pytest.mark.parametrize("case", ["double", "c51", ALL_AND_MORE])
def test_updates_of_the_convolutional_network_equal_bare_pytorch(
    make_learner: Callable[..., Any], case: str, nap: str | None
) -> None:
    run = request(case, cnn("none" if nap is None else "layer"), nap)
    follow(make_learner, case, run, torch.float64)


@pytest.mark.parametrize("case", PARTS)
def test_updates_equal_bare_pytorch_in_single_precision(
    make_learner: Callable[..., Any], case: str
) -> None:
    """Over fewer updates than in double precision.

    Rounding grows, and the input of a ReLU that it moves across 0 changes a gradient by more than
    any tolerance: on one kind of processor that happened to c51 in the 34th update.
    """
    run = request(case, mlp("layer"), "free")
    follow(make_learner, case, run, torch.float32, number=20)


@pytest.mark.parametrize("nap", [None, "free"])
def test_frames_in_single_precision(make_learner: Callable[..., Any], nap: str | None) -> None:
    run = request(ALL_AND_MORE, cnn("none" if nap is None else "layer"), nap)
    follow(make_learner, ALL_AND_MORE, run, torch.float32)


def test_between_updates_the_online_network_has_no_noise(make_learner: Callable[..., Any]) -> None:
    """What metrics read of it is the mean network."""
    run = request("rainbow", mlp("layer"))
    learner, reference = follow(make_learner, "rainbow", run, torch.float64, number=2)
    s = torch.randn(5, *VECTOR, dtype=torch.float64)
    units = noisy_units(reference)
    silent, loud = ({name: (fill(a), fill(b)) for name, (a, b) in units.items()} for fill in FILLS)
    found = learner.net.q(s)
    assert near(found, reference.outputs(reference.parameters, s, silent), 1e-9)
    assert not near(found, reference.outputs(reference.parameters, s, loud), 1e-3)


BF16 = [
    ("plain", mlp("none")),
    ("double", mlp("none")),
    ("dueling", mlp("layer")),
    ("noisy", mlp("none")),
    ("noisy, double", mlp("layer")),
    ("weights, c51", mlp("rms")),
    ("rainbow", mlp("layer")),
    ("double", cnn("layer")),
    ("rainbow", cnn("none")),
    ("rainbow", cnn("layer")),
]


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@pytest.mark.parametrize(("case", "model"), BF16)
def test_losses_in_bf16_are_near_those_of_single_precision(
    make_learner: Callable[..., Any], case: str, model: dict[str, Any]
) -> None:
    shape = VECTOR if model["kind"] == "mlp" else FRAMES
    losses: dict[str, Tensor] = {}
    slopes: dict[str, list[Tensor]] = {}
    for precision in ("fp32", "bf16"):
        learner = make_learner(request(case, model, precision=precision), shape)
        stream = list(batches(case, shape, 64, 3, torch.float32))
        learner.start(stream[0]["s_tm1"])
        for batch in stream:
            learner.learn(batch)
            slopes.setdefault(precision, [p.grad.clone() for p in learner.net.q.parameters()])
        losses[precision] = learner.losses.values()
        kept = [*learner.net.parameters(), learner.errors, losses[precision], *slopes[precision]]
        assert {tensor.dtype for tensor in kept} == {torch.float32}
    torch.testing.assert_close(losses["bf16"], losses["fp32"], rtol=0.02, atol=0.0)
    assert not torch.equal(losses["bf16"][0], losses["fp32"][0])
    for found, exact in zip(slopes["bf16"], slopes["fp32"], strict=True):
        assert (found - exact).norm() < 0.3 * exact.norm()  # of the first update
