"""README and docs: every block of code runs, every sweep loads, every command parses."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from suite.config import merge
from suite.launch.catalogue import config_folders
from suite.launch.plugins import load_plugins, read_plugins
from suite.registry import Registry
from suite.run_config import RunConfig
from suite.streams.config import StreamConfig
from suite.sweeps.sweep import load_sweep
from suite.sweeps.yaml_file import parse_yaml
from suite.tasks.base import TASKS
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

ROOT = Path(__file__).parent.parent
README, PARTS = ROOT / "README.md", ROOT / "docs" / "adding_parts.md"
STREAMS = ROOT / "docs" / "streams.md"
RESULTS = ROOT / "docs" / "results.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.(?:py|yaml))\n")
FOLDERS = {
    "parity.py": "tasks",
    "inverse_sqrt.py": "schedules",
    "weight_clip.py": "interventions",
    "confidence.py": "metrics",
    "negated.py": "tasks",
}
"""The parts that pages show and the folders of the package that they may lie in."""


def blocks(page: Path, language: str) -> Iterator[Any]:
    """Yield the fenced blocks of a page, each a parameter called after page and line."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        if found[1] == language:
            line = text.count("\n", 0, found.start()) + 1
            yield pytest.param(found[2], id=f"{page.relative_to(ROOT)}:{line}")


def every(language: str) -> list[Any]:
    return [block for page in PAGES for block in blocks(page, language)]


def files(language: str) -> dict[str, str]:
    """Return the blocks that begin with the name of a file, by that name."""
    texts = [
        block.values[0] for page in (README, PARTS, STREAMS) for block in blocks(page, language)
    ]
    return {found[1]: text for text in texts if (found := FILE.match(text))}


PYTHON = [block for block in every("python") if not FILE.match(block.values[0])]
YAML = [block for block in every("yaml") if not FILE.match(block.values[0])]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with the files that pages show in it."""
    monkeypatch.chdir(tmp_path)
    for name, text in {**files("python"), **files("yaml")}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of a part of the quick sweep, with one made-up row for each run."""
    from suite.launch.run import sweep_record
    from suite.records import layout
    from suite.records.run_folder import RunFolder
    from suite.records.storage import Storage
    from suite.rows import Row

    sweep = load_sweep(["quick"], config_folders(), ["seeds=[0,1]"])
    storage = Storage(tmp_path_factory.mktemp("results") / "results" / "runs" / "quick")
    storage.create("--results")
    (storage.root / layout.SWEEP).write_text(json.dumps(sweep_record(sweep, "", "0" * 16)))
    for run_id, config in sweep.only("[wm]*").runs.items():
        folder = RunFolder(storage, run_id)
        folder.open(config.model_dump(mode="json"), {})
        folder.emit([Row(1, 0, 0.1, *config.task.primary_metric, 0.5 + 0.1 * config.seed)])
        folder.finish("complete")
    return storage.root


