"""RunConfig: everything that decides what one run computes, as a tree of frozen, strict models.

YAML only spells this tree. A key that is unknown, of a wrong type or out of range raises
`suite.errors.ConfigError` with the key's full path, the value and what was expected. Nothing is
repaired silently.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from types import FunctionType
from typing import Any, ClassVar, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from suite.errors import ConfigError, nearest
from suite.registry import Registry

UNITS = ("steps", "epochs", "frames", "agent_steps", "fraction")
"""Units of time, as the one key of a duration."""

FORMS = ("folder", "npz", "parquet")
"""Forms of a user's own data, as the one key of a mapping in the place of a name."""

CLOSE = 0.7
"""Likeness of a name of a part to one that may have been meant."""

OWN_PARTS = "a part of your own needs --plugin FILE"
"""What an unknown name of a part may lack."""

RESULT_VERSION = {"supervised": 3, "rl": 4, "rllib": 1}
"""By engine; raised whenever a change of code changes what its configs compute. Part of run ids."""

MOST_DEPTH = 64
"""Names in a path of keys."""


class Config(BaseModel):
    """Base of every config model: frozen, strict, without unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    later: ClassVar[frozenset[str]] = frozenset()
    """Keys added after benchmark v1. At their defaults they are not part of ids, so ids stay."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse keys that hide something of a base: who asks for that would get it, not the key.

        Raises:
            ConfigError: if there is one.
        """
        super().__pydantic_init_subclass__(**kwargs)
        for name in cls.model_fields:
            for base in cls.__mro__:
                if isinstance(vars(base).get(name), property | classmethod | FunctionType):
                    known = f"another name: {base.__name__} has something of this name"
                    raise ConfigError(name, f"a key of {cls.__name__}", known)

    def canonical(self) -> str:
        """Return the canonical JSON text: sorted keys, no spaces, all defaults but `later` ones."""
        plain = _without_later(self, self.model_dump(mode="json"))
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], where: str = "") -> Self:
        """Build the config from plain data.

        Args:
            mapping: nested dicts and lists, as a YAML file holds them.
            where: prefix of the key path in messages, such as a file's name.

        Raises:
            ConfigError: for the first fault found.
        """  # noqa: DOC501
        try:
            return cls.model_validate(mapping)
        except ValidationError as error:
            raise _first_fault(error, cls, where, mapping) from None


def _without_later(value: Any, plain: Any) -> Any:
    """Return `plain`, the dump of `value`, without keys of `Config.later` at their defaults."""
    if isinstance(value, Config) and isinstance(plain, dict):
        later = _later(type(value))
        return {
            key: _without_later(getattr(value, key, None), item)
            for key, item in plain.items()
            if key not in later or repr(item) != later[key]
        }
    if isinstance(value, list | tuple) and isinstance(plain, list):
        return [_without_later(*pair) for pair in zip(value, plain, strict=True)]
    if isinstance(value, Mapping) and isinstance(plain, dict):
        inner = {str(key): item for key, item in value.items()}
        return {key: _without_later(inner.get(key), item) for key, item in plain.items()}
    return plain


@cache
def _later(cls: type[Config]) -> dict[str, str]:
    """Return the dumped defaults of the later keys of a class and its bases, as text."""
    names = {name for base in cls.__mro__ for name in vars(base).get("later", ())}
    found = {}
    for name in names:
        field: Any = cls.model_fields[name]
        alone: Any = create_model("Alone", __base__=Config, key=(field.annotation, field))
        found[name] = repr(alone().model_dump(mode="json")["key"])
    return found


class Component(Config):
    """A config that names its implementation by `kind`."""

    kind: str

    def __hash__(self) -> int:
        """Return a hash of the text, for settings may be lists and mappings, which have none."""
        return hash(self.canonical())


def components(value: Any) -> Iterator[Component]:
    """Yield the components in a value, itself and its settings included."""
    if isinstance(value, Component):
        yield value
    if isinstance(value, Config):
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, list | tuple):
        for item in value:
            yield from components(item)


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
        if not isinstance(kind, str) or kind not in registry.entries():
            known = nearest(str(kind), registry.entries(), cutoff=CLOSE)
            raise ConfigError("kind", kind, f"{known}; {OWN_PARTS}")
        return registry[kind].from_mapping(value)

    return BeforeValidator(build)


def _first_fault(
    error: ValidationError, cls: type[BaseModel], where: str, given: Any
) -> ConfigError:
    """Turn the first entry of a pydantic error into one message with path, value and remedy."""
    faults = error.errors()
    detail = faults[0]
    if detail["type"] == "missing":  # what is missing may be there, misspelt
        detail = next((f for f in faults if f["type"] == "extra_forbidden"), detail)
    path = [*detail["loc"]]
    value = detail["input"]
    context = detail.get("ctx", {})
    if isinstance(fault := context.get("error"), ConfigError):
        outer = _join(where, path, given)
        between = "." if fault.key and path else ""
        return ConfigError(f"{outer}{between}{fault.key}", fault.value, fault.expected)
    match detail["type"]:
        case "extra_forbidden":
            known = nearest(str(path[-1]), _model_at(cls, path[:-1]).model_fields)
            return ConfigError(
                _join(where, path, given), value, f"no such key; did you mean {known}?"
            )
        case "missing":
            return ConfigError(_join(where, path, given), None, "a value; this key is required")
        case "model_type":
            keys = ", ".join(_model_at(cls, path).model_fields)
            return ConfigError(_join(where, path, given), value, f"a mapping of {keys}")
        case "tuple_type" | "list_type":
            return ConfigError(_join(where, path, given), value, "a list, in brackets")
        case "dict_type":
            return ConfigError(_join(where, path, given), value, "a mapping of keys to values")
    return ConfigError(_join(where, path, given), value, _expected(detail))


def _expected(detail: ErrorDetails) -> str:
    """Reword pydantic's message as what would be right."""
    message = detail["msg"].removeprefix("Value error, ")
    for prefix in ("Input should be ", "Input should "):
        message = message.removeprefix(prefix)
    return message


