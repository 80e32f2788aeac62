"""The `list` command: sweep files, registered parts, claims and experiments."""

from __future__ import annotations

import inspect
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table

import suite
from suite.errors import ConfigError, nearest
from suite.registry import Registry
from suite.sweeps.yaml_file import flow_style


def config_folders() -> list[Path]:
    """Return the folders with sweep files, in a wheel or in a checkout."""
    package = Path(suite.__file__).resolve().parent
    return [p for p in (package / "tune_configs", package.parent / "tune_configs") if p.is_dir()]


def _registries() -> dict[str, Registry[type]]:
    from suite.agents.base import AGENTS
    from suite.interventions.base import INTERVENTIONS
    from suite.models.base import MODELS
    from suite.optimizers import OPTIMIZERS
    from suite.schedules.base import SCHEDULES
    from suite.schedules.trigger import TRIGGERS
    from suite.tasks.base import TASKS

    return {
        "tasks": TASKS,
        "models": MODELS,
        "agents": AGENTS,
        "optimizers": OPTIMIZERS,
        "schedules": SCHEDULES,
        "triggers": TRIGGERS,
        "interventions": INTERVENTIONS,
    }


def kinds() -> list[str]:
    """Return what there are lists of."""
    tasks, *others = _registries()
    return [tasks, "streams", *others, "metrics", "claims", "experiments", "configs"]


def _components(what: str) -> dict[str, type]:
    """Return the parts of a kind by name."""
    if what != "streams":
        return dict(_registries()[what].entries())
    tasks = _registries()["tasks"].entries()
    return {name: task for name, task in tasks.items() if getattr(task, "stream", False)}


def print_catalogue(what: str, console: Console) -> None:
    """Print the names of one kind, with a line on each.

    Raises:
        ConfigError: for a kind that there is not.
    """
    if what not in kinds():
        raise ConfigError("list", what, nearest(what, kinds()))
    table = Table(show_header=True, box=None)
    table.add_column(what, no_wrap=True)
    if what == "configs":
        table.add_column("what it is")
        for name, text in _configs().items():
            table.add_row(name, text)
    elif what == "experiments":
        for heading in ("published size", "small", "claims", "figures"):
            table.add_column(heading, overflow="fold")
        for name, where in sorted(_experiments().items()):
            table.add_row(name, *(", ".join(where[column]) for column in EXPERIMENT_COLUMNS))
    elif what == "claims":
        from suite.report.claims.base import in_order

        for heading in ("experiment", "what is claimed", "statistic of a seed", "holds if"):
            table.add_column(heading)
        for claim in in_order():
            region = str(claim.holds)
            table.add_row(claim.id, claim.experiment, claim.says, claim.statistic, region)
    elif what == "metrics":
        from suite.metrics.base import METRICS

        table.add_column("unit")
        table.add_column("what it is")
        for name, metric in METRICS.entries().items():
            table.add_row(name, metric.unit, _first_line(metric.function))
    else:
        table.add_column("what it is")
        table.add_column("keys and defaults")
        for name, config in _components(what).items():
            table.add_row(name, _first_line(config), _keys(config))
    console.print(table)


def _keys(config: type[BaseModel]) -> str:
    """Return the keys of a component as they would stand in YAML, with their defaults."""
    found = []
    for key, field in config.model_fields.items():
        if key == "kind":
            continue
        if field.is_required():
            found.append(key)
            continue
        default = to_jsonable_python(field.get_default(call_default_factory=True))
        found.append(flow_style({key: default})[1:-1])
    return ", ".join(found)


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]


EXPERIMENT_COLUMNS = ("published", "small", "claims", "figures")
"""What `list experiments` has of each: sweep files at either size, ids of claims, figures."""


def _experiments() -> dict[str, dict[str, list[str]]]:
    """Return by label where each experiment is run, judged and drawn, see `EXPERIMENT_COLUMNS`."""
    from suite.report.claims.base import in_order
    from suite.report.experiment import SMALL
    from suite.report.published.base import PUBLISHED
    from suite.sweeps.sweep_file import experiments_of
    from suite.sweeps.yaml_file import read_yaml

    found: dict[str, dict[str, list[str]]] = {}

    def add(label: str, column: str, name: str) -> None:
        where = found.setdefault(label, {column: [] for column in EXPERIMENT_COLUMNS})
        if name not in where[column]:
            where[column].append(name)

    folders = config_folders()
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            if "include" in read_yaml(path):
                continue
            for label in experiments_of(path, folders):
                label = label or path.stem
                size = "small" if label.endswith(SMALL) else "published"
                add(label.removesuffix(SMALL), size, path.stem)
    for claim in in_order():
        add(claim.experiment, "claims", claim.id)
    for figure in PUBLISHED.entries().values():
        add(figure.experiment, "figures", figure.name)
    return found


def _configs() -> dict[str, str]:
    """Return the first comment line of every sweep file, by bare name."""
    found: dict[str, str] = {}
    for folder in config_folders():
        for path in sorted(folder.glob("*.yaml")):
            first = path.read_text(encoding="utf-8").split("\n", 1)[0]
            found.setdefault(path.stem, first.removeprefix("#").strip())
    return found
