"""YAML 1.2 with the types of its core schema: ``010`` is ten, ``1:30`` and ``on`` are strings.

PyYAML scans and parses, but it reads plain scalars as YAML 1.1. So values are built here from its
events (https://yaml.org/spec/1.2.2/#103-core-schema). ruamel.yaml's 1.2 still reads ``1_000``,
``0b11`` and dates. Keys are strings, as they are written. Merges (``<<: *a``) are supported,
because many files have them. Ambiguous, hostile or lossy content is refused with its line: a
repeated key, a second document, other tags, numbers beyond 64 bits, excessive nesting and aliases.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from suite.errors import ConfigError

MOST_BYTES = 1 << 20
"""Largest file that is read; the longest of the suite's own has 5 KiB."""

MOST_NODES = 30_000
"""Scalars, lists and mappings of a document, those behind aliases counted at each."""

MOST_DEPTH = 64
"""Lists and mappings inside one another."""

_TAG = "tag:yaml.org,2002:"
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_FIRSTS = {"null": "nN~", "bool": "tTfF", "int": "-+0123456789", "float": "-+.0123456789"}
_PATTERNS = {"null": [_NULL], "bool": [_BOOL], "int": [_INT], "float": [_FLOAT, _NO_NUMBER]}


def _plain(text: str) -> Any:
    """Return the value of a plain scalar.

    Raises:
        ValueError: for a number that 64 bits do not hold.
    """
    if text and text[0] not in "-+.0123456789nN~tTfF":
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return _whole(text)
    if _NO_NUMBER.fullmatch(text):
        return float(text.lower().replace(".", "", 1))
    if _FLOAT.fullmatch(text):
        value = float(text)
        mantissa = re.split("[eE]", text)[0]
        if math.isinf(value) or (value == 0 and mantissa.strip("+-.0")):
            raise ValueError("a number that fits in 64 bits")
        return value
    return text


def _whole(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    digits = text[2:] if base != 10 else text
    if len(digits) < 80:
        value = int(digits, base)
        if -(2**63) <= value < 2**63:
            return value
    raise ValueError("a whole number that fits in 64 bits")


class _Fault(yaml.MarkedYAMLError):
    """What is YAML, and is not taken."""

    def __init__(self, said: str, event: Any) -> None:
        super().__init__(problem=said, problem_mark=event.start_mark)


@dataclass(frozen=True)
class _Anchor:
    """A node that aliases may stand for: its value, text if a scalar, values and levels in it."""

    value: Any
    text: str | None
    size: int
    height: int


class _Builder:
    """Builds data from the events of a text.

    Args:
        text: the YAML.
    """

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_PARSER))
        self._anchors: dict[str, _Anchor] = {}
        self._nodes = self._deepest = 0

    def document(self) -> Any:
        """Return the data of the one document, None if there is none.

        Raises:
            _Fault: if there is another, or it is not right.
        """
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value, _ = self._node(next(self._events), 0)
        next(self._events)  # the document ends
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Fault("a second document; one is taken", after)
        return value

    def _node(self, event: Any, depth: int) -> tuple[Any, str | None]:
        """Return a node's value, and its text if it is a scalar.

        Raises:
            _Fault: if it is not what YAML or this suite allows.
        """
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Fault(f"no anchor &{event.anchor} is complete before this", event)
            known = self._anchors[event.anchor]
            self._count(known.size, depth + known.height, event)
            return known.value, known.text
        before, outside, self._deepest = self._nodes, self._deepest, depth
        self._count(1, depth, event)
        text: str | None = None
        if isinstance(event, yaml.ScalarEvent):
            value, text = _scalar(event), event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            _check_tag(event, "seq")
            value = self._list(depth)
        else:
            _check_tag(event, "map")
            value = self._mapping(depth)
        if event.anchor is not None:
            size, height = self._nodes - before, self._deepest - depth
            self._anchors[event.anchor] = _Anchor(value, text, size, height)
        self._deepest = max(self._deepest, outside)
        return value, text

    def _count(self, more: int, depth: int, event: Any) -> None:
        self._nodes += more
        self._deepest = max(self._deepest, depth)
        if depth > MOST_DEPTH:
            raise _Fault(f"more than {MOST_DEPTH} nested lists and mappings", event)
        if self._nodes > MOST_NODES:
            raise _Fault(f"more than {MOST_NODES:,} values, counting those behind aliases", event)

    def _list(self, depth: int) -> list[Any]:
        values = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._node(event, depth + 1)[0])
        return values

    def _mapping(self, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        below: dict[str, Any] | None = None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_value, key = self._node(event, depth + 1)
            if key is None:
                raise _Fault(f"a key that is not a string: {str(key_value)[:60]}", event)
            if key_value is None:
                raise _Fault("a key that is null; in quotes it is a string", event)
            merges = key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]
            if key in own or (merges and below is not None):
                raise _Fault(f"{key!r} twice", event)
            value_event = next(self._events)
            value, _ = self._node(value_event, depth + 1)
            if merges:
                below = _merged(value, value_event)
            else:
                own[key] = value
        return {**below, **own} if below else own