@pytest.mark.parametrize("code", PYTHON)
def test_code_runs_as_it_stands(
    code: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "results/runs/quick" in code:
        monkeypatch.chdir(request.getfixturevalue("results").parents[2])
    if "suite.rllib" in code:
        request.getfixturevalue("started_ray")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    if ">>>" in code:
        example = doctest.DocTestParser().get_doctest(code, namespace, "page", None, 0)
        assert example.examples
        assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
        return
    try:
        exec(compile(code, "page", "exec", dont_inherit=True), namespace)
    finally:
        Registry.forget("__main__")  # else other tests would find the parts of the pages
    if "nap.step()" in code:
        (name,) = namespace["nap"].names
        norm = namespace["net"].get_parameter(name).norm().item()
        assert norm == pytest.approx(namespace["nap"].targets[name].item(), rel=1e-5)
    if "accuracy" in namespace:
        assert len(namespace["accuracy"]) > 10
        assert 0 <= min(namespace["accuracy"]) <= max(namespace["accuracy"]) <= 1
    if "last" in namespace:
        assert set(namespace["last"]) == {0.5, 0.6}


@pytest.mark.parametrize("text", YAML)
def test_fragments_of_configs_fit_together(text: str) -> None:
    """Laid over the smoke run of their task, or over modular addition."""
    fragment = parse_yaml(text, "page")
    kind = fragment.get("task", {}).get("kind", "modular_addition")
    base = dict(TASKS[kind].smoke)
    if kind == "modular_addition" or "budget" in fragment:
        base["budget"] = fragment.pop("budget", 2000)
    run = RunConfig.from_mapping(merge(base, fragment))
    run.check()
    assert run.skip_reason() is None


def test_the_sweep_of_the_readme(here: Path) -> None:
    sweep = load_sweep(["my_warm_start.yaml"], config_folders())
    ((name, plan),) = sweep.tasks.items()
    assert name == "warm_start_digits"
    assert len(plan.arms) == 2 * 3 * 2
    assert {trial.config.seed for trial in sweep.trials} == {0, 1, 2}
    cells = {trial.arm.rsplit(",", 1)[0]: trial.skip for trial in sweep.trials}
    assert [cell for cell, skip in cells.items() if skip] == ["nap,fresh"]
    points = {arm.rsplit(",", 1)[1] for arm in plan.arms}
    assert len(points) == 2
    for point in points:
        assert plan.reference[f"nap,rewarmed,{point}"] == f"nap,constant,{point}"
        assert set(plan.gap_to.values()) == {f"free,fresh,{p}" for p in points}


def test_the_file_of_the_readme_that_extends_a_shipped_one(here: Path) -> None:
    shipped, wide = (load_sweep([name], config_folders()) for name in ("warm_start", "wide.yaml"))
    assert wide.tasks.keys() == shipped.tasks.keys() == {"warm_start"}
    assert wide.tasks["warm_start"].arms == shipped.tasks["warm_start"].arms
    assert {trial.config.seed for trial in wide.trials} == {0, 1, 2}
    models: list[Any] = [trial.config.model for trial in wide.trials]
    assert {model.channels for model in models} == {50}


TRAIN = """
    import sys

    import suite.interventions, suite.metrics, suite.schedules, suite.tasks

    where, names = sys.argv[1], sys.argv[2:]
    if where == "package":  # as if the files lay in the package's own folders
        for name in names:
            folder = name.split("/")[0]
            getattr(suite, folder).__path__.append(folder)

    from suite.launch.plugins import load_plugins, read_plugins
    from suite.sweeps.sweep import load_sweep
    from suite.training.session import MemorySession
    from suite.training.supervised import SupervisedRun

    if where == "plugin":
        load_plugins(read_plugins(names))
    (run,) = load_sweep(["mine.yaml"], [], ["budget=20"]).runs.values()
    session = MemorySession()
    SupervisedRun(run).train(session)
    print(sorted({row.metric for row in session.rows}))
"""


@pytest.mark.parametrize("where", ["plugin", "package"])
def test_the_parts_on_the_page_train(where: str, here: Path) -> None:
    assert set(files("python")) == set(FOLDERS)
    names = list(FOLDERS)
    if where == "package":
        names = [f"{folder}/{name}" for name, folder in FOLDERS.items()]
        for name in names:
            (here / name).parent.mkdir(exist_ok=True)
            (here / Path(name).name).rename(here / name)
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(TRAIN), where, *names]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "'accuracy'" in done.stdout
    assert "'confidence'" in done.stdout


def test_the_stream_on_its_page_trains(here: Path) -> None:
    load_plugins(read_plugins([str(here / "negated.py")]))
    module = TASKS["negated"].__module__
    try:
        sweep = load_sweep(["negated.yaml"], [], ["task.epochs=1", "task.tasks=2", "seeds=[0]"])
        assert len(sweep.runs) == 2
        run, session = SupervisedRun(next(iter(sweep.runs.values()))), MemorySession()
        run.train(session)
        task: Any = run.task
        assert torch.equal(task.held_out(1)[0], -task.held_out(0)[0])
        layers = {row.layer for row in session.rows if row.metric == "task_online_accuracy"}
        assert layers == {"0", "1"}
    finally:
        Registry.forget(module)


