"""What Lyu et al. 2024 predict of the kernel phase and of the transition, on small networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from suite.metrics.completion import observed
from suite.run_config import RunConfig
from suite.training.batched import BatchedRun
from suite.training.session import MemorySession


def trained(*mappings: dict[str, Any]) -> tuple[list[Any], list[MemorySession]]:
    configs = [RunConfig.from_mapping({**m, "precision": "float64"}) for m in mappings]
    batched, sessions = BatchedRun(configs), [MemorySession() for _ in configs]
    assert batched.train(sessions) == [None] * len(configs)
    return batched.runs, sessions


def completion(alpha: float, decay: float, steps: int, rate: float = 0.012) -> dict[str, Any]:
    return {
        "task": {"kind": "matrix_completion", "size": 8, "fraction": 0.35},
        "model": {"kind": "matrix_factors", "scale": alpha},
        "optimizer": {"kind": "sgd", "lr": rate},
        "interventions": [{"kind": "weight_decay", "coefficient": decay, "roles": ["weight"]}],
        "budget": steps,
        "seed": 1,
        "metrics": {
            "names": ["loss", "parameter_norm", "start_cosine", "unseen_entry"],
            "spacing": "log",
            "every": {"fraction": 0.01},
        },
    }


def values(session: MemorySession, metric: str, layer: str) -> np.ndarray:
    found = [(r.step, r.value) for r in session.rows if (r.metric, r.layer) == (metric, layer)]
    return np.array(found).T


def test_the_kernel_phase_of_matrix_completion_fits_and_mirrors_and_leaves_the_rest_at_zero() -> (
    None
):
    (run,), _ = trained(completion(8.0, 0.0, 1500))
    pairs, entries = run.task.splits(0)["train"]
    matrix = run.model.matrix().detach()
    mask, known = observed(pairs, entries, 8)
    torch.testing.assert_close(matrix[mask], known[mask], atol=1e-3, rtol=0)
    assert matrix[~mask].abs().max() < 1e-2


def test_until_the_transition_the_norm_decays_and_the_direction_stays() -> None:
    decay, rate, steps = 0.01, 0.012, 8000  # one time 1 / (rate decay)
    _, (session,) = trained(completion(8.0, decay, steps, rate))
    step, norm = values(session, "parameter_norm", "all")
    np.testing.assert_allclose(norm / norm[0], np.exp(-step * rate * decay), rtol=0.02)
    assert values(session, "start_cosine", "all")[1].min() > 0.98


def test_the_transition_moves_with_the_logarithm_of_the_scale_over_the_decay() -> None:
    def halves(*settings: tuple[float, float]) -> list[float]:
        rate = 0.04
        found = []
        _, sessions = trained(*(completion(a, d, 9000, rate) for a, d in settings))
        for session, (_, decay) in zip(sessions, settings, strict=True):
            step, loss = values(session, "loss", "test")
            plateau = loss[np.searchsorted(step, 100)]
            found.append(step[np.flatnonzero(loss < plateau / 2)[0]] * rate * decay)
        return found

    small, large, faster = halves((2.0, 0.01), (4.0, 0.01), (4.0, 0.02))
    assert (large - small) / math.log(2) == pytest.approx(1, rel=0.25)
    assert faster == pytest.approx(large, rel=0.15)


def test_the_kernel_phase_of_a_diagonal_network_is_the_classifier_of_largest_l2_margin() -> None:
    (run,), (session,) = trained(
        {
            "task": {"kind": "sparse_sign", "dimension": 300, "points": 10, "test_points": 50},
            "model": {"kind": "diagonal", "initial_norm": 40.0},
            "optimizer": {"kind": "sgd", "lr": 0.01},
            "budget": 3000,
            "metrics": {"names": ["max_margin_cosine", "accuracy"], "every": 1000},
        }
    )
    inputs, labels = (t.numpy() for t in run.task.splits(0)["train"])
    machine = SVC(kernel="linear", C=1e9, tol=1e-8)
    machine.fit(np.concatenate([inputs, -inputs]), np.concatenate([labels, -labels]))
    weight, best = run.model.weight().detach().numpy(), machine.coef_[0]
    found = weight @ best / np.linalg.norm(weight) / np.linalg.norm(best)
    assert found > 0.97
    assert values(session, "max_margin_cosine", "")[1][-1] == pytest.approx(found, abs=1e-4)
