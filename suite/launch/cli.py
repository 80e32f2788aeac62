"""The command line: run, plan, report, claims and list.

Exit codes: 0 all done; 1 some trials failed or diverged (the others are kept and reported), or
MLflow lacks rows; 2 invalid request, with one message; 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Benchmarks for learning under effective-learning-rate control.",
)

Names = Annotated[
    list[str] | None, typer.Argument(help="Sweeps: bare names (`list configs`) or paths.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="[TASK:]key.path=value: change a key of all runs. May be repeated."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(help="Glob over task/arm/seed: which trials to run. May be repeated."),
]
Plugin = Annotated[
    list[str] | None, typer.Option(help="A file or module with your own parts. May be repeated.")
]
DataDir = Annotated[Path | None, typer.Option(help="Folder with the data sets (or SUITE_DATA).")]


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    """Without a command: run quick."""  # noqa: DOC501
    if context.invoked_subcommand is None:
        raise typer.Exit(_run(["quick"]))


@app.command()
def run(
    names: Names = None,
    set_: Set = None,
    results: Annotated[
        str | None, typer.Option(help="Results folder or address; default: results/runs/NAME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume a sweep; an error if there is none.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the selected runs and start again.")
    ] = False,
    only: Only = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join, such as auto.")] = None,
    num_cpus: Annotated[int | None, typer.Option(min=1, help="Cores to use.")] = None,
    num_gpus: Annotated[int | None, typer.Option(min=0, help="GPUs to use.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Start Ray's dashboard.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard files.")
    ] = False,
    checkpoint_every: Annotated[
        float, typer.Option(min=0.0, help="Seconds between checkpoints of a run.")
    ] = 60.0,
    max_failures: Annotated[
        int, typer.Option(min=-1, help="How often to retry a crashed trial; -1: no limit.")
    ] = 0,
    mlflow_uri: Annotated[
        str | None,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI",
            help="MLflow store; default: a database in the results folder.",
        ),
    ] = None,
    plugin: Plugin = None,
    data_dir: DataDir = None,
) -> None:
    """Run sweeps and report. Finished runs are kept; interrupted runs resume."""  # noqa: DOC501
    raise typer.Exit(
        _run(
            names or ["quick"],
            set_,
            only,
            plugin,
            data_dir,
            results=results,
            resume=resume,
            fresh=fresh,
            address=address,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            dashboard=dashboard,
            tensorboard=tensorboard,
            checkpoint_every_s=checkpoint_every,
            max_failures=max_failures,
            mlflow_uri=mlflow_uri,
        )
    )


def _run(
    names: list[str],
    overrides: list[str] | None = None,
    only: list[str] | None = None,
    plugin: list[str] | None = None,
    data_dir: Path | None = None,
    **options: Any,
) -> int:
    from suite.errors import ConfigError
    from suite.launch.progress import make_console
    from suite.launch.run import Options, default_results, run_sweep
    from suite.text.secrets import keep_secret, redact_command

    if options.get("resume") and options.get("fresh"):
        raise ConfigError("--fresh", True, "either --resume or --fresh")
    sweep, plugins = _load(names, overrides, plugin, data_dir)
    selected = sweep.only(*only) if only else sweep
    if overrides:
        selected.check_apart()
    results = options.pop("results", None) or default_results(sweep)
    program = ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else ["rewarm-suite"]
    keep_secret(options.get("mlflow_uri"))
    command = redact_command(shlex.join([*program, *(sys.argv[1:] or ["run"])]))
    settings = Options(results=results, plugins=plugins, command=command, **options)
    return run_sweep(sweep, selected, settings, make_console())


@app.command()
def plan(
    names: Names = None,
    set_: Set = None,
    only: Only = None,
    plugin: Plugin = None,
    num_cpus: Annotated[int | None, typer.Option(min=1, help="Cores to plan for.")] = None,
) -> None:
    """Show what would run: trials, skips with reasons, predicted hours and memory."""
    from suite.launch.plan import print_plan
    from suite.launch.progress import make_console

    sweep, _ = _load(names or ["quick"], set_, plugin, None)
    selected = sweep.only(*only) if only else sweep
    if set_:
        selected.check_apart()
    print_plan(selected, num_cpus or os.cpu_count() or 1, make_console())


@app.command()
def report(
    directory: Annotated[
        str, typer.Argument(metavar="[DIR]", help="Results folder or address.")
    ] = "results/runs/quick",
) -> None:
    """Rebuild tables, figures and report.html from the rows of a results folder."""
    from suite.launch.progress import make_console
    from suite.launch.show_results import fetched, show_report
    from suite.records import layout

    storage = fetched(directory)
    show_report(storage.root, make_console())
    storage.push(layout.REPORT)


@app.command()
def claims(
    directory: Annotated[
        str, typer.Argument(metavar="[DIR]", help="Results folder or address.")
    ] = "results/runs/grokking_small",
    only: Annotated[str, typer.Option(help="Glob over claims, such as 'kumar2024.*'.")] = "*",
    keep: Annotated[
        Path | None,
        typer.Option(
            help="An earlier claims.json: use its verdicts where this folder has no runs."
        ),
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Check the published claims against the rows of a results folder."""
    from suite.launch.progress import make_console
    from suite.launch.show_results import show_claims

    _plugins(plugin)
    show_claims(directory, only, keep, make_console())


