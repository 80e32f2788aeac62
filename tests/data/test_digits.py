"""The digits: those of scikit-learn, without its import and with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from suite.data import digits


@pytest.mark.parametrize("at_hand", [True, False], ids=["file", "import"])
def test_they_are_those_of_scikit_learn(at_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not at_hand:
        monkeypatch.setattr(Path, "is_file", lambda path: False)
    found, known = digits.read(), load_digits()
    images = np.concatenate([found.train_inputs, found.test_inputs])[..., 0]
    labels = np.concatenate([found.train_labels, found.test_labels])
    drawn = np.random.default_rng(0).permutation(1797)
    assert len(found.train_labels) == 1437
    assert np.array_equal(labels, known.target[drawn])
    assert np.abs(images - known.images[drawn] * 255 / 16).max() <= 0.5


def test_they_are_read_without_scikit_learn() -> None:
    code = "import sys; from suite.data.digits import read; read(); print('sklearn' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
