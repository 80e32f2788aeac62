"""Sweep files: found by name, merged, and split into experiments.

``extends:`` merges this file into another one, one level deep, or, without ``experiments:``, into
its only experiment; an axis, or a value of one, that this file sets to null is removed.
``include:`` uses the experiments of other files (see `suite.sweeps.sweep`), with ``changes:`` to
their bases by label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.config import merge, undot
from suite.errors import ConfigError, listing, nearest
from suite.run_config import RunConfig
from suite.sweeps.experiment import ExperimentConfig
from suite.sweeps.labels import check_name
from suite.sweeps.yaml_file import flow_style, read_yaml

FILE_KEYS = ("extends", "include", "experiments", "changes", "one_seed", "benchmark")
"""Keys of a file in addition to those of an experiment."""

MOST_FILES = 20
"""Longest chain of files that include one another."""


def find_config(name: str, folders: Sequence[Path]) -> Path:
    """Return the path of a sweep file given by path or by bare name.

    Raises:
        ConfigError: if there is none; the message lists the nearest name.
    """
    direct = Path(name)
    if direct.suffix in (".yaml", ".yml") or "/" in name:
        if _is_file(direct):
            return direct
        raise ConfigError("config", name, "a file that exists, or a bare name (`list configs`)")
    for folder in folders:
        path = folder / f"{name}.yaml"
        if _is_file(path):
            return path
    known = [path.stem for folder in folders for path in folder.glob("*.yaml")]
    raise ConfigError("config", name, nearest(name, known))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, or a folder that may not be read
        return False


def benchmark_of(path: Path) -> str:
    """Return the frozen benchmark that a file says it is; "" if it says none.

    Raises:
        ConfigError: if it is no name.
    """
    version = _document(path).get("benchmark", "")
    if not isinstance(version, str):
        raise ConfigError(f"{path.name}: benchmark", version, "a frozen version, such as v1")
    return version


def experiments_of(
    path: Path, folders: Sequence[Path], above: frozenset[Path] = frozenset()
) -> dict[str, dict[str, Any]]:
    """Return the experiments of a file by label; "" for a file that is one experiment.

    Args:
        path: the file.
        folders: where bare names are looked up.
        above: files that include this one.

    Raises:
        ConfigError: if the file, or one that it names, is not right.
    """
    where = f"{path.name}: "
    document = _document(path)
    if "extends" in document:
        name = document.pop("extends")
        if not isinstance(name, str):
            raise ConfigError(f"{where}extends", name, "the name of one sweep file")
        ground = find_config(name, [path.parent, *folders])
        below = _document(ground)
        if "extends" in below:
            raise ConfigError(f"{where}extends", ground.stem, "a file that does not extend another")
        below.pop("benchmark", None)
        document = _placed(document, below, where)
        document = _told(_lay_over(below, document, where), document, path.name)
    document.pop("benchmark", None)
    if "experiments" not in document and "include" not in document:
        _check_keys(document, (*ExperimentConfig.model_fields, *FILE_KEYS), where)
        return {"": document}
    included = _included(document, path, folders, above | {path.resolve()})
    bodies = document.pop("experiments", {} if included else None)
    document.pop("description", None)
    _check_keys(document, ("experiments", "include", "extends", "description"), where)
    bodies = _mapping_of(bodies, f"{where}experiments", "names to experiments")
    for label, body in bodies.items():
        _mapping_of(body, f"{where}experiments.{label}", "the keys of an experiment to values")
        try:
            check_name(label)
        except ConfigError as error:
            raise ConfigError(f"{where}experiments", label, error.expected) from None
    if clash := bodies.keys() & included.keys():
        raise ConfigError(
            f"{where}experiments", clash.pop(), "names that differ from those of the included files"
        )
    if not (bodies or included):
        raise ConfigError(f"{where}experiments", bodies, "at least one experiment")
    return {**included, **{label: _spelled_out(body, where) for label, body in bodies.items()}}


def _placed(document: dict[str, Any], below: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a file with keys of an experiment moved into the only one of the file it extends.

    Raises:
        ConfigError: if that file has several, or this one has some too; the message says what to
            write.
    """
    experiments = below.get("experiments")
    keys = [key for key in document if key in ExperimentConfig.model_fields]
    if "include" in below or not isinstance(experiments, Mapping) or not experiments or not keys:
        return document
    label = next(iter(experiments))
    if len(experiments) > 1 or "experiments" in document:
        if keys == ["description"]:
            return document
        key = next(key for key in keys if key != "description")
        names = f"NAME one of {listing(experiments)}" if len(experiments) > 1 else "it there"
        name = "NAME" if len(experiments) > 1 else label
        wanted = f"the key in an experiment, {{experiments: {{{name}: {{{key}: ...}}}}}}, with "
        raise ConfigError(f"{where}{key}", document[key], wanted + names)
    rest = {key: value for key, value in document.items() if key not in keys}
    return {**rest, "experiments": {label: {key: document[key] for key in keys}}}


