"""Files of data sets with a name: what is taken, and what is refused by name."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from suite.data import cifar10, fetch, mnist, sets
from suite.data.kept import is_near
from suite.errors import ConfigError

EACH = {"train": 3, "test": 2}
"""Images of each class in the sets made up here."""

Rows = tuple[NDArray[np.uint8], NDArray[np.int64]]


def _refused(name: Any) -> str:
    sets.load.cache_clear()
    with pytest.raises(ConfigError) as error:
        sets.load(name)
    assert error.value.key == "task.dataset"
    assert "expected" in str(error.value)
    return str(error.value)


# CIFAR-10


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Rows]:
    """A made-up set with the classes and colours that are looked for, few of each."""
    generator = np.random.default_rng(0)
    made: dict[str, Rows] = {}
    for split, each in EACH.items():
        labels = generator.permutation(np.repeat(np.arange(10), each))
        colours = np.asarray(cifar10.COLOURS[split])[labels][:, None, None, :]
        noise = generator.integers(-8, 9, (len(labels), 16, 32, 3)) / 255
        pixels = np.concatenate([colours + noise, colours - noise], 1)
        made[split] = ((pixels * 255).round().astype(np.uint8), labels.astype(np.int64))
    splits = tuple(replace(split, each=EACH[split.name]) for split in cifar10.SPLITS)
    monkeypatch.setattr(cifar10, "SPLITS", splits)
    monkeypatch.setattr(cifar10, "TOLERANCE", 0.01)  # JPEG rounds smooth images all one way
    return made


def _encode(image: NDArray[np.uint8], encoding: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, encoding)
    return buffer.getvalue()


def _parquet(path: Path, rows: Rows, encoding: str = "PNG", **columns: Any) -> None:
    cells = [{"bytes": _encode(image, encoding), "path": "x"} for image in rows[0]]
    table = {"img": cells, "label": pa.array(rows[1].tolist(), pa.int64()), **columns}
    pq.write_table(pa.table({k: v for k, v in table.items() if v is not None}), path)


def _both(folder: Path, small: dict[str, Rows], encoding: str = "PNG") -> Path:
    for split, rows in small.items():
        _parquet(folder / "cifar10" / f"{split}.parquet", rows, encoding)
    return folder / "cifar10" / "train.parquet"


@pytest.mark.parametrize(
    ("encoding", "source"), [("PNG", "CIFAR-10"), ("JPEG", "CIFAR-10 (JPEG copy, lossy)")]
)
def test_parquet_is_read(folder: Path, small: dict[str, Rows], encoding: str, source: str) -> None:
    _both(folder, small, encoding)
    loaded = sets.load("cifar10")
    assert loaded.source == source
    assert np.array_equal(loaded.train_labels, small["train"][1])
    if encoding == "PNG":
        assert np.array_equal(loaded.train_inputs, small["train"][0])
    sets.load.cache_clear()
    again = sets.load("cifar10")  # from the decoded copy
    assert np.array_equal(again.train_inputs, loaded.train_inputs)
    assert again.source == loaded.source
    for kept in (folder.parent / "cache" / "decoded").iterdir():
        kept.write_bytes(kept.read_bytes()[:1000])
    sets.load.cache_clear()
    assert np.array_equal(sets.load("cifar10").test_inputs, loaded.test_inputs)


def test_one_jpeg_among_others_is_said(folder: Path, small: dict[str, Rows]) -> None:
    path = _both(folder, small)
    cells = [{"bytes": _encode(image), "path": "x"} for image in small["train"][0]]
    cells[7]["bytes"] = _encode(small["train"][0][7], "JPEG")
    _parquet(path, small["train"], img=cells)
    assert "lossy" in sets.load("cifar10").source


def _cells(small: dict[str, Rows], row: int, code: bytes | None) -> list[Any]:
    cells: list[Any] = [{"bytes": _encode(image), "path": "x"} for image in small["train"][0]]
    cells[row] = None if code is None else {"bytes": code, "path": "x"}
    return cells


def _ring(labels: NDArray[np.int64]) -> Any:
    return pa.array(((labels + 1) % 10).tolist(), pa.int64())


OTHERS: dict[str, tuple[Callable[[dict[str, Rows]], dict[str, Any]], str]] = {
    "no labels": (lambda s: {"label": None}, r"columns \['img'\]"),
    "no images": (lambda s: {"img": None}, r"columns \['label'\]"),
    "images as text": (lambda s: {"img": ["x"] * 30}, "images of type string"),
    "labels as text": (lambda s: {"label": ["cat"] * 30}, "labels of type string"),
    "labels missing": (lambda s: {"label": [None, *s["train"][1][1:].tolist()]}, "1 rows without"),
    "100 classes": (lambda s: {"label": (s["train"][1] * 11).tolist()}, "labels from 0 to 99"),
    "negative": (lambda s: {"label": (s["train"][1] - 1).tolist()}, "labels from -1 to 8"),
    "one class": (lambda s: {"label": [3] * 30}, "labels of each class"),
    "permuted labels": (lambda s: {"label": _ring(s["train"][1])}, "mean colour"),
    "other images": (
        lambda s: {"img": [{"bytes": _encode(255 - i), "path": "x"} for i in s["train"][0]]},
        "mean colour",
    ),
    "no image": (lambda s: {"img": _cells(s, 4, None)}, "no image in row 4"),
    "empty": (lambda s: {"img": _cells(s, 4, b"")}, "no image in row 4"),
    "text": (lambda s: {"img": _cells(s, 4, b"hello")}, "in row 4 bytes that are not PNG or JPEG"),
    "cut": (
        lambda s: {"img": _cells(s, 4, _encode(s["train"][0][4])[:300])},
        "in row 4 bytes that are not PNG or JPEG",
    ),
    "large": (
        lambda s: {"img": _cells(s, 4, _encode(np.zeros((64, 64, 3), np.uint8)))},
        r"in row 4 an image of \(64, 64\) in RGB",
    ),
    "grey": (
        lambda s: {"img": _cells(s, 4, _encode(np.zeros((32, 32), np.uint8)))},
        r"in row 4 an image of \(32, 32\) in L",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_parquet_of_something_else_is_refused(
    folder: Path, small: dict[str, Rows], other: str
) -> None:
    path = _both(folder, small)
    change, found = OTHERS[other]
    _parquet(path, small["train"], **change(small))
    message = _refused("cifar10")
    assert str(path) in message
    assert "the train split of CIFAR-10" in message or "labels" in message
    with pytest.raises(ConfigError, match=found):
        sets.load("cifar10")


def test_another_number_of_rows_and_no_parquet_are_refused(
    folder: Path, small: dict[str, Rows]
) -> None:
    path = _both(folder, small)
    _parquet(path, cast(Rows, tuple(part[:20] for part in small["train"])))
    assert f"{path}: 20 rows" in _refused("cifar10")
    whole = path.read_bytes()
    for content in (b"", b"PAR1", b"not a table", whole[: len(whole) // 2], whole[:-9]):
        path.write_bytes(content)
        assert f"{path}: cannot be read" in _refused("cifar10")


def test_the_full_size_is_asked_for(folder: Path) -> None:
    generator = np.random.default_rng(0)
    rows = (generator.integers(0, 256, (12, 32, 32, 3), np.uint8), np.arange(12) % 10)
    for split in ("train", "test"):
        _parquet(folder / "cifar10" / f"{split}.parquet", rows)
    message = _refused("cifar10")
    assert "train.parquet: 12 rows" in message
    assert "50,000 images" in message


def _archive(folder: Path, small: dict[str, Rows], **files: Any) -> Path:
    """Write an archive as CIFAR-10's is made; `files` replaces contents, or whole members."""
    path = folder / "cifar10" / cifar10.ARCHIVE.remote.name

    def batch(rows: Rows) -> bytes:
        flat = rows[0].transpose(0, 3, 1, 2).reshape(len(rows[0]), -1)
        return pickle.dumps({b"data": flat, b"labels": rows[1].tolist()}, protocol=2)

    parts = {
        f"data_batch_{i + 1}": batch(
            cast(Rows, tuple(part[i * 6 : i * 6 + 6] for part in small["train"]))
        )
        for i in range(5)
    }
    parts["test_batch"] = batch(small["test"])
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {**parts, **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            elif content is not None:
                member.type, member.linkname = content
                archive.addfile(member)
    return path


def _accept(monkeypatch: pytest.MonkeyPatch, md5: str) -> None:
    remote = replace(cifar10.ARCHIVE.remote, md5=md5)
    monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, remote=remote))


