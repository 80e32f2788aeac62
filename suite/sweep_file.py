"""Sweep files: found by name, laid over one another, and taken apart into experiments.

``extends:`` takes another file as the ground that this one is laid over, one level deep; an axis,
or a value of one, that this one sets to null is taken out;
``include:`` takes over the experiments of others (see `suite.sweep`), with ``changes:`` to their
bases by label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.config import merge, undot
from suite.errors import ConfigError, nearest
from suite.yaml_file import one_line, read_yaml


def find_config(name: str, folders: Sequence[Path]) -> Path:
    """Return the path of a sweep file given by path or by bare name.

    Raises:
        ConfigError: if there is none; the message lists the nearest name.
    """
    direct = Path(name)
    if direct.suffix in (".yaml", ".yml") or "/" in name:
        if direct.is_file():
            return direct
        raise ConfigError("config", name, "a file that exists, or a bare name (`list configs`)")
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    known = [path.stem for folder in folders for path in folder.glob("*.yaml")]
    raise ConfigError("config", name, nearest(name, known))


def experiments_of(
    path: Path, folders: Sequence[Path], above: frozenset[Path] = frozenset()
) -> dict[str, dict[str, Any]]:
    """Return the experiments of a file by label; "" for a file that is one experiment.

    Args:
        path: the file.
        folders: where bare names are looked up.
        above: files that include this one.
    """
    document = _document(path)
    if "extends" in document:
        ground = find_config(str(document.pop("extends")), [path.parent, *folders])
        below = _document(ground)
        if "extends" in below:
            raise ConfigError(f"{path.name}: extends", ground.stem, "a file that extends no other")
        document = _lay_over(below, document)
    if "experiments" not in document and "include" not in document:
        return {"": document}
    included = _included(document, path, folders, above | {path.resolve()})
    bodies = document.pop("experiments", {})
    document.pop("description", None)
    if document:
        key, value = next(iter(document.items()))
        raise ConfigError(f"{path.name}: {key}", value, "no such key beside 'experiments'")
    if not isinstance(bodies, Mapping) or not all(isinstance(b, Mapping) for b in bodies.values()):
        raise ConfigError(f"{path.name}: experiments", bodies, "a mapping of names to experiments")
    own = {str(label): dict(body) for label, body in bodies.items()}
    if clash := own.keys() & included.keys():
        raise ConfigError(
            f"{path.name}: experiments", clash.pop(), "names that no file included has"
        )
    return {**included, **own}


def _included(
    document: dict[str, Any], path: Path, folders: Sequence[Path], above: frozenset[Path]
) -> dict[str, dict[str, Any]]:
    """Take ``include`` and what belongs to it out of a file; return the experiments it names."""
    if "include" not in document:
        return {}
    names = document.pop("include")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path.name}: include", names, "a list of sweep files")
    one_seed = document.pop("one_seed", False)
    if not isinstance(one_seed, bool):
        raise ConfigError(f"{path.name}: one_seed", one_seed, "true or false")
    seeds = document.pop("seeds", None)
    changes = document.pop("changes", {})
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        other = find_config(name, [path.parent, *folders])
        if other.resolve() in above:
            raise ConfigError(f"{path.name}: include", name, "no file that this one is included by")
        for label, body in experiments_of(other, folders, above).items():
            if not label:
                raise ConfigError(f"{path.name}: include", name, "a file with 'experiments'")
            if label in found:
                raise ConfigError(f"{path.name}: include", name, f"only one file with {label!r}")
            found[label] = {**body, "seeds": seeds} if seeds is not None else dict(body)
            if one_seed:
                found[label]["seeds"] = list(found[label].get("seeds", ()))[:1]
    return _changed(found, changes, f"{path.name}: changes")


def _changed(found: dict[str, dict[str, Any]], changes: Any, key: str) -> dict[str, dict[str, Any]]:
    """Lay partial configs, by label, over the bases of experiments."""
    if not isinstance(changes, Mapping) or not all(
        isinstance(c, Mapping) for c in changes.values()
    ):
        raise ConfigError(key, changes, "a mapping of experiments to partial configs")
    for label, change in changes.items():
        if label not in found:
            raise ConfigError(key, label, f"an experiment included: {nearest(str(label), found)}")
        found[label]["base"] = merge(undot(found[label].get("base") or {}), change)
        description = str(found[label].get("description", ""))
        told = f"{description.strip()} Changed here: {one_line(dict(change))}."
        found[label]["description"] = told.strip()
    return found


def _lay_over(below: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return a file laid over the one that it extends.

    Keys of searches are whole paths, and names of arms may have dots, so they stay as written.
    """
    parts = (below, document)
    if "experiments" in below or "experiments" in document:
        names = {**below.get("experiments", {}), **document.get("experiments", {})}
        pairs = {n: [d.get("experiments", {}).get(n) or {} for d in parts] for n in names}
        rest = [{k: v for k, v in d.items() if k != "experiments"} for d in parts]
        return {**_lay_over(*rest), "experiments": {n: _lay_over(*p) for n, p in pairs.items()}}
    searches = [part.get("search") or {} for part in parts]
    axes = _lay_axes(*(_axes(part) for part in parts))
    own = [
        {k: v for k, v in d.items() if str(k).partition(".")[0] not in ("search", "axes")}
        for d in parts
    ]
    merged = merge(undot(own[0]), own[1])
    if axes:
        merged["axes"] = axes
    return {**merged, "search": {**searches[0], **searches[1]}} if any(searches) else merged


def _axes(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes of a file by name, each of values by name, as they are written."""
    written = part.get("axes") or {}
    if not isinstance(written, Mapping):
        raise ConfigError("axes", written, "a mapping of axes to their values")
    found = {str(axis): values for axis, values in written.items()}
    for key, values in part.items():
        head, _, path = str(key).partition(".")
        if head == "axes" and path:
            axis, _, value = path.partition(".")
            found[axis] = {**(found.get(axis) or {}), value: values} if value else values
    return {
        axis: {str(name): change for name, change in values.items()}
        if isinstance(values, Mapping)
        else values
        for axis, values in found.items()
    }


def _lay_axes(below: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return axes laid over others; null takes an axis, or a value of one, out.

    Raises:
        ConfigError: if there is no such axis or value to take out, or an axis is left without any.
    """
    found = dict(below)
    for axis, values in over.items():
        if values is None:
            _take_out(found, axis, "axes")
            continue
        ground = found.get(axis) or {}
        if not isinstance(values, Mapping) or not isinstance(ground, Mapping):
            found[axis] = values
            continue
        found[axis] = dict(ground)
        for name, change in values.items():
            if change is None:
                _take_out(found[axis], name, f"axes.{axis}")
            else:
                found[axis][name] = merge(undot(ground[name]), change) if name in ground else change
        if not found[axis]:
            raise ConfigError(
                f"axes.{axis}", dict(values), "null for the axis to take all of it out"
            )
    return found


def _take_out(found: dict[str, Any], name: str, key: str) -> None:
    if name not in found:
        raise ConfigError(key, name, f"one that the extended file has: {nearest(name, found)}")
    del found[name]


def _document(path: Path) -> dict[str, Any]:
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ConfigError("config", str(path), "a mapping with 'base' and 'seeds'")
    return dict(document)