def _told(merged: dict[str, Any], over: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return a merged file in which descriptions that are of the other one say what changed it.

    Args:
        merged: both files.
        over: the one that extends the other.
        file: its name.
    """
    if "experiments" not in merged:
        return _marked(merged, over, file)
    changed = over.get("experiments", {})
    bodies = {
        label: _marked(body, changed[label], file) if label in changed else body
        for label, body in merged["experiments"].items()
    }
    return {**merged, "experiments": bodies}


def _marked(body: dict[str, Any], over: Mapping[str, Any], file: str) -> dict[str, Any]:
    told = body.get("description")
    if not over or "description" in over or not isinstance(told, str) or not told:
        return body
    return {**body, "description": f"{told.strip()} (changed by {file})"}


def _check_keys(document: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Check the keys at the top of a file.

    Raises:
        ConfigError: for the first that there is not, with the nearest that there is.
    """
    beside = "" if "one_seed" in known else " beside 'experiments' or 'include'"
    for key, value in document.items():
        if key not in known:
            wanted = f"no such key{beside}; did you mean {nearest(key, known)}?"
            if key in RunConfig.model_fields:
                wanted = f"no such key here: it is one of base, as in base: {{{key}: ...}}"
            raise ConfigError(f"{where}{key}", value, wanted)
        if not beside and key in ("changes", "one_seed"):
            raise ConfigError(f"{where}{key}", value, "no such key without 'include'")


def _mapping_of(value: Any, key: str, what: str) -> dict[str, Any]:
    """Return a copy of a mapping.

    Raises:
        ConfigError: if it is none; `what` says of what it should be.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(key, value, f"a mapping of {what}")
    return {str(name): item for name, item in value.items()}


def _included(
    document: dict[str, Any], path: Path, folders: Sequence[Path], above: frozenset[Path]
) -> dict[str, dict[str, Any]]:
    """Take ``include`` and what belongs to it out of a file; return the experiments it names.

    Raises:
        ConfigError: if they cannot be taken over.
    """
    if "include" not in document:
        return {}
    key = f"{path.name}: include"
    names = document.pop("include")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ConfigError(key, names, "a list of sweep files")
    if len(above) > MOST_FILES:
        raise ConfigError(key, names, f"at most {MOST_FILES} files in a chain of includes")
    one_seed = document.pop("one_seed", False)
    if not isinstance(one_seed, bool):
        raise ConfigError(f"{path.name}: one_seed", one_seed, "true or false")
    seeds = document.pop("seeds", None)
    if seeds is not None and not isinstance(seeds, list):
        raise ConfigError(f"{path.name}: seeds", seeds, "a list, in brackets")
    changes = document.pop("changes", {})
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        other = find_config(name, [path.parent, *folders])
        if other.resolve() in above:
            raise ConfigError(key, name, "a file that does not include this one")
        for label, body in experiments_of(other, folders, above).items():
            if not label:
                raise ConfigError(key, name, "a file with 'experiments'")
            if label in found:
                raise ConfigError(key, name, f"only one file with {label!r}")
            found[label] = {**body, "seeds": seeds} if seeds is not None else dict(body)
            listed = found[label].get("seeds")
            if one_seed and isinstance(listed, list):
                found[label]["seeds"] = listed[:1]
    return _changed(found, changes, f"{path.name}: changes")


def _changed(found: dict[str, dict[str, Any]], changes: Any, key: str) -> dict[str, dict[str, Any]]:
    """Lay partial configs, by label, over the bases of experiments.

    Raises:
        ConfigError: for a label that none of them has.
    """
    for label, change in _mapping_of(changes, key, "experiments to partial configs").items():
        change = _mapping_of(change, f"{key}.{label}", "the keys of a run to values")
        if label not in found:
            raise ConfigError(key, label, f"an experiment included: {nearest(label, found)}")
        base = _mapping_of(found[label].get("base", {}), f"{key}.{label}", "a base to change")
        found[label]["base"] = _merge_named(base, change, f"{key}.{label}.")
        description = str(found[label].get("description", ""))
        told = f"{description.strip()} Changed here: {flow_style(change)}."
        found[label]["description"] = told.strip()
    return found


def _merge_named(below: Any, over: Any, where: str) -> Any:
    try:
        return merge(undot(below), over)
    except ConfigError as error:
        raise ConfigError(where + error.key, error.value, error.expected) from None


NAMED = ("axes", "experiments", "changes")
"""Keys over names that users give; behind the first dot comes one of them, then the rest."""

WHOLE = ("search", "reference", "gap_to")
"""Keys over whole paths, and over names of axes, which may have dots."""


def _spelled_out(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a file or an experiment with keys such as ``axes.lr.low`` and ``base.budget`` nested.

    Raises:
        ConfigError: for a key that is there twice, or what a key is in that is no mapping.
    """
    found = {key: value for key, value in document.items() if "." not in key}
    for key, value in document.items():
        head, dot, path = key.partition(".")
        if not dot:
            continue
        if head not in (*NAMED, *WHOLE, "base"):
            found[key] = value
            continue
        inner = _mapping_of(found.get(head, {}), where + head, "names to values")
        names = path.split(".", 1) if head in NAMED else [path]
        if not all(names):
            raise ConfigError(where + key, value, "names joined by single dots")
        if head == "base":
            found[head] = _merge_named(inner, {path: value}, f"{where}base.")
            continue
        found[head] = inner
        if len(names) == 2:
            label = f"{where}{head}.{names[0]}"
            inner[names[0]] = _mapping_of(inner.get(names[0], {}), label, "names to values")
            inner = inner[names[0]]
        if names[-1] in inner:
            raise ConfigError(where + key, value, f"one value; it also has {inner[names[-1]]!r}")
        inner[names[-1]] = value
    return found


def _lay_over(below: dict[str, Any], document: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a file, or an experiment, merged into the one that it extends."""
    kept = ("base", "experiments", "seeds")  # of which there must be some
    gone = {k for k, v in document.items() if v is None and k in below and k not in kept}
    below, document = (
        {key: value for key, value in part.items() if key not in gone} for part in (below, document)
    )
    parts = (_spelled_out(below, where), _spelled_out(document, where))
    merged: dict[str, Any] = {}
    for head in ("base", *NAMED, *WHOLE):
        if not any(head in part for part in parts):
            continue
        low, high = (part.pop(head, {}) for part in parts)
        if head in ("reference", "gap_to") and not (
            isinstance(low, Mapping) and isinstance(high, Mapping)
        ):
            merged[head] = low if high == {} else high
            continue
        low = _mapping_of(low, where + head, "names to values")
        high = _mapping_of(high, where + head, "names to values")
        if head == "base":
            merged[head] = _merge_named(low, high, f"{where}base.")
        elif head == "axes":
            merged[head] = _lay_axes(low, high, where)
        elif head == "experiments":
            merged[head] = _lay_by_name(low, high, where + head, _lay_over)
        elif head == "changes":
            merged[head] = _lay_by_name(low, high, where + head, _merge_named)
        else:
            merged[head] = {**low, **high}
    return {**_merge_named(*parts, where), **merged}


def _lay_by_name(
    low: dict[str, Any],
    high: dict[str, Any],
    key: str,
    lay: Callable[[dict[str, Any], dict[str, Any], str], Any],
) -> dict[str, Any]:
    """Return mappings merged into others by name."""
    found = {}
    for name in {**low, **high}:
        where = f"{key}.{name}"
        sides = [_mapping_of(side.get(name, {}), where, "keys to values") for side in (low, high)]
        found[name] = lay(sides[0], sides[1], f"{where}.")
    return found


def _lay_axes(below: dict[str, Any], over: dict[str, Any], where: str) -> dict[str, Any]:
    """Return axes merged into others; null removes an axis, or a value of one.

    Raises:
        ConfigError: if there is no such axis or value to take out, or an axis is left without any.
    """
    found = dict(below)
    for axis, values in over.items():
        if values is None:
            _take_out(found, axis, f"{where}axes")
            continue
        ground = found.get(axis, {})
        if not isinstance(values, Mapping) or not isinstance(ground, Mapping):
            found[axis] = values
            continue
        found[axis] = dict(ground)
        for name, change in values.items():
            if change is None:
                _take_out(found[axis], name, f"{where}axes.{axis}")
            elif name in ground:
                key = f"{where}axes.{axis}.{name}."
                found[axis][name] = _merge_named(ground[name], change, key)
            else:
                found[axis][name] = change
        if values and not found[axis]:
            wanted = "null for the axis, to remove all of it"
            raise ConfigError(f"{where}axes.{axis}", dict(values), wanted)
    return found


def _take_out(found: dict[str, Any], name: str, key: str) -> None:
    if name not in found:
        raise ConfigError(key, name, f"one that the extended file has: {nearest(name, found)}")
    del found[name]


def _document(path: Path) -> dict[str, Any]:
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ConfigError("config", str(path), "a mapping with 'base' and 'seeds'")
    return _spelled_out(document, f"{path.name}: ")
