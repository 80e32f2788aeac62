"""Passwords and tokens in addresses: told apart where they come in, so that they get no further."""

from __future__ import annotations

import os
import re
import shlex
from urllib.parse import unquote

from suite.errors import ConfigError

HIDDEN = "***"

ADVICE = (
    "The password or token in --mlflow-uri is written down nowhere. Leave it out and set "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; or set "
    "MLFLOW_TRACKING_URI to the whole address in place of --mlflow-uri."
)
"""What to do with an address that held a secret."""

# Greedy, for a password may hold anything, even an @ or a stroke; but host:port/path has none.
_USER = re.compile(r"(?P<scheme>\b[\w.+-]+)://(?P<user>(?!/)(?![\w.-]+(?::\d+)?/)[^\s'\"<>]*)@")
_QUERY = re.compile(
    r"(?P<name>[?&;#][\w.-]*(?:pass|pwd|token|secret|key|credential|auth|sig)[\w.-]*=)"
    r"(?P<value>[^&;#\s'\"<>]+)",
    re.IGNORECASE,
)

# The same in one address alone, where nothing else can follow.
_USER_ALONE = re.compile(
    r"(?P<scheme>\b[\w.+-]+)://(?P<user>(?!/)(?![\w.-]+(?::\d+)?/).*)@", re.DOTALL
)
_QUERY_ALONE = re.compile(_QUERY.pattern.replace(r"[^&;#\s'\"<>]+", "[^&;#]+"), re.IGNORECASE)

VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""Secrets that MLflow reads from the environment."""

_known: set[str] = set()


def redact(text: str) -> str:
    """Return text without the passwords and tokens of addresses in it.

    Of a web address all that stands before the host is left out, so that it can be used as it is
    when the secret is in the environment; of a database's the user stays.

    >>> redact("run a --mlflow-uri=https://ann:top@host:5000/x?token=abc&page=2")
    'run a --mlflow-uri=https://host:5000/x?token=***&page=2'
    >>> redact("postgresql://ann:top@host/db"), redact("sqlite:////home/ann@work/mlflow.db")
    ('postgresql://ann:***@host/db', 'sqlite:////home/ann@work/mlflow.db')
    """
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _USER.sub(_user, text)
    return _QUERY.sub(lambda match: f"{match['name']}{HIDDEN}", text)


def redact_command(command: str) -> str:
    """Return a command without the passwords and tokens of addresses among its words.

    Words without an address stay, though a password may be among their letters: the command is to
    work.

    >>> redact_command("run quick --mlflow-uri 'http://ann:quick@host:5000' --results 'a b'")
    "run quick --mlflow-uri http://host:5000 --results 'a b'"
    """
    try:
        words = shlex.split(command)
    except ValueError:  # not from a shell
        return redact(command)
    return shlex.join(redact_address(word) if "://" in word else word for word in words)


def redact_address(address: str) -> str:
    """Return one address, whatever its password holds, without its passwords and tokens.

    >>> redact_address("HTTPS://ann:it's me@host/x?token=a b"), redact_address("http://u:a'b@host")
    ('HTTPS://host/x?token=***', 'http://host')
    """
    address = _USER_ALONE.sub(_user, address)
    return _QUERY_ALONE.sub(lambda match: f"{match['name']}{HIDDEN}", address)


def _user(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    if scheme.lower().startswith("http"):
        return f"{scheme}://"
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{colon}{HIDDEN if colon else ''}@"


def secrets_of(address: str) -> list[str]:
    """Return the passwords and tokens in an address, as written and decoded.

    >>> secrets_of("http://ann:t%40p@host/?token=abc"), secrets_of("http://host:5000")
    (['t%40p', 't@p', 'abc'], [])
    >>> secrets_of("http://ann:pa'ss wo<rd@host/?password=sec ret")
    ["pa'ss wo<rd", 'sec ret']
    """
    found: list[str] = []
    if (match := _USER_ALONE.search(address)) is not None:
        name, colon, password = match["user"].partition(":")
        if colon or match["scheme"].lower().startswith("http"):
            found.append(password if colon else name)
    found += [match["value"] for match in _QUERY_ALONE.finditer(address)]
    both = (text for secret in found for text in (secret, unquote(secret)))
    return [text for text in dict.fromkeys(both) if text]


def keep_secret(address: str | None) -> bool:
    """Have `redact` find the secrets of an address wherever they turn up; say if it has any.

    So are those that MLflow reads from the environment.
    """
    found = secrets_of(address or "")
    set_apart = [os.environ[name] for name in VARIABLES if os.environ.get(name)]
    _known.update(s for s in (*found, *set_apart) if len(s) > 3)  # "a" would be everywhere
    return bool(found)


def refuse_secrets(key: str, address: str) -> None:
    """Check that an address of a file system has no secret in it: it is written into every run.

    Raises:
        ConfigError: if it has one.
    """
    if "://" in address and secrets_of(address):
        wanted = (
            "an address without a password or key, which belong into the environment "
            "(such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
        raise ConfigError(key, redact(address), wanted)
