from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suite.data import fetch, sets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder and an empty cache; nothing can be downloaded."""
    monkeypatch.setenv("SUITE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fetch, "_download", lambda file, folder: f"{file.name}: no network")
    for name in ("cifar10", "cifar100", "mnist", "MNIST/raw", "fashion_mnist"):
        (tmp_path / "data" / name).mkdir(parents=True)
    sets.load.cache_clear()
    yield tmp_path / "data"
    sets.load.cache_clear()