def _join(where: str, path: list[int | str], given: Any) -> str:
    """Return the path of a fault as keys and places of what was given."""
    text = ""
    for part in path:
        known = range(len(given)) if isinstance(given, list | tuple) else given
        if isinstance(known, Mapping | range) and part in known:
            given = given[part]
        elif not isinstance(given, Mapping) or not _is_key(part):
            continue  # pydantic's name for a branch of a union, not a key
        name = part if not isinstance(part, str) or part.isprintable() else repr(part)
        text += f"[{name}]" if isinstance(name, int) else f".{name}" if text else name
    return f"{where}{text}"


def _is_key(part: int | str) -> bool:
    """Return whether a part of a pydantic path that was not given may be a key."""
    types = ("str", "int", "float", "bool")
    return isinstance(part, str) and part.replace(".", "").isidentifier() and part not in types


def _model_at(cls: type[BaseModel], path: list[int | str]) -> type[BaseModel]:
    """Return the model class that the keys of `path` lead to, from `cls`."""
    model: type[BaseModel] = cls
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the model classes that an annotation is of, such as a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def merge(base: Any, override: Any) -> Any:
    """Return `base` with `override` merged into it.

    Mappings merge key by key, except that one with another `kind` replaces, and so does a duration
    in another unit, or a user's own data in another form or in the place of a name; a bare name
    counts as the `kind` of any other mapping; anything else replaces. Keys of an override may be
    dotted paths, in which a number picks from a list; a key with a ``+`` behind it adds to the
    list.

    >>> merge({"task": {"kind": "a", "x": 1}}, {"task.x": 2})
    {'task': {'kind': 'a', 'x': 2}}
    >>> merge({"task": {"kind": "a", "x": 1}}, {"task": {"kind": "b"}})
    {'task': {'kind': 'b'}}
    >>> merge({"budget": {"frames": 400}}, {"budget": {"agent_steps": 64}})
    {'budget': {'agent_steps': 64}}
    >>> merge({"data": "digits"}, {"data": {"npz": "own.npz"}})
    {'data': {'npz': 'own.npz'}}
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
        base = {} if _is_form(override) else {"kind": base}
    if isinstance(base, list) and isinstance(override, Mapping):
        return _merge_list(base, override)
    if not (isinstance(base, Mapping) and isinstance(override, Mapping)):
        return override
    if "kind" in override and override["kind"] != base.get("kind"):
        return dict(override)
    if all(len(side) == 1 and side.keys() <= set(UNITS) for side in (base, override)):
        return dict(override)
    if _is_form(base) and _is_form(override) and base.keys() != override.keys():
        return dict(override)
    merged = dict(base)
    for key, value in override.items():
        if key.endswith("+"):
            merged[key[:-1]] = _add(merged.get(key[:-1], []), value, key)
        else:
            merged[key] = _merge_at(key, merged[key], value) if key in merged else value
    return merged


def _is_form(value: Any) -> bool:
    """Return whether a value stands for a user's own data."""
    return isinstance(value, Mapping) and len(value) == 1 and value.keys() <= set(FORMS)


def _merge_at(key: str, base: Any, override: Any) -> Any:
    """Merge the values of a key, which a fault's path begins with.

    Raises:
        ConfigError: with the whole key, if they cannot be merged.
    """
    try:
        return merge(base, override)
    except ConfigError as error:
        raise ConfigError(f"{key}.{error.key}", error.value, error.expected) from None


def _merge_list(base: list[Any], override: Mapping[str, Any]) -> list[Any]:
    """Return a list with some of its elements changed, picked by their index.

    Raises:
        ConfigError: for a place that the list does not have.
    """
    merged = list(base)
    for key, value in override.items():
        known = key.isascii() and key.isdecimal() and len(key) < 9
        if not known or int(key) >= len(merged):
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

    Raises:
        ConfigError: for a path with an empty name, or a key that has two values.
    """
    if not isinstance(value, Mapping):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        head, dot, rest = str(key).partition(".")
        if dot and "" in str(key).split("."):
            raise ConfigError(str(key), item, "names joined by single dots")
        if rest.count(".") > MOST_DEPTH:
            raise ConfigError(f"{str(key)[:60]}...", item, f"at most {MOST_DEPTH} names in a path")
        nested = undot({rest: item} if rest else item)
        if head not in out:
            out[head] = nested
        elif isinstance(out[head], Mapping | list | str) and isinstance(nested, Mapping):
            out[head] = merge(out[head], nested)
        else:
            raise ConfigError(str(key), item, f"{head} once; here it is {out[head]!r} as well")
    return out
