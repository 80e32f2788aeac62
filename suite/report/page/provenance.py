"""Where the numbers come from, gathered over all runs, with a word where runs disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from suite.records.reader import SweepRecord


def provenance_table(
    sweep: SweepRecord, provenances: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[str]]]:
    """Return name and values of each fact; more than one value where runs differ.

    Args:
        sweep: what was asked.
        provenances: contents of ``provenance.json`` of the runs that have one.
    """
    seeds = sorted({trial.seed for trial in sweep.trials})
    commands = _distinct([sweep.command, *(str(p.get("command") or "") for p in provenances)])
    started = _distinct(str(p.get("started") or "") for p in provenances)
    facts = [
        ("benchmark", [sweep.benchmark] if sweep.benchmark else []),
        ("command", commands),
        ("seeds", [", ".join(map(str, seeds))] if seeds else []),
        ("commit", _distinct(map(_commit, provenances))),
        ("versions", _versions(provenances)),
        ("data", _distinct(str(p.get("data") or "") for p in provenances)),
        ("plugins", _distinct(map(_plugins, provenances))),
        ("hardware", _distinct(_hardware(p.get("hardware")) for p in provenances)),
        ("sweep made", [sweep.created] if sweep.created else []),
        ("runs started", [" to ".join(_distinct((min(started), max(started))))] if started else []),
    ]
    optional = ("benchmark", "data", "plugins")
    return [(n, v or ["not recorded"]) for n, v in facts if v or n not in optional]


def disagreements(provenances: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each way in which the runs' origins make them hard to compare."""
    found = []
    commits = _distinct(str(p.get("commit") or "") for p in provenances)
    if len(commits) > 1:
        found.append(f"The runs come from {len(commits)} different commits.")
    dirty = sum(bool(p.get("dirty")) for p in provenances)
    if dirty:
        runs = "A run was" if dirty == 1 else f"{dirty} runs were"
        found.append(f"{runs} made from a source tree with uncommitted changes.")
    versions = [p["versions"] for p in provenances if isinstance(p.get("versions"), Mapping)]
    packages = sorted({name for found_in in versions for name in found_in})
    differ = [name for name in packages if len({v.get(name) for v in versions}) > 1]
    if differ:
        found.append(f"Versions differ between runs: {', '.join(differ)}.")
    hardware = _distinct(_hardware(p.get("hardware")) for p in provenances)
    if len(hardware) > 1:
        found.append(f"The runs were made on {len(hardware)} kinds of hardware.")
    return found


def _plugins(provenance: Mapping[str, Any]) -> str:
    plugins = provenance.get("plugins")
    found = plugins if isinstance(plugins, Mapping) else {}
    return ", ".join(f"{name} ({digest})" for name, digest in found.items())


def _commit(provenance: Mapping[str, Any]) -> str:
    commit = provenance.get("commit")
    if not commit:
        return ""
    return f"{commit} with uncommitted changes" if provenance.get("dirty") else str(commit)


def _versions(provenances: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for instance ``torch 2.9.1``, every version that any run had."""
    found: dict[str, list[str]] = {}
    for provenance in provenances:
        versions = provenance.get("versions")
        for name, version in (versions if isinstance(versions, Mapping) else {}).items():
            if str(version) not in found.setdefault(str(name), []):
                found[str(name)].append(str(version))
    text = ", ".join(f"{name} {' and '.join(versions)}" for name, versions in found.items())
    return [text] if text else []


def _hardware(hardware: Any) -> str:
    """Return one line for a machine: processor, cores, memory, GPUs, system."""
    if not isinstance(hardware, Mapping):
        return str(hardware or "")
    words = {"cores": "{} cores", "memory_gib": "{} GiB"}
    parts = []
    for name, value in hardware.items():
        if isinstance(value, list | tuple):
            value = ", ".join(map(str, value)) or ("no GPU" if name == "gpus" else "")
        if value not in (None, ""):
            parts.append(words.get(name, "{}").format(value))
    return ", ".join(parts)


def _distinct(values: Iterable[str]) -> list[str]:
    """Return the values that are not empty, each once, in the order of their appearance."""
    return [value for value in dict.fromkeys(values) if value]
