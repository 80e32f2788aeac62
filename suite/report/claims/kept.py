"""Verdicts of an earlier board on experiments that a results folder has no runs of.

A board of many experiments is made over weeks; what was judged is judged once. A verdict is taken
over as it was worded then, and is marked. One is not if the claim is gone or its region is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from suite.errors import ConfigError
from suite.records.json_file import read_json
from suite.report.claims.base import CLAIMS, Judgement, Verdict
from suite.report.experiment import Scale

Words = Annotated[str, Field(max_length=10_000)]


class _Record(BaseModel):
    """A line of ``claims.json``."""

    model_config = ConfigDict(extra="ignore")

    id: Words
    claim: Words
    scale: Scale
    statistic: Words
    threshold: Words
    source: Words
    effect: float | None
    lo: float | None
    hi: float | None
    n: Annotated[int, Field(ge=0)]
    verdict: Judgement
    left_out: tuple[int, ...] = ()
    why: Words = ""
    changed: tuple[Words, ...] = ()


_BOARD = TypeAdapter(list[_Record])
KeptState = Literal["kept", "another region", "no such claim"]


def keep(verdicts: Sequence[Verdict], board: Path) -> tuple[list[Verdict], dict[str, KeptState]]:
    """Return verdicts with those of an earlier board in place of what was not run.

    Args:
        verdicts: on the runs of a results folder, in order.
        board: ``claims.json`` of the earlier one.

    Returns:
        The verdicts, in the same order, each claim's published scale first; and what became of
        those of the earlier board that this folder has no runs for, by claim and scale.

    Raises:
        ConfigError: if the file cannot be read or is no board.
    """
    try:
        records = _BOARD.validate_python(read_json(board), strict=False)
    except (OSError, ValueError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ConfigError("--keep", str(board), f"a claims.json ({said})") from None
    judged = {(v.claim.id, v.scale) for v in verdicts if v.verdict != "not run"}
    known, fate = CLAIMS.entries(), {}
    found: dict[str, list[Verdict]] = {}
    for r in records:
        if r.verdict == "not run" or (r.id, r.scale) in judged:
            continue
        claim = known.get(r.id)
        name = f"{r.id} ({r.scale})"
        fate[name] = _fate(r, None if claim is None else str(claim.holds))
        if claim is None or fate[name] != "kept":
            continue
        worded = replace(claim, says=r.claim, statistic=r.statistic, source=r.source)
        numbers = (r.effect, r.lo, r.hi, r.n, r.left_out, r.verdict, r.why, r.changed)
        found.setdefault(r.id, []).append(Verdict(worded, r.scale, *numbers, kept=True))
    both: list[Verdict] = []
    for verdict in verdicts:
        earlier = found.get(verdict.claim.id, [])
        if verdict.verdict != "not run" or not earlier:
            both.append(verdict)
        if verdict.claim.id in found:
            both += found.pop(verdict.claim.id)
    order = {v.claim.id: place for place, v in reversed(list(enumerate(verdicts)))}
    both.sort(key=lambda v: (order[v.claim.id], v.scale != "published"))
    return both, fate


def _fate(record: _Record, region: str | None) -> KeptState:
    if region is None:
        return "no such claim"
    return "kept" if record.threshold == region else "another region"
