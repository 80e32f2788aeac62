"""The scoreboard: the verdict on every claim, as JSON, as a page and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from rich import box
from rich.table import Table
from rich.text import Text

from suite.errors import ConfigError, nearest
from suite.records.json_file import dumps
from suite.records.layout import REPORT
from suite.records.storage import write_whole
from suite.report.build import check_plain
from suite.report.claims.base import CLAIMS, Judgement, Verdict, in_order, judge
from suite.report.experiment import Results, Scale
from suite.report.page.page import template
from suite.sweeps.yaml_file import read_yaml

JSON, PAGE, NOTES = "claims.json", "claims.html", "claims_notes.yaml"
"""What is written into the report's folder; and the file of a results folder with words on claims:
claim id to text, such as what was tried where one fails."""

TITLES = {
    "kumar2024": "Kumar et al. 2024: grokking as the transition from lazy to rich training",
    "lyle2024": "Lyle et al. 2024: normalization and effective learning rates",
    "lyle2025": "Lyle et al. 2025: what can grokking teach us about nonstationarity",
    "lyu2024": "Lyu et al. 2024: dichotomy of early and late phase implicit biases",
    "suite": "Questions of this suite",
}
"""By the first part of a claim's id; a paper that is not listed goes by its id."""


def judge_all(folder: str | Path, only: str = "*") -> list[Verdict]:
    """Return the verdict on every claim, at each scale that its experiment was run at.

    A claim whose experiment was not run at all has one verdict, ``not run`` at the published scale.

    Args:
        folder: a results folder.
        only: glob over ids of claims.

    Raises:
        ConfigError: if it is no results folder, or no claim matches.
    """
    chosen = [claim for claim in in_order() if fnmatchcase(claim.id, only)]
    if not chosen:
        raise ConfigError("--only", only, f"a glob over claims; {nearest(only, CLAIMS.entries())}")
    results = Results(folder)
    verdicts = []
    for claim in chosen:
        runs = {scale: results.experiment(claim.experiment, scale) for scale in get_args(Scale)}
        made = {scale: found for scale, found in runs.items() if found is not None}
        verdicts += [judge(claim, found, scale) for scale, found in made.items()] or [
            judge(claim, None, "published")
        ]
    return verdicts


def as_records(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the contents of ``claims.json``."""
    return [
        {
            "id": v.claim.id,
            "paper": v.claim.paper,
            "claim": v.claim.says,
            "scale": v.scale,
            "statistic": v.claim.statistic,
            "threshold": str(v.claim.holds),
            "effect": v.effect,
            "lo": v.lo,
            "hi": v.hi,
            "n": v.n,
            "verdict": v.verdict,
            "left_out": list(v.left_out),
            "why": v.why,
            "changed": list(v.changed),
            "kept": v.kept,
            "source": v.claim.source,
        }
        for v in verdicts
    ]


def counts(verdicts: Sequence[Verdict]) -> str:
    """Return for instance ``12 hold, 2 fail, 3 inconclusive, 0 not run``."""
    words = {"holds": "hold", "fails": "fail"}
    return ", ".join(
        f"{sum(v.verdict == word for v in verdicts)} {words.get(word, word)}"
        for word in get_args(Judgement)
    )


def effect(verdict: Verdict) -> str:
    """Return the effect with its interval, to three digits."""
    if verdict.effect is None:
        return "-"
    if verdict.lo is None or verdict.hi is None:
        return f"{verdict.effect:.3g}"
    return f"{verdict.effect:.3g} [{verdict.lo:.3g}, {verdict.hi:.3g}]"


def as_table(verdicts: Sequence[Verdict]) -> Table:
    """Return the board for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, title=f"Claims: {counts(verdicts)}", title_justify="left")
    below = []
    if changed := sorted({change for v in verdicts for change in v.changed}):
        below.append(f"* not the experiment as it is shipped: changed by {', '.join(changed)}")
    if any(v.kept for v in verdicts):
        below.append("+ kept from an earlier board")
    if below:
        table.caption, table.caption_justify = Text("\n".join(below)), "left"
    for heading in ("claim", "scale", "verdict", "effect [95%]", "holds if", "n"):
        table.add_column(heading, no_wrap=heading != "claim")
    styles = {"holds": "green", "fails": "red", "inconclusive": "yellow", "not run": "dim"}
    for v in verdicts:
        name = Text(f"{v.claim.id} {v.claim.says}")
        if v.effect is None and v.why:
            name.append(f" ({v.why})", "dim")
        scale = v.scale + "*" * bool(v.changed) + "+" * v.kept
        table.add_row(
            name,
            scale,
            Text(v.verdict, styles[v.verdict]),
            Text(effect(v)),
            Text(str(v.claim.holds)),
            str(v.n),
        )
    return table


def read_notes(folder: Path) -> dict[str, str]:
    """Return the words on claims that a results folder holds, by claim id.

    Raises:
        ConfigError: if the file is no mapping of claims' ids to text.
    """
    path = folder / NOTES
    if not path.exists():
        return {}
    notes = read_yaml(path)
    if not isinstance(notes, Mapping) or not all(isinstance(v, str) for v in notes.values()):
        raise ConfigError(str(path), notes, "a mapping of claims' ids to text")
    for name in notes:
        if name not in CLAIMS.entries():
            raise ConfigError(str(path), name, f"a claim: {nearest(str(name), CLAIMS.entries())}")
    return {str(name): text.strip() for name, text in notes.items()}


def write_board(folder: str | Path, verdicts: Sequence[Verdict]) -> tuple[Path, Path]:
    """Write ``claims.json`` and ``claims.html`` into a results folder's report; return both.

    Raises:
        ConfigError: if the notes are wrong, or the files cannot be written.
    """
    root = Path(folder).expanduser().resolve()
    notes = read_notes(root)
    report = root / REPORT
    check_plain(report)
    papers = list(dict.fromkeys(v.claim.paper for v in verdicts))
    page = template("claims.html").render(
        name=root.name,
        counts=counts(verdicts),
        papers=[
            {
                "id": paper,
                "title": TITLES.get(paper, paper),
                "counts": counts([v for v in verdicts if v.claim.paper == paper]),
                "lines": [
                    {"verdict": v, "effect": effect(v), "note": notes.get(v.claim.id, "")}
                    for v in verdicts
                    if v.claim.paper == paper
                ],
            }
            for paper in papers
        ],
    )
    try:
        report.mkdir(exist_ok=True)
        write_whole(report / JSON, f"{dumps(as_records(verdicts), indent=1)}\n".encode())
        write_whole(report / PAGE, page.encode())
    except OSError as error:
        raise ConfigError("DIR", str(report), f"a folder to write to ({error})") from None
    return report / JSON, report / PAGE
