"""A user's own data: what is read from each form, and what is refused by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from suite.data.base import ARRAYS, DataSet, DataSpec
from suite.data.folder import FolderData
from suite.data.npz import NpzData
from suite.data.own import OwnData
from suite.data.parquet import ParquetData, ParquetFiles
from suite.data.sets import describe, load
from suite.errors import ConfigError

Split = tuple[NDArray[Any], NDArray[Any]]


def _png(image: NDArray[np.uint8], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, form)
    return buffer.getvalue()


def _images(shape: tuple[int, ...] = (5, 4, 3), n: int = 6, seed: int = 0) -> Split:
    """Images and labels 0, 0, 1, 1, 2, 2."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)
    return pixels, np.sort(np.arange(n) % 3)


def _as_folder(root: Path, train: Split, test: Split) -> FolderData:
    for split, (images, labels) in (("train", train), ("test", test)):
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = root / split / f"class {label:03d}" / f"{row:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_png(image))
    return FolderData(folder=str(root))


def _as_npz(path: Path, train: Split, test: Split) -> NpzData:
    np.savez(path, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    return NpzData(npz=str(path))


def _table(path: Path, split: Split, **columns: Any) -> None:
    cells = [{"bytes": _png(image), "path": None} for image in split[0]]
    table = {"image": cells, "label": split[1].tolist(), **columns}
    pq.write_table(pa.table({k: v for k, v in table.items() if v is not None}), path)


def _as_parquet(folder: Path, train: Split, test: Split) -> ParquetData:
    paths = {"train": folder / "train.parquet", "test": folder / "test.parquet"}
    _table(paths["train"], train)
    _table(paths["test"], test)
    return ParquetData(parquet=ParquetFiles(**{k: str(v) for k, v in paths.items()}))


def _refused(data: OwnData, described: bool = True) -> str:
    """Return the message of loading, which is that of describing too if it is found by both."""
    with pytest.raises(ConfigError) as error:
        data.load()
    assert error.value.key == "task.dataset"
    if described:
        with pytest.raises(ConfigError) as again:
            data.describe()
        assert str(again.value) == str(error.value)
    return str(error.value)


def _same(a: DataSet, b: DataSet) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)


@settings(max_examples=15)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([1, 3]),
    st.lists(st.integers(0, 3), max_size=6),
    st.lists(st.integers(0, 3), max_size=6),
    st.integers(0, 2**31),
)
def test_all_forms_give_back_the_same_arrays(
    tmp_path_factory: pytest.TempPathFactory,
    height: int,
    width: int,
    channels: int,
    more: list[int],
    of_test: list[int],
    seed: int,
) -> None:
    root = tmp_path_factory.mktemp("sets")
    generator = np.random.default_rng(seed)
    parts = []
    for labels in (sorted([0, 1, 2, 3, *more]), sorted([0, 1, 2, 3, *of_test])):
        shape = (len(labels), height, width, channels)
        parts.append((generator.integers(0, 256, shape, np.uint8), np.array(labels)))
    train, test = parts
    configs = (
        _as_folder(root / "pictures", train, test),
        _as_npz(root / "pictures.npz", train, test),
        _as_parquet(root, train, test),
    )
    sums = set()
    for config in configs:
        data, spec = load(config), describe(config)
        assert data.spec(spec.label) == spec
        assert spec.shape == (channels, height, width)
        assert (spec.images, spec.classes) == (True, 4)
        for name, array in zip(ARRAYS, (*train, *test), strict=True):
            assert np.array_equal(getattr(data, name), array)
            assert getattr(data, name).dtype == (np.uint8 if "inputs" in name else np.int64)
        sums.add(data.source.split(" (sha256")[1])
    assert len(sums) == 1  # of the content, not of the files
    assert [describe(config).label for config in configs] == ["pictures", "pictures", root.name]


# Folders


