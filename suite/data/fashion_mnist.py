"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) from its IDX files.

The sums of the unpacked files were computed from Debian's package ``dataset-fashion-mnist``
(0.0~git20200523.55506a9-1), which packs them anew. Those of the packed files are the ones that
torchvision checks downloads with.
"""

from __future__ import annotations

from suite.data.base import DataSet
from suite.data.idx import files_of, read_set

FILES = files_of(
    "Fashion-MNIST",
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    (
        ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
        ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
        ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
)


def read() -> DataSet:
    """Return Fashion-MNIST.

    Raises:
        ConfigError: if its files are nowhere, or are not the published ones.
    """
    return read_set("fashion_mnist", "FashionMNIST/raw", FILES)
