"""RunConfig: everything that decides what one run computes, as a tree of frozen, strict models.

YAML is only a spelling of this tree. A key that is unknown, of a wrong type or out of range raises
`suite.errors.ConfigError` with the key's full path, the value and what would be right; nothing is
repaired silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from suite.errors import ConfigError, nearest
from suite.registry import Registry

UNITS = ("steps", "epochs", "frames", "agent_steps", "fraction")
"""Units of time, as the one key of a duration."""

RESULT_VERSION = {"supervised": 3, "rl": 4}
"""By engine; raised whenever a change of code changes what its configs compute. Part of run ids."""


class Config(BaseModel):
    """Base of every config model: frozen, strict, without unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    def canonical(self) -> str:
        """Return the canonical JSON text: sorted keys, no spaces, defaults included."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], where: str = "") -> Self:
        """Build the config from plain data.

        Args:
            mapping: nested dicts and lists, as a YAML file holds them.
            where: prefix of the key path in messages, such as a file's name.

        Raises:
            ConfigError: for the first fault found.
        """
        try:
            return cls.model_validate(mapping)
        except ValidationError as error:
            raise _first_fault(error, cls, where) from None


class Component(Config):
    """A config that names its implementation by `kind`."""

    kind: str


C = TypeVar("C", bound=Component)


def one_of(
    registry: Registry[type[C]], *, shorthand: bool = False, default: str | None = None
) -> Any:
    """Return the validator of a field whose `kind` picks a class from `registry`.

    Args:
        registry: where the classes are looked up, when the value is validated.
        shorthand: whether a bare string stands for ``{kind: string}``.
        default: the kind of a mapping that names none.
    """

    def build(value: Any) -> Any:
        if shorthand and isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, Mapping):
            return value
        kind = value.get("kind", default)
        if kind not in registry.entries():
            raise ConfigError("kind", kind, nearest(str(kind), registry.entries()))
        return registry[kind].from_mapping(value)

    return BeforeValidator(build)


def _first_fault(error: ValidationError, cls: type[BaseModel], where: str) -> ConfigError:
    """Turn the first entry of a pydantic error into one message with path, value and remedy."""
    detail = error.errors()[0]
    path = [*detail["loc"]]
    value = detail["input"]
    context = detail.get("ctx", {})
    if isinstance(fault := context.get("error"), ConfigError):
        outer = _join(where, path)
        between = "." if fault.key and path else ""
        return ConfigError(f"{outer}{between}{fault.key}", fault.value, fault.expected)
    match detail["type"]:
        case "extra_forbidden":
            known = nearest(str(path[-1]), _model_at(cls, path[:-1]).model_fields)
            return ConfigError(_join(where, path), value, f"no such key; did you mean {known}?")
        case "missing":
            return ConfigError(_join(where, path), None, "a value, for this key is required")
        case "model_type":
            keys = ", ".join(_model_at(cls, path).model_fields)
            return ConfigError(_join(where, path), value, f"a mapping of {keys}")
        case "tuple_type" | "list_type":
            return ConfigError(_join(where, path), value, "a list, in brackets")
    return ConfigError(_join(where, path), value, _expected(detail))


def _expected(detail: ErrorDetails) -> str:
    """Reword pydantic's message as what would be right."""
    message = detail["msg"].removeprefix("Value error, ")
    for prefix in ("Input should be ", "Input should "):
        message = message.removeprefix(prefix)
    return message


def _join(where: str, path: list[int | str]) -> str:
    text = ""
    for part in path:
        if isinstance(part, str) and not part.replace(".", "").isidentifier():
            continue  # pydantic's name for a branch of a union, not a key
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{where}{text}"


def _model_at(cls: type[BaseModel], path: list[int | str]) -> type[BaseModel]:
    """Return the model class that the keys of `path` lead to, from `cls`."""
    model: type[BaseModel] = cls
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            for candidate in (annotation, *getattr(annotation, "__args__", ())):
                if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                    model = candidate
    return model


def merge(base: Any, override: Any) -> Any:
    """Return `base` with `override` laid over it.

    Mappings merge key by key, except that one with another `kind` replaces, and a duration in
    another unit does; a bare name counts as the `kind` of a mapping; anything else replaces. Keys
    of an override may be dotted paths, in which a number picks from a list; a key with a ``+``
    behind it adds to the list.

    >>> merge({"task": {"kind": "a", "x": 1}}, {"task.x": 2})
    {'task': {'kind': 'a', 'x': 2}}
    >>> merge({"task": {"kind": "a", "x": 1}}, {"task": {"kind": "b"}})
    {'task': {'kind': 'b'}}
    >>> merge({"budget": {"frames": 400}}, {"budget": {"agent_steps": 64}})
    {'budget': {'agent_steps': 64}}
    >>> merge({"interventions": [{"kind": "nap"}]}, {"interventions.0.every": 10})
    {'interventions': [{'kind': 'nap', 'every': 10}]}
    >>> merge({"interventions": ["nap"]}, {"interventions+": ["weight_decay"]})
    {'interventions': ['nap', 'weight_decay']}

    Raises:
        ConfigError: if an element of a list is picked that there is not, or what should be added
            to is no list.
    """
    override = undot(override)
    if isinstance(base, str) and isinstance(override, Mapping):
        base = {"kind": base}
    if isinstance(base, list) and isinstance(override, Mapping):
        return _merge_list(base, override)
    if not (isinstance(base, Mapping) and isinstance(override, Mapping)):
        return override
    if "kind" in override and override["kind"] != base.get("kind"):
        return dict(override)
    if all(len(side) == 1 and side.keys() <= set(UNITS) for side in (base, override)):
        return dict(override)
    merged = dict(base)
    for key, value in override.items():
        if key.endswith("+"):
            merged[key[:-1]] = _add(merged.get(key[:-1], []), value, key)
        else:
            merged[key] = _merge_at(key, merged[key], value) if key in merged else value
    return merged


def _merge_at(key: str, base: Any, override: Any) -> Any:
    """Merge the values of a key, which a fault's path begins with."""
    try:
        return merge(base, override)
    except ConfigError as error:
        raise ConfigError(f"{key}.{error.key}", error.value, error.expected) from None


def _merge_list(base: list[Any], override: Mapping[str, Any]) -> list[Any]:
    """Return a list with some of its elements laid over, picked by their place."""
    merged = list(base)
    for key, value in override.items():
        if not key.isdigit() or int(key) >= len(merged):
            last = len(merged) - 1
            raise ConfigError(key, value, f"a place in a list, from 0 to {last}, or a whole list")
        merged[int(key)] = _merge_at(key, merged[int(key)], value)
    return merged


def _add(base: Any, more: Any, key: str) -> list[Any]:
    for value in (base, more):
        if not isinstance(value, list):
            raise ConfigError(key, value, "a list, to add to a list")
    return [*base, *more]


def undot(value: Any) -> Any:
    """Expand dotted keys into nested mappings, at every depth.

    >>> undot({"optimizer.lr": 0.1, "optimizer.eps": 1e-8})
    {'optimizer': {'lr': 0.1, 'eps': 1e-08}}
    """
    if not isinstance(value, Mapping):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        head, _, rest = str(key).partition(".")
        nested = undot({rest: item} if rest else item)
        if head in out and isinstance(out[head], Mapping) and isinstance(nested, Mapping):
            out[head] = merge(out[head], nested)
        else:
            out[head] = nested
    return out