@app.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            help="tasks, streams, models, agents, optimizers, schedules, triggers, interventions, "
            "metrics, claims, experiments or configs"
        ),
    ] = None,
    plugin: Plugin = None,
) -> None:
    """List all parts, claims, experiments or sweeps of one kind; without one, the kinds."""
    from suite.launch.catalogue import kinds, print_catalogue
    from suite.launch.progress import UNBROKEN, make_console, say

    if what is None:
        say(make_console(), f"list one of: {', '.join(kinds())}")
        return
    _plugins(plugin)
    print_catalogue(what, make_console(UNBROKEN))


def _plugins(names: list[str] | None) -> tuple[tuple[str, str], ...]:
    from suite.launch.plugins import load_plugins, read_plugins

    found = tuple(read_plugins(names or []))
    load_plugins(found)
    return found


def _load(
    names: list[str],
    overrides: list[str] | None,
    plugin: list[str] | None,
    data_dir: Path | None,
) -> tuple[Any, tuple[tuple[str, str], ...]]:
    from suite.data.fetch import VARIABLE
    from suite.errors import ConfigError
    from suite.launch.catalogue import config_folders
    from suite.sweeps.sweep import load_sweep

    plugins = _plugins(plugin)
    if named := os.environ.get(VARIABLE):  # workers run in folders of their own
        folder = Path(named).expanduser().absolute()
        if data_dir is None and not folder.is_dir():
            raise ConfigError(VARIABLE, named, "a folder that exists")
        os.environ[VARIABLE] = str(folder)
    if data_dir is not None:
        if not data_dir.is_dir():
            raise ConfigError("--data-dir", str(data_dir), "a folder that exists")
        os.environ[VARIABLE] = str(data_dir.absolute())
    return load_sweep(names, config_folders(), overrides or []), plugins


def main() -> None:
    """Run the command line and exit with its code."""
    from suite.errors import ConfigError
    from suite.text.secrets import redact
    from suite.text.terminal import visible

    try:
        code = app(standalone_mode=False)
    except ConfigError as error:
        print(visible(f"error: {redact(str(error))}"), file=sys.stderr)
        code = 2
    except OSError as error:  # a folder or an address that cannot be read
        from suite.launch.outage import explain

        print(visible(f"error: {redact(explain(error))}"), file=sys.stderr)
        code = 1
    except typer.Exit as error:
        code = error.exit_code
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        show = getattr(error, "show", None)  # a click usage error
        if show is None:  # a fault of ours
            print(redact(traceback.format_exc()), file=sys.stderr)
            code = 1
        else:
            show()
            code = getattr(error, "exit_code", 2)
    if (tuning := sys.modules.get("suite.launch.tuning")) and tuning.abandoned():
        # A Ray that died leaves threads behind which the interpreter would wait for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