def test_a_folder_of_several_kinds_of_images(tmp_path: Path) -> None:
    _as_folder(tmp_path, _images(), _images(seed=1))
    train = tmp_path / "train"
    grey = np.full((5, 4, 1), 90, np.uint8)
    (train / "class 001" / "zz.JPG").write_bytes(_png(grey, "JPEG"))
    palette = Image.fromarray(np.full((5, 4, 3), 9, np.uint8)).quantize(4)
    palette.save(train / "class 001" / "zzz.jpeg", "PNG")
    for ignored in (train / "notes.txt", train / "class 000" / ".a.png", train / "class 000" / "x"):
        ignored.write_text("x")
    (train / ".hidden").mkdir()
    data = FolderData(folder=str(tmp_path)).load()
    assert data.train_labels.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert (data.train_inputs[4] == 90).all()
    assert (data.train_inputs[5] == 9).all()
    assert data.source.startswith(f"{tmp_path} (sha256 of its arrays ")


def _without(path: str) -> Callable[[Path], None]:
    def remove(root: Path) -> None:
        for file in sorted((root / path).rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        (root / path).rmdir()

    return remove


def _with(path: str, content: bytes) -> Callable[[Path], None]:
    def add(root: Path) -> None:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)

    return add


CLEAR = io.BytesIO()
Image.new("RGBA", (4, 5)).save(CLEAR, "PNG")
WHOLE = _png(np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8))
IMAGE = "train/class 000/5.png"


def _emptied(root: Path) -> None:
    _without("test")(root)
    (root / "test").mkdir()


FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing": (_without("."), "{root}: nothing there'; expected folders train/CLASS"),
    "no train": (_without("train"), "{root}/train: no folder of a class'"),
    "no classes": (_emptied, "{root}/test: no folder of a class"),
    "empty class": (
        lambda root: (root / "train" / "a").mkdir(),
        "{root}/train/a: a class without images",
    ),
    "class of test": (
        _with("test/cat/1.png", WHOLE),
        "{root}/test/cat: the class cat, which is not in train'; "
        "expected a class of {root}/train, such as class 000",
    ),
    "class of train": (
        _without("test/class 001"),
        "{root}/test: no examples for testing of 1 of 3 classes (class class 001)'; "
        "expected some of each class that {root}/train has",
    ),
    "sizes": (
        _with(IMAGE, _png(np.zeros((4, 5, 3), np.uint8))),
        "{root}/train/class 000/5.png: 4 x 5 pixels, and 5 x 4 in {root}/train/class 000/0000.png'",
    ),
    "text": (_with(IMAGE, b"hello"), "class 000/5.png: bytes that are not PNG or JPEG"),
    "transparent": (_with(IMAGE, CLEAR.getvalue()), "5.png: an image in RGBA"),
}


@pytest.mark.parametrize("other", FOLDERS)
def test_other_folders_are_refused(tmp_path: Path, other: str) -> None:
    root = tmp_path / "set"
    config = _as_folder(root, _images(), _images(seed=1))
    change, found = FOLDERS[other]
    change(root)
    assert found.format(root=root) in _refused(config)


def test_damaged_images_and_files_in_place_of_folders_are_refused(tmp_path: Path) -> None:
    config = _as_folder(tmp_path, _images(), _images(seed=1))
    path = tmp_path / "train" / "class 000" / "0001.png"
    path.write_bytes(path.read_bytes()[:60])  # the header is whole
    assert f"{path}: bytes that are not PNG or JPEG" in _refused(config, described=False)
    assert f"{path}: no folder" in _refused(FolderData(folder=str(path)))


# Arrays


