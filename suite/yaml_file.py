"""Reading YAML as people write it: ``1e-3`` is a number, ``on`` is a word, a key stands once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from suite.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's core types."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"),
    list("-+0123456789."),
)


def _mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise yaml.constructor.ConstructorError(None, None, f"line {line}: {key!r} twice")
        seen.add(key)
    return dict(yaml.SafeLoader.construct_mapping(loader, node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_yaml(text: str, where: str) -> Any:
    """Return the data of a YAML text.

    Args:
        text: the YAML.
        where: what to call it in messages.

    Raises:
        ConfigError: if it is not YAML, or a key stands twice in a mapping.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise ConfigError(where, text if len(text) < 80 else "...", f"YAML ({said})") from None


def read_yaml(path: Path) -> Any:
    """Return the data of a YAML file.

    Raises:
        ConfigError: if it cannot be read or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("config", str(path), f"a readable YAML file ({error})") from None
    return parse_yaml(text, path.name)


def one_line(value: Any) -> str:
    """Return plain data as YAML in one line.

    >>> one_line({"budget": 5, "roles": ["weight"]})
    '{budget: 5, roles: [weight]}'
    """
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1e9).strip()