def test_summary_has_the_keys_of_its_page(results: Path) -> None:
    from suite.report.build import build_report

    (block,) = blocks(RESULTS, "json")
    shown = json.loads(block.values[0])
    report = build_report(results)
    for task, arms in shown.items():
        for arm, entry in arms.items():
            assert list(report.summary[task][arm]) == list(entry)
    for name in ("report.html", "summary.json", "per_seed.csv", "table.txt", "figures"):
        assert (results / "report" / name).exists()
        assert name in RESULTS.read_text(encoding="utf-8")


def commands() -> list[Any]:
    """Return the arguments of every call of the suite in the README's shell blocks."""
    found = []
    for block in every("sh"):
        for line in block.values[0].replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            starts = [i for i, w in enumerate(words) if w in ("run_suite.py", "rewarm-suite")]
            if starts:
                arguments = words[starts[-1] + 1 :]
                arguments = arguments[1:] if arguments[:1] == ["--"] else arguments
                found.append(pytest.param(arguments, id=" ".join(arguments) or "bare"))
    return found


@pytest.mark.parametrize("arguments", commands())
def test_commands_parse(arguments: list[str]) -> None:
    import typer

    from suite.launch.cli import app

    group: Any = typer.main.get_command(app)
    if not arguments:
        return
    name, *rest = arguments
    assert name in group.commands
    group.commands[name].make_context(name, rest)


def test_flags_in_prose_exist() -> None:
    import typer

    from suite.launch.cli import app

    group: Any = typer.main.get_command(app)
    known = {o for c in group.commands.values() for p in c.params for o in p.opts}
    foreign = {"--extra-index-url", "--backend-store-uri"}
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        assert set(re.findall(r"`(--[a-z-]+)", text)) <= known | foreign, page


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"!?\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_pages_of_parts_name_all_their_keys() -> None:
    from suite.interventions.base import INTERVENTIONS
    from suite.schedules.base import SCHEDULES

    text = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\w+)$\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    folder = ROOT / "docs" / "interventions"
    cards = [(path.stem, path.read_text(encoding="utf-8")) for path in folder.glob("*.md")]
    assert sections
    assert cards
    for registry, found in ((SCHEDULES, sections), (INTERVENTIONS, cards)):
        for name, words in found:
            for key in set(registry[name].model_fields) - {"kind"}:
                assert f"`{key}`" in words, f"{name}: {key}"


def test_the_page_on_streams_names_all_their_keys() -> None:
    text = STREAMS.read_text(encoding="utf-8")
    table = re.search(r"^## Keys of each stream$\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert table
    rows = dict(re.findall(r"^\| (`.*?) \| (.*) \|$", table[1], re.MULTILINE))
    own = {kind: words for kinds, words in rows.items() for kind in re.findall(r"`(\w+)`", kinds)}
    own["label_noise"] += own["label_permuted"]  # "the same, and"
    streams = {name for name, task in TASKS.entries().items() if getattr(task, "stream", False)}
    assert own.keys() == streams - {"warm_start_images"}
    for name, words in own.items():
        task: Any = TASKS[name]
        shared = set() if name == "slow_regression" else set(StreamConfig.model_fields)
        for key in set(task.model_fields) - shared - {"kind"}:
            assert f"`{key}`" in words, f"{name}: {key}"


def test_cluster_files_are_those_that_the_readme_names() -> None:
    text = README.read_text(encoding="utf-8")
    for name in re.findall(r"cluster/(\w+\.yaml)", text):
        assert yaml.safe_load((ROOT / "cluster" / name).read_text(encoding="utf-8"))