@pytest.mark.parametrize("kind", ["f2", "f4", ">f8"])
@pytest.mark.parametrize("shape", [(7,), (2, 9), (3, 4, 5), (1, 2, 3, 4)])
def test_floats_of_any_shape(tmp_path: Path, shape: tuple[int, ...], kind: str) -> None:
    generator = np.random.default_rng(0)
    inputs = [generator.standard_normal((n, *shape)).astype(kind) for n in (6, 4)]
    labels = np.arange(6)[:, None] % 3  # as Keras has them
    test = np.array([2, 2, 0, 1], np.uint8)
    path = tmp_path / "own.npz"
    names = ("train_images", "train_labels", "test_images", "test_labels")
    arrays: dict[str, Any] = dict(zip(names, (inputs[0], labels, inputs[1], test), strict=True))
    np.savez_compressed(path, **arrays, other=3)
    config = NpzData(npz=str(path))
    data = load(config)
    assert describe(config) == DataSpec(shape, 3, 6, 4, False, "own") == data.spec("own")
    assert data.train_inputs.dtype == np.float32
    assert np.array_equal(data.train_inputs, inputs[0].astype(np.float32))
    assert data.train_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.test_labels.tolist() == [2, 2, 0, 1]


def test_bytes_without_an_axis_of_channels_are_grey(tmp_path: Path) -> None:
    (train, labels), (test, _) = _images((5, 4)), _images((5, 4), seed=1)
    config = _as_npz(tmp_path / "a.npz", (train, labels), (test, labels))
    assert describe(config).shape == (1, 5, 4)
    assert np.array_equal(load(config).train_inputs, train[..., None])


def _bytes(*shape: int) -> NDArray[np.uint8]:
    return np.zeros(shape, np.uint8)


