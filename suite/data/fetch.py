"""Finding data files: the folder named by the user, the cache, then the mirrors, then an error."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.errors import ConfigError

VARIABLE = "SUITE_DATA"
"""Environment variable that names the folder with the data sets."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded.

    Attributes:
        name: file name.
        md5: checksum of the file as downloaded.
        mirrors: addresses, tried in order.
    """

    name: str
    md5: str
    mirrors: tuple[str, ...]


def cache_folder() -> Path:
    """Return the folder that downloads and decoded copies are kept in."""
    import pooch

    return Path(pooch.os_cache("rewarm-suite"))


def data_folders() -> list[Path]:
    """Return the folders that are searched for data sets, in order."""
    named = os.environ.get(VARIABLE)
    return [*([Path(named)] if named else []), cache_folder()]


def find(
    dataset: str, choices: Sequence[Sequence[str]], remote: Sequence[RemoteFile]
) -> list[Path]:
    """Return the files of a data set, from the first place that has a full choice of them.

    Args:
        dataset: name of the data set, and of its folder.
        choices: alternative lists of file names relative to a data folder.
        remote: files that together make up the last choice, downloaded as a last resort.

    Raises:
        ConfigError: naming the exact files looked for, if they are nowhere.
    """
    folders = data_folders()
    for folder in folders:
        for choice in choices:
            paths = [folder / name for name in choice]
            if all(path.is_file() for path in paths):
                return paths
    failures = []
    for file in remote:
        if (fault := _download(file, cache_folder() / Path(choices[-1][0]).parent)) is not None:
            failures.append(fault)
    if not failures and remote:
        return [cache_folder() / name for name in choices[-1]]
    looked = " or ".join(" + ".join(choice) for choice in choices)
    places = ", ".join(str(folder) for folder in folders)
    tried = f"; downloads failed: {'; '.join(failures)}" if failures else ""
    raise ConfigError(
        "task.dataset", dataset, f"its files {looked} in {VARIABLE} or the cache ({places}){tried}"
    )


def _download(file: RemoteFile, folder: Path) -> str | None:
    """Fetch one file into `folder`, checked; return why it failed, or None."""
    import pooch
    import requests

    fault = ""
    for url in file.mirrors:
        downloader = pooch.HTTPDownloader(timeout=30)
        try:
            pooch.retrieve(url, f"md5:{file.md5}", file.name, folder, downloader=downloader)
        except (requests.RequestException, OSError, ValueError) as error:
            fault = f"{url}: {type(error).__name__}"
        else:
            return None
    return fault
