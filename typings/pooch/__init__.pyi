"""What the suite calls of pooch, which has no types of its own."""

from pathlib import Path

class HTTPDownloader:
    def __init__(self, *, timeout: float = ...) -> None: ...

def os_cache(project: str) -> Path: ...
def retrieve(
    url: str,
    known_hash: str | None,
    fname: str | None = ...,
    path: Path | str | None = ...,
    *,
    downloader: HTTPDownloader | None = ...,
) -> str: ...