SIX = np.arange(6)
OTHER_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"x_test": None}, "arrays ['x_train', 'y_train', 'y_test']"),
    "integers": ({"x_train": np.eye(6, dtype=int)}, "x_train of shape (6, 6) and type int64"),
    "flat bytes": ({"x_train": _bytes(6, 5)}, "x_train of shape (6, 5) and type uint8"),
    "channels first": ({"x_train": _bytes(6, 3, 8, 8)}, "of shape (6, 3, 8, 8) and type uint8"),
    "no axis": ({"x_train": np.zeros(6)}, "x_train of shape (6,) and type float64"),
    "two shapes": (
        {"x_test": _bytes(6, 5, 5, 3)},
        "x_train of shape (6, 5, 4, 3) and x_test of shape (6, 5, 5, 3)",
    ),
    "two kinds": ({"x_test": np.zeros((6, 5, 4, 3))}, "of types uint8 and float64"),
    "numbers": ({"y_test": SIX[:5]}, "6 x_test and 5 y_test'; expected as many of both"),
    "floats": ({"y_train": np.zeros(6)}, "y_train of shape (6,) and type float64"),
    "one hot": ({"y_train": np.eye(6, dtype=int)}, "y_train of shape (6, 6) and type int64"),
    "negative": ({"y_train": SIX - 1}, "the label -1 for training"),
    "gap": ({"y_train": SIX // 2 * 2}, "labels for training up to 4, but none is 1"),
    "from one": ({"y_train": SIX + 1}, "labels for training up to 6, but none is 0"),
    "of test": ({"y_test": SIX}, "the label 5 for testing, which training does not have"),
    "untested": (
        {"y_test": np.zeros(6, int)},
        "no examples for testing of 2 of 3 classes (classes 1, 2)'; expected some of each class",
    ),
    "many untested": (
        {"x_train": _bytes(9, 5, 4, 3), "y_train": np.arange(9), "y_test": SIX * 0},
        "no examples for testing of 8 of 9 classes (classes 1, 2, 3, 4, 5, ...)",
    ),
    "empty": ({"x_test": _bytes(0, 5, 4, 3), "y_test": SIX[:0]}, "no examples for testing"),
    "objects": ({"y_train": SIX.astype(object)}, "cannot be read (ValueError: Object arrays"),
}


@pytest.mark.parametrize("other", OTHER_ARRAYS)
def test_other_arrays_are_refused(tmp_path: Path, other: str) -> None:
    change, found = OTHER_ARRAYS[other]
    (train, labels), (test, _) = _images(), _images(seed=1)
    arrays = {"x_train": train, "y_train": labels, "x_test": test, "y_test": labels, **change}
    path = tmp_path / "a.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    message = _refused(NpzData(npz=str(path)))
    assert f"{path}: " in message
    assert found in message


def test_numbers_that_are_not_finite_and_other_files_are_refused(tmp_path: Path) -> None:
    inputs = np.zeros((6, 2))
    inputs[3, 1] = np.nan
    path = tmp_path / "a.npz"
    config = _as_npz(path, (inputs, np.arange(6)), (inputs, np.arange(6)))
    assert "numbers in x_train that are not finite" in _refused(config, described=False)
    whole = path.read_bytes()
    array = io.BytesIO()
    np.save(array, inputs)
    for content in (b"", b"text", whole[: len(whole) // 2], array.getvalue(), None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        message = _refused(config)
        assert f"{path}: " in message
        assert "expected an npz file with arrays x_train" in message


# Parquet


def test_columns_of_other_names_and_bytes_alone(tmp_path: Path) -> None:
    train, test = _images(), _images(seed=1)
    config = _as_parquet(tmp_path, train, test)
    expected = config.load()
    for path, (images, labels) in zip(config._paths, (train, test), strict=True):
        cells = [_png(image) for image in images]
        columns: dict[str, Any] = {
            "img": cells,
            "fine_label": pa.array(labels.tolist(), pa.uint8()),
        }
        pq.write_table(pa.table(columns), path)
    assert _same(config.load(), expected)
    assert describe(config) == DataSpec((3, 5, 4), 3, 6, 6, True, tmp_path.name)


def test_grey_among_colour_is_read_as_rgb(tmp_path: Path) -> None:
    config = _as_parquet(tmp_path, _images(), _images((5, 4, 1), seed=1))
    data = config.load()
    assert data.spec("x").shape == config.describe().shape == (3, 5, 4)
    assert (data.test_inputs == _images((5, 4, 1), seed=1)[0]).all()


def _cells(row: int, code: bytes | None) -> list[Any]:
    cells: list[Any] = [{"bytes": _png(image)} for image in _images()[0]]
    cells[row] = None if code is None else {"bytes": code}
    return cells


TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({"label": None}, "columns ['image']"),
    "no images": ({"image": None}, "columns ['label']"),
    "images as text": ({"image": ["x"] * 6}, "images of type string"),
    "labels as text": ({"label": ["cat"] * 6}, "labels of type string"),
    "labels missing": ({"label": [None, 0, 1, 1, 2, 2]}, "1 rows without a label"),
    "a gap": ({"label": [0, 0, 1, 1, 3, 3]}, "labels for training up to 3, but none is 2"),
    "no image": ({"image": _cells(4, None)}, "no image in row 4"),
    "empty": ({"image": _cells(4, b"")}, "no image in row 4"),
    "text": ({"image": _cells(4, b"hello")}, "in row 4 bytes that are not PNG or JPEG"),
    "sizes": (
        {"image": _cells(4, _png(np.zeros((7, 8, 3), np.uint8)))},
        "in row 4 7 x 8 pixels, and 5 x 4 in row 0 of {path}",
    ),
    "transparent": ({"image": _cells(4, CLEAR.getvalue())}, "in row 4 an image in RGBA"),
}


@pytest.mark.parametrize("other", TABLES)
def test_other_tables_are_refused(tmp_path: Path, other: str) -> None:
    config = _as_parquet(tmp_path, _images(), _images(seed=1))
    path = config._paths[0]
    change, found = TABLES[other]
    _table(path, _images(), **change)
    message = _refused(config)
    assert f"{path}: " in message
    assert found.format(path=path) in message


def test_tables_without_some_classes_for_testing_are_refused(tmp_path: Path) -> None:
    config = _as_parquet(tmp_path, _images(), _images(seed=1))
    train, test = config._paths
    images, labels = _images(seed=1)
    _table(test, (images[labels != 1], labels[labels != 1]))
    found = f"{test}: no examples for testing of 1 of 3 classes (class 1)'"
    assert f"{found}; expected some of each class that {train} has" in _refused(config)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    config = _as_parquet(tmp_path, _images(), _images(seed=1))
    path = config._paths[1]
    for content in (b"", b"PAR1", b"text", None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert f"{path}: cannot be read" in _refused(config)
