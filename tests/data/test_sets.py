"""Names and mappings of data in configs, and descriptions of the sets with a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.config import FORMS, Config, merge
from suite.data.folder import FolderData
from suite.data.npz import NpzData
from suite.data.parquet import ParquetData
from suite.data.sets import OWN, AnyData, DataName, describe, load
from suite.errors import ConfigError


class _Problem(Config):
    data: AnyData = "mnist1d"


def _data(value: Any) -> Any:
    return _Problem.from_mapping({"data": value}).data


def test_names_and_mappings_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _Problem().data == "mnist1d"
    assert _data("cifar100") == "cifar100"
    assert _data({"folder": "images"}) == FolderData(folder=str(tmp_path / "images"))
    assert _data({"npz": "~/a.npz"}) == NpzData(npz=str(tmp_path / "home" / "a.npz"))
    files = _data({"parquet": {"train": "/a.parquet", "test": "b.parquet"}})
    assert isinstance(files, ParquetData)
    assert (files.parquet.train, files.parquet.test) == ("/a.parquet", f"{tmp_path}/b.parquet")
    problem = _Problem.from_mapping({"data": {"npz": "x.npz"}})
    monkeypatch.chdir("/")
    assert _Problem.from_mapping(problem.model_dump()) == problem
    assert f'"npz":"{tmp_path}/x.npz"' in problem.canonical()


@pytest.mark.parametrize(
    ("value", "key", "expected"),
    [
        ("cifar", "data", "'cifar10' (known: cifar10, cifar100, digits, fashion_mnist, mnist, "),
        ("svhn", "data", "or your own as {folder: PATH}, {npz: PATH} or {parquet:"),
        (3, "data", "mnist1d"),
        (None, "data", "mnist1d"),
        ([], "data", "mnist1d"),
        ({}, "data", "a mapping with one key: {folder: PATH}"),
        ({"csv": "a"}, "data", "a mapping with one key: {folder: PATH}"),
        ({"npz": "a", "folder": "b"}, "data", "a mapping with one key"),
        ({"npz": 3}, "data.npz", "a valid string"),
        ({"npz": ""}, "data.npz", "a path"),
        ({"folder": "~nobody-of-this-name/x"}, "data.folder", "no such home folder"),
        ({"parquet": "a.parquet"}, "data.parquet", "a mapping of train, test"),
        ({"parquet": {"train": "a"}}, "data.parquet.test", "this key is required"),
        ({"parquet": {"train": "a", "tset": "b"}}, "data.parquet.tset", "did you mean 'test'"),
    ],
)
def test_other_values_are_refused_with_the_choices(value: Any, key: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        _data(value)
    assert error.value.key == key
    assert expected in error.value.expected


def test_an_override_replaces_a_name_and_another_form() -> None:
    assert tuple(OWN) == FORMS
    npz, parquet = {"npz": "a"}, {"parquet": {"train": "a", "test": "b"}}
    for base in ("digits", npz, parquet, {"folder": "c"}):
        for override in ("mnist", npz, parquet):
            assert merge({"data": base}, {"data": override}) == {"data": override}
    changed = merge({"data": parquet}, {"data.parquet.test": "c"})
    assert changed == {"data": {"parquet": {"train": "a", "test": "c"}}}


@pytest.mark.parametrize("name", ["digits", "mnist1d"])
def test_the_description_is_what_is_loaded(name: DataName) -> None:
    data, spec = load(name), describe(name)
    assert data.spec(name) == spec
    for labels in (data.train_labels, data.test_labels):
        assert np.unique(labels).tolist() == list(range(spec.classes))
        assert labels.dtype == np.int64
    assert load(name) is data