def _merged(value: Any, event: Any) -> dict[str, Any]:
    """Return what ``<<`` brings: of several mappings the first with a key counts.

    Raises:
        _Fault: if it is no mapping, or no list of them.
    """
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in parts):
        raise _Fault("<< without a mapping or a list of mappings", event)
    found: dict[str, Any] = {}
    for part in reversed(parts):
        found.update(part)
    return found


_EXPLICIT: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float),
}


def _scalar(event: yaml.ScalarEvent) -> Any:
    tag: str | None = event.tag
    if tag in ("!", f"{_TAG}str") or (tag is None and not event.implicit[0]):
        return event.value
    try:
        value = _plain(event.value)
    except ValueError as error:
        raise _Fault(f"{event.value[:60]!r} is not {error}", event) from None
    if tag is None:
        return value
    name = tag.removeprefix(_TAG)
    if not tag.startswith(_TAG) or name not in _EXPLICIT:
        _check_tag(event, "str")
    if not _EXPLICIT[name](value):
        raise _Fault(f"{event.value[:60]!r} is no {name}", event)
    return float(value) if name == "float" else value


def _check_tag(event: Any, usual: str) -> None:
    if event.tag not in (None, "!", _TAG + usual):
        raise _Fault(f"the tag {event.tag[:60]!r}; those of YAML's core schema are taken", event)


def parse_yaml(text: str, where: str) -> Any:
    """Return the data of a YAML text: dicts with strings for keys, lists and scalars.

    Args:
        text: the YAML.
        where: what to call it in messages.

    Raises:
        ConfigError: if it is not YAML, or not taken (see the module's docstring).
    """
    try:
        return _Builder(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        line = "" if mark is None else f"line {mark.line + 1}: "
        lines = text.splitlines()
        got = lines[mark.line].strip() if mark is not None and mark.line < len(lines) else "..."
        raise ConfigError(where, got[:80], f"YAML ({line}{said})") from None
    except (yaml.YAMLError, UnicodeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(where, text[:80], f"YAML ({said[:200]})") from None


def read_yaml(path: Path) -> Any:
    """Return the data of a YAML file in UTF-8, with a byte order mark or without.

    Raises:
        ConfigError: if it cannot be read or is not YAML.
    """
    wanted = "a readable YAML file"
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigError("config", str(path), f"{wanted} of at most {MOST_BYTES:,} bytes")
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("config", str(path), f"{wanted} ({error})") from None
    return parse_yaml(text, path.name)


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which quotes what YAML 1.2 or YAML 1.1 would take for another type."""


for _name, _patterns in _PATTERNS.items():
    for _pattern in _patterns:
        _whole_text = re.compile(rf"(?:{_pattern.pattern})\Z")
        _Dumper.add_implicit_resolver(_TAG + _name, _whole_text, list(_FIRSTS[_name]))


class _OneLine(_Dumper):
    """The dumper of values in one line, which escapes the ends of lines in them."""


def _escaped(dumper: _OneLine, text: str) -> yaml.ScalarNode:
    style = '"' if len(text.splitlines()) > 1 or text.endswith("\n") else None
    return dumper.represent_scalar(f"{_TAG}str", text, style)


_OneLine.add_representer(str, _escaped)


def to_yaml(value: Any) -> str:
    """Return plain data as YAML, which `parse_yaml` and readers of YAML 1.1 read back equal."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False))


def flow_style(value: Any) -> str:
    """Return plain data as YAML in one line.

    >>> flow_style({"budget": 5, "roles": ["weight"]})
    '{budget: 5, roles: [weight]}'
    """
    text: str = yaml.dump(
        value, Dumper=_OneLine, default_flow_style=True, sort_keys=False, width=1e9
    )
    return text.removesuffix("...\n").strip()
