"""The id of a results folder for other stores: the same on every machine, unique per folder."""

from __future__ import annotations

import hashlib
import re
import secrets

from suite.records import layout
from suite.records.json_file import read_json
from suite.records.storage import Storage


def new_id() -> str:
    """Return an id for a folder that is made: on another machine one may have its address."""
    return secrets.token_hex(8)


def results_id(storage: Storage) -> str:
    """Return the id in a folder's ``sweep.json``.

    A file of an earlier version holds none: its folder was known by the address.
    """
    try:
        found = read_json(storage.root / layout.SWEEP)["id"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{16}", found):
        return found
    return hashlib.sha256(storage.address.encode()).hexdigest()[:16]
