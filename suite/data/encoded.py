"""Encoded images, PNG or JPEG: their headers, and their pixels as bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suite.data.checks import fault

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG")
JPEG = b"\xff\xd8\xff"
"""What a JPEG begins with."""

GREY = ("L",)
COLOUR = ("RGB", "P", "CMYK")
"""Pillow's modes that are taken; a set with any image in colour is read as RGB."""


@contextmanager
def decoded(code: bytes | Path, path: Path, where: str, expected: str) -> Iterator[Image.Image]:
    """Open an image; its pixels are unpacked only when they are asked for.

    Args:
        code: the encoded image, or its file.
        path: the file to name.
        where: in the file, such as ``in row 4``.
        expected: what would be right.

    Raises:
        ConfigError: naming the file, if it is not PNG or JPEG.
    """  # noqa: DOC501
    from PIL import Image

    try:
        opened = io.BytesIO(code) if isinstance(code, bytes) else code
        with Image.open(opened, formats=FORMATS) as image:
            yield image
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        found = f"{where} bytes that are not PNG or JPEG ({type(error).__name__})".lstrip()
        raise fault(path, found, expected) from error


def header(code: bytes | Path, path: Path, where: str = "") -> tuple[tuple[int, int], int]:
    """Return (height, width) and the number of channels of an image, 1 or 3.

    Raises:
        ConfigError: naming the file, if it is no image of these kinds.
    """  # noqa: DOC501
    expected = "an image in PNG or JPEG, grey or in colour, of 8 bits, without transparency"
    with decoded(code, path, where, expected) as image:
        if image.mode not in GREY + COLOUR or "transparency" in image.info:
            found = f"{where} an image in {image.mode}".lstrip()
            clear = " with transparency" if "transparency" in image.info else ""
            raise fault(path, found + clear, expected)
        return (image.height, image.width), 1 if image.mode in GREY else 3


def pixels(
    code: bytes | Path, path: Path, shape: tuple[int, int, int], where: str = ""
) -> NDArray[np.uint8]:
    """Return the bytes of an image whose header has been read.

    Args:
        code: the encoded image, or its file.
        path: the file to name.
        shape: height, width and channels to give back; grey is made RGB for three channels.
        where: in the file, such as ``in row 4``.

    Raises:
        ConfigError: naming the file, if it is damaged.
    """
    expected = "a whole image in PNG or JPEG"
    with decoded(code, path, where, expected) as image:
        return np.asarray(image.convert("L" if shape[2] == 1 else "RGB")).reshape(shape)