class _Harm:
    """What an unpickler would be made to call."""

    called: ClassVar[list[int]] = []

    def __reduce__(self) -> Any:
        return (_Harm.called.append, (1,))


def test_an_archive_is_read_if_its_checksum_is_right(
    folder: Path, small: dict[str, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _archive(folder, small)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    message = _refused("cifar10")
    assert f"{path}: MD5 {md5}" in message
    assert "c58f30108f718f92721af3b95e74349a" in message
    _accept(monkeypatch, md5)
    loaded = sets.load("cifar10")
    assert np.array_equal(loaded.train_inputs, small["train"][0])
    assert np.array_equal(loaded.test_labels, small["test"][1])


@pytest.mark.parametrize("checksum", [False, True])
def test_an_archive_runs_no_code_and_leads_nowhere_else(
    checksum: bool,
    folder: Path,
    small: dict[str, Rows],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Nothing of a stranger's is unpickled; nor would it get far with the right checksum."""
    outside = tmp_path / "outside"
    outside.write_bytes(pickle.dumps({b"data": 1}))
    harmful: dict[str, dict[str, Any]] = {
        "called": {"test_batch": b"cos\nsystem\n(S'true'\ntR."},
        "reduced": {"test_batch": pickle.dumps([_Harm()])},
        "a link": {"test_batch": (tarfile.SYMTYPE, str(outside))},
        "a hard link": {"test_batch": (tarfile.LNKTYPE, "../../outside")},
        "a device": {"test_batch": (tarfile.CHRTYPE, "")},
        "missing": {"test_batch": None},
        "no pickle": {"test_batch": b"hello"},
        "other keys": {"test_batch": pickle.dumps({"a": 1}, protocol=2)},
    }
    for files in harmful.values():
        path = _archive(folder, small, **files)
        if checksum:
            md5 = hashlib.md5(path.read_bytes()).hexdigest()
            _accept(monkeypatch, md5)
        assert str(path) in _refused("cifar10")
        assert _Harm.called == []
    for content in (b"", b"\x1f\x8b", b"not an archive"):
        path.write_bytes(content)
        assert str(path) in _refused("cifar10")


# MNIST


def _idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def digits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.uint8]]:
    """Made-up arrays that are the official ones for the length of a test."""
    generator = np.random.default_rng(0)
    made = [generator.integers(0, 10, (n, *shape), np.uint8) for n in (5, 4) for shape in IMAGES]
    files = [
        replace(file, shape=array.shape, md5=hashlib.md5(_idx(array)).hexdigest())
        for file, array in zip(mnist.FILES, made, strict=True)
    ]
    monkeypatch.setattr(mnist, "FILES", tuple(files))
    return made


IMAGES = ((28, 28), ())


def _write(folder: Path, contents: list[bytes], form: str) -> list[Path]:
    place = "MNIST/raw" if form == "torch" else "mnist"
    ending = ".gz" if form == "packed" else ""
    paths = [folder / place / f"{file.name}{ending}" for file in mnist.FILES]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(gzip.compress(content) if form == "packed" else content)
    return paths


@pytest.mark.parametrize("form", ["packed", "plain", "torch"])
def test_mnist_is_read(folder: Path, digits: list[NDArray[np.uint8]], form: str) -> None:
    _write(folder, [_idx(array) for array in digits], form)
    loaded = sets.load("mnist")
    assert np.array_equal(loaded.train_inputs[..., 0], digits[0])
    assert np.array_equal(loaded.test_labels, digits[3])
    assert loaded.source == "MNIST"


@pytest.mark.parametrize("form", ["packed", "plain"])
def test_files_that_are_not_mnists_are_refused(
    folder: Path, digits: list[NDArray[np.uint8]], form: str
) -> None:
    right = [_idx(array) for array in digits]
    changed = digits[0].copy()
    changed[2, 3, 4] += 1  # of the same shape, as Fashion-MNIST is
    others = {
        "MD5": _idx(changed),
        "an array of shape (6, 28, 28)": _idx(np.zeros((6, 28, 28), np.uint8)),
        "an array of shape (5, 32, 32)": _idx(np.zeros((5, 32, 32), np.uint8)),
        "an array of shape (5,)": _idx(digits[1]),
        "more than": right[0] + b"\0",
        "bytes for an array": right[0][:-1],
        "no IDX file": b"\0\0\x0d\x03" + right[0][4:],  # of floats
        "no IDX file of bytes": b"",
    }
    for found, content in others.items():
        paths = _write(folder, [content, *right[1:]], form)
        message = _refused("mnist")
        assert f"{paths[0]}: " in message
        assert found in message
        assert "train-images-idx3-ubyte" in message


def test_packed_files_that_are_damaged_or_endless_are_refused(
    folder: Path, digits: list[NDArray[np.uint8]]
) -> None:
    right = [_idx(array) for array in digits]
    (path, *_) = _write(folder, right, "packed")
    packed = path.read_bytes()
    for content in (b"", b"hello", packed[: len(packed) // 2], packed[:-4] + b"\0\0\0\1"):
        path.write_bytes(content)
        assert f"{path}: " in _refused("mnist")
    path.write_bytes(gzip.compress(right[0] + bytes(50_000_000)))
    assert "more than" in _refused("mnist")


def test_another_set_under_mnists_names_is_refused(folder: Path) -> None:
    arrays = [np.zeros((5, *shape), np.uint8) for shape in IMAGES] * 2
    _write(folder, [_idx(array) for array in arrays], "packed")
    assert "6bbc9ace898e44ae57da46a324031adb" in _refused("mnist")


def test_missing_files_are_named(folder: Path) -> None:
    message = _refused("cifar10")
    assert "cifar10/train.parquet + cifar10/test.parquet" in message
    assert str(folder) in message
    assert "no network" in message


def test_a_set_is_near_if_its_files_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, named = tmp_path / "cache", tmp_path / "named"
    monkeypatch.setattr(fetch, "cache_folder", lambda: cache)
    monkeypatch.setenv(fetch.VARIABLE, str(named))
    (named / "mnist").mkdir(parents=True)
    (cache / "decoded").mkdir(parents=True)
    assert not is_near("mnist")
    (cache / "decoded" / "mnist1d-0123.npz").touch()
    assert is_near("mnist1d")
    assert not is_near("mnist")
    (named / "mnist" / "train").touch()
    assert is_near("mnist")
    for name in ("", "*", "**", ".", "..", "/x", str(named / "mnist"), "../named/mnist"):
        assert not is_near(name)
