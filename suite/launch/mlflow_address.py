"""Addresses of MLflow stores: whether one answers, and what it says if it does not."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

from suite.errors import ConfigError
from suite.records.layout import MLFLOW, mlflow_uri
from suite.records.storage import Storage
from suite.text.secrets import redact


def default_uri(storage: Storage) -> str:
    """Return the address of the results folder's own store."""
    return mlflow_uri(storage.root)


def check_store(uri: str) -> None:
    """Check, before anything is made, that a tracking store answers.

    Raises:
        ConfigError: if it does not.
    """
    try:
        probe(uri)
    except Exception as error:  # whatever kind of store it is
        wanted = f"a tracking store that answers ({said(error)})"
        raise ConfigError("--mlflow-uri", redact(uri), wanted) from None


def probe(uri: str) -> None:
    """Ask a store something; a local one must let itself be written to.

    Raises:
        Exception: whatever kind its client raises, if that does not work.
    """
    # The sink tries again by itself, later.
    for name, value in {"MAX_RETRIES": "1", "TIMEOUT": "10"}.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    # It would print the address of every run, with the password in it.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # A new database would be announced table by table, and a full disk with a traceback; errors
    # come to us as exceptions.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    from mlflow.tracking import MlflowClient

    if uri.startswith("sqlite"):
        _check_database(uri)
    MlflowClient(tracking_uri=uri).search_experiments(max_results=1)


def _check_database(uri: str) -> None:
    """Check that a database can be written to: MLflow would try for minutes what cannot be opened.

    Raises:
        sqlite3.Error: if it cannot.
    """
    from sqlalchemy.engine import make_url

    url = make_url(uri)
    name, by_uri = url.database or ":memory:", "uri" in url.query
    if by_uri:
        name += f"?{urlencode({k: v for k, v in url.query.items() if k != 'uri'})}"
    elif name != ":memory:":
        Path(name).parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(name, timeout=5, uri=by_uri)) as database:
        database.execute("PRAGMA schema_version").fetchone()  # what is no database fails here
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE suite_was_here (x)")  # and what is read-only here
        database.rollback()


def said(error: BaseException) -> str:
    """Return what an error says, in one line without secrets."""
    return redact(" ".join(str(error).split())[:400])[:200]


def is_temporary(error: BaseException) -> bool:
    """Return whether the same call may succeed later: not if the store answered and refused it.

    Neither is a fault on this side, such as a file of rows that cannot be read.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, MlflowException):
        status = int(error.get_http_status_code())
        return status >= 500 or status in (408, 429)
    away = ConnectionError | TimeoutError | RequestException | DBAPIError | sqlite3.OperationalError
    return isinstance(error, away)


def refusal(storage: Storage, uri: str, error: Exception) -> ConfigError:
    """Return the error of a store that cannot keep the records of a sweep."""
    if isinstance(error, ConfigError):
        return error
    if uri == default_uri(storage):
        wanted = f"an MLflow database that opens ({said(error)}); moved away, it is made anew"
        return ConfigError("--results", str(storage.root / MLFLOW), wanted)
    return ConfigError("--mlflow-uri", redact(uri), f"a store that keeps records ({said(error)})")
