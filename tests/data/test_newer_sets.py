"""CIFAR-100, Fashion-MNIST and MNIST-1D: from small fakes, and from the package."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import random
import struct
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from suite.data import cifar100, fashion_mnist, mnist1d, sets
from suite.errors import ConfigError

Rows = tuple[NDArray[np.uint8], NDArray[np.int64]]


def _refused(name: Any) -> str:
    sets.load.cache_clear()
    with pytest.raises(ConfigError) as error:
        sets.load(name)
    return str(error.value)


# CIFAR-100


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Rows]:
    """A made-up set of 100 classes with the colours that are looked for, few of each."""
    generator = np.random.default_rng(0)
    made: dict[str, Rows] = {}
    each = {"train": 2, "test": 1}
    for split, number in each.items():
        labels = generator.permutation(np.repeat(np.arange(100), number))
        noise = generator.integers(-8, 9, (len(labels), 16, 32, 3)) / 255
        colour = np.asarray(cifar100.COLOURS[split])
        pixels = np.concatenate([colour + noise, colour - noise], 1)
        made[split] = ((pixels * 255).round().astype(np.uint8), labels.astype(np.int64))
    splits = tuple(replace(split, each=each[split.name]) for split in cifar100.SPLITS)
    monkeypatch.setattr(cifar100, "SPLITS", splits)
    return made


def _parquet(path: Path, rows: Rows, image: str, label: str, more: Any = None) -> None:
    cells = []
    for pixels in rows[0]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": "x"})
    pq.write_table(pa.table({image: cells, label: rows[1].tolist(), **(more or {})}), path)


@pytest.mark.parametrize(("image", "label"), [("img", "fine_label"), ("image", "label")])
def test_cifar100_from_parquet(
    folder: Path, small: dict[str, Rows], image: str, label: str
) -> None:
    coarse = {"label": [0] * 200} if label == "fine_label" else {}
    for split, rows in small.items():
        more = {key: value[: len(rows[1])] for key, value in coarse.items()}
        _parquet(folder / "cifar100" / f"{split}.parquet", rows, image, label, more)
    data = sets.load("cifar100")
    assert (data.source, data.classes) == ("CIFAR-100", 100)
    assert np.array_equal(data.train_inputs, small["train"][0])
    assert np.array_equal(data.train_labels, small["train"][1])
    assert np.array_equal(data.test_labels, small["test"][1])


def test_what_is_not_cifar100_is_refused(folder: Path, small: dict[str, Rows]) -> None:
    paths = {split: folder / "cifar100" / f"{split}.parquet" for split in small}
    for split, rows in small.items():
        _parquet(paths[split], rows, "img", "fine_label")
    images, labels = small["train"]
    others: dict[str, tuple[Rows, str]] = {
        "images with mean colour": ((255 - images, labels), "fine_label"),
        "labels from 0 to 199": ((images, np.arange(200)), "fine_label"),
        "labels of each class": ((images, labels // 2), "fine_label"),
        "columns ['img', 'coarse_label']": ((images, labels), "coarse_label"),
        "150 rows": ((images[:150], labels[:150]), "fine_label"),
    }
    for found, (rows, label) in others.items():
        _parquet(paths["train"], rows, "img", label)
        message = _refused("cifar100")
        assert f"{paths['train']}: {found}" in message


def test_cifar100_from_its_archive(
    folder: Path, small: dict[str, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "cifar100" / "cifar-100-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for split, (images, labels) in small.items():
            flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
            batch = {b"data": flat, b"fine_labels": labels.tolist(), b"coarse_labels": []}
            content = pickle.dumps(batch, protocol=2)
            member = tarfile.TarInfo(f"cifar-100-python/{split}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    message = _refused("cifar100")
    assert "eb9058c3a382ffc7106e4002c42a8d85; nothing else is unpickled" in message
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    remote = replace(cifar100.ARCHIVE.remote, md5=md5)
    monkeypatch.setattr(cifar100, "ARCHIVE", replace(cifar100.ARCHIVE, remote=remote))
    data = sets.load("cifar100")
    assert np.array_equal(data.train_inputs, small["train"][0])
    assert np.array_equal(data.test_labels, small["test"][1])


# Fashion-MNIST


def test_fashion_mnist_from_packed_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    files = []
    made = []
    for file, shape in zip(
        fashion_mnist.FILES, ((5, 28, 28), (5,), (4, 28, 28), (4,)), strict=True
    ):
        array = generator.integers(0, 10, shape, np.uint8)
        raw = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *shape) + array.tobytes()
        (folder / "fashion_mnist" / f"{file.name}.gz").write_bytes(gzip.compress(raw))
        files.append(replace(file, shape=shape, md5=hashlib.md5(raw).hexdigest()))
        made.append(array)
    message = _refused("fashion_mnist")
    assert "Fashion-MNIST's train-images-idx3-ubyte" in message
    assert "MD5 f4a8712d7a061bf5bd6d2ca38dc4d50a unpacked" in message
    monkeypatch.setattr(fashion_mnist, "FILES", tuple(files))
    data = sets.load("fashion_mnist")
    assert data.source == "Fashion-MNIST"
    assert np.array_equal(data.train_inputs[..., 0], made[0])
    assert np.array_equal(data.test_labels, made[3])


# MNIST-1D


def test_mnist1d_has_the_numbers_of_its_package(folder: Path) -> None:
    data = sets.load("mnist1d")
    assert data.source == "MNIST-1D, generated by mnist1d 0.0.2.post1 from seed 42"
    for inputs in (data.train_inputs, data.test_inputs):
        assert inputs.shape == (3000, 1, 40)
        assert inputs.dtype == np.float32
    train, test = (a.astype(np.float64)[:, 0] for a in (data.train_inputs, data.test_inputs))
    first = [1.7370967864990234, 1.6730173826217651, 1.9703649282455444, 1.5370228290557861]
    last = [-0.6278202533721924, -0.6894998550415039, -0.7387177348136902, -1.0672825574874878]
    np.testing.assert_allclose(train[0, :4], first, rtol=1e-6)
    np.testing.assert_allclose(test[-1, -4:], last, rtol=1e-6)
    np.testing.assert_allclose((train.sum(), test.sum()), (363.69946, -363.69947), rtol=1e-6)
    squares = (train**2).sum(), (test**2).sum()
    np.testing.assert_allclose(squares, (120262.906754, 119737.093210), rtol=1e-6)
    weights = np.arange(3000)
    assert int(data.train_labels @ weights) == 19943438
    assert int(data.test_labels @ weights) == 20468144
    assert data.train_labels[:10].tolist() == [4, 2, 6, 8, 7, 1, 3, 5, 4, 8]

    from mnist1d.data import get_dataset_args, make_dataset

    args = get_dataset_args()  # the package itself, in its own words
    args.num_samples, args.train_split = 6000, 0.5
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    made = make_dataset(args)
    random.setstate(python)
    np.random.set_state(numbers)  # noqa: NPY002
    assert args.seed == 42
    assert np.array_equal(made["x"].astype(np.float32), data.train_inputs[:, 0])
    assert np.array_equal(made["y_test"], data.test_labels)


def test_mnist1d_is_kept_and_leaves_the_global_states(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> tuple[Any, bytes]:
        return random.getstate(), np.random.get_state()[1].tobytes()  # type: ignore[index] # noqa: NPY002

    before = states()
    made = mnist1d.read()
    assert states() == before
    assert len(list((folder.parent / "cache" / "decoded").glob("mnist1d-*.npz"))) == 1
    monkeypatch.setattr(mnist1d, "generate", None)
    again = mnist1d.read()
    assert np.array_equal(again.train_inputs, made.train_inputs)
    assert again.source == made.source


def test_a_cache_that_cannot_be_written_costs_only_time(folder: Path) -> None:
    cache = folder.parent / "cache"
    cache.write_text("a file in the place of the folder")
    assert mnist1d.read().classes == 10
    cache.unlink()
    (cache / "decoded").mkdir(parents=True)
    mnist1d.read()
    (copy,) = (cache / "decoded").iterdir()
    copy.unlink()
    copy.mkdir()  # a copy that cannot be put in place
    assert mnist1d.read().classes == 10
    assert list((cache / "decoded").iterdir()) == [copy]
