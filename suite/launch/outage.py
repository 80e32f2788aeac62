"""What ends a sweep from without, said in one sentence: the disk, memory, Ray, the machine."""

from __future__ import annotations

import errno
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from suite.records.storage import write_text
from suite.text.secrets import redact

WORDS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow any larger",
    errno.EACCES: "there is no permission to use a file",
    errno.EPERM: "there is no permission to use a file",
    errno.EROFS: "the file system can only be read",
    errno.EMFILE: "too many files are open (`ulimit -n` says how many may be)",
    errno.ENFILE: "too many files are open on this machine",
    errno.EIO: "the disk cannot be read or written",
    errno.ESTALE: "the network file system has lost a file",
    errno.ENOMEM: "there is not enough memory",
    errno.ENOTCONN: "the network file system is not connected",
}
"""Errors of the system that no request and no code of ours is to blame for."""

LOG = "driver-error.txt"
"""File of the results folder with the traceback of what ended the latest sweep."""


class Outage(RuntimeError):
    """The machine, the disk or Ray failed under a sweep; what is finished is kept."""


def explain(error: BaseException) -> str:
    """Return one line on what went wrong.

    The system's own errors are looked for in the error, in what caused it and, since Ray passes
    errors on as text, in their texts.

    >>> explain(OSError(errno.ENOSPC, "No space left on device", "/a/b"))
    'no space is left on the disk (/a/b)'
    """
    for part in _chain(error):
        if isinstance(part, Outage):
            return str(part)
        if isinstance(part, OSError) and part.errno in WORDS:
            named = f" ({part.filename})" if part.filename else ""
            return WORDS[part.errno] + named
        if isinstance(part, MemoryError):
            return WORDS[errno.ENOMEM]
    for part in _chain(error):
        if (said := _in_words(str(part))) is not None:
            return said
    return explain_text(f"{type(error).__name__}: {error}")


def explain_text(text: str) -> str:
    """Return one line on what went wrong, from the text of an error.

    >>> explain_text("OperationalError: (sqlite3) database or disk is full")
    'no space is left on the disk'
    >>> explain_text("ValueError: no")
    'ValueError: no'
    """
    if (said := _in_words(text)) is not None:
        return said
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].removesuffix(":")[:300] if lines else ""


def explain_trial(text: str) -> str:
    r"""Return one line on what a trial died of, from Ray's text on it.

    >>> explain_trial("Traceback\n  line\nValueError: no")
    'ValueError: no'
    """
    if "OutOfMemoryError" in text or "running low on memory" in text:
        return "memory ran out, so Ray killed its process; --num-cpus lets fewer run at a time"
    if any(name in text for name in ("ActorDiedError", "RayActorError", "ActorUnavailableError")):
        return (
            "its process died without a word, as one does that is killed; "
            "where memory ran out, --num-cpus lets fewer run at a time"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "the worker died"
    said = _in_words(lines[-1])
    return lines[-1] if said is None else f"{said}: {lines[-1]}"


def _in_words(text: str) -> str | None:
    for number, words in WORDS.items():
        if os.strerror(number) in text:
            return words
    if "database or disk is full" in text:
        return WORDS[errno.ENOSPC]
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        led = [part.__cause__, part.__context__, *part.args]
        waiting += [e for e in led if isinstance(e, BaseException)]


def keep_traceback(error: BaseException, folder: Path) -> None:
    """Write the traceback, without passwords, into the results folder, if there is room."""
    with suppress(OSError):
        text = redact("".join(traceback.format_exception(error)))
        write_text(folder / LOG, text)  # renamed into place: through no link


def within(
    seconds: float, call: Callable[[], Any], late: str, stay: threading.Event | None = None
) -> Any:
    """Return what a call returns, in another thread, or give it up.

    Args:
        seconds: how long to wait for it.
        call: goes on by itself if it is given up.
        late: what to say then.
        stay: the thread lives on until this is set; at once, if None.

    Raises:
        Outage: if it has not returned in time; what it raises is passed on.
    """
    results: list[Any] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()
        if stay is not None:
            stay.wait()

    threading.Thread(target=work, daemon=True).start()
    if not done.wait(seconds):
        raise Outage(late)
    if errors:
        raise errors[0]
    return results[0]
