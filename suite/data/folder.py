"""A user's own images in a folder: ``train/CLASS/*.png`` and ``test/CLASS/*.png``, or JPEG.

The classes are the names of the folders in ``train``, sorted; ``test`` has the same. All images
have one size. If any is in colour, all are read as RGB.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.data.base import DataSet, DataSpec, Labels
from suite.data.checks import fault, reading
from suite.data.encoded import header, pixels
from suite.data.own import OwnData, OwnPath, own_set, untested

ENDINGS = (".png", ".jpg", ".jpeg")
LAYOUT = "folders train/CLASS and test/CLASS with images that end in .png, .jpg or .jpeg"


class FolderData(OwnData):
    """Images in a folder for each class, as ``{folder: PATH}``."""

    folder: OwnPath

    def describe(self) -> DataSpec:
        """Return the description, from the headers of the images."""
        root = Path(self.folder)
        with reading(root, LAYOUT):
            names, files = _files(root)
            height, width, channels = _shape([path for split in files for path, _ in split])
        train, test = (len(split) for split in files)
        return DataSpec((channels, height, width), len(names), train, test, True, root.name)

    def load(self) -> DataSet:
        """Return the images, ordered by class and name."""
        root = Path(self.folder)
        with reading(root, LAYOUT):
            names, (train, test) = _files(root)
            shape = _shape([path for path, _ in train + test])
            parts = (_read(train, shape), _read(test, shape))
        return own_set(self.folder, *parts, len(names))


def _files(root: Path) -> tuple[list[str], list[list[tuple[Path, int]]]]:
    """Return the names of the classes, and the files with labels of both splits."""  # noqa: DOC501
    if not root.is_dir():
        raise fault(root, "no folder" if root.exists() else "nothing there", LAYOUT)
    found = []
    for split in ("train", "test"):
        classes = sorted(
            path
            for path in (root / split).glob("*")
            if path.is_dir() and not path.name.startswith(".")
        )
        if not classes:
            raise fault(root / split, "no folder of a class", LAYOUT)
        found.append(classes)
    names = [path.name for path in found[0]]
    for path in found[1]:
        if path.name not in names:
            expected = f"a class of {root / 'train'}, such as {names[0]}"
            raise fault(path, f"the class {path.name}, which is not in train", expected)
    label = {name: number for number, name in enumerate(names)}
    files = [
        [(path, label[folder.name]) for folder in classes for path in _images(folder)]
        for classes in found
    ]
    tested = {path.name for path in found[1]}
    if missing := [name for name in names if name not in tested]:
        raise untested(root / "test", missing, len(names), str(root / "train"))
    return names, files


def _images(folder: Path) -> list[Path]:
    """Return the images of a class, sorted by name."""  # noqa: DOC501
    images = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".")
    )
    if not images:
        raise fault(folder, "a class without images", "at least one that ends in .png or .jpg")
    return images


def _shape(paths: list[Path]) -> tuple[int, int, int]:
    """Return the height and width that all images have, and 3 if any has colour, else 1."""  # noqa: DOC501
    size, channels = header(paths[0], paths[0])
    for path in paths[1:]:
        another, more = header(path, path)
        channels = max(channels, more)
        if another != size:
            found = f"{another[0]} x {another[1]} pixels, and {size[0]} x {size[1]} in {paths[0]}"
            raise fault(path, found, "images of one size; resize them first")
    return (*size, channels)


def _read(
    files: list[tuple[Path, int]], shape: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], Labels]:
    """Return the images (n, *shape) and the labels (n,) of a split."""
    images = np.empty((len(files), *shape), np.uint8)
    for row, (path, _) in enumerate(files):
        images[row] = pixels(path, path, shape)
    return images, np.array([label for _, label in files], np.int64)
