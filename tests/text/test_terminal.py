from __future__ import annotations

import io
import re
import sys
import unicodedata
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from suite.launch.progress import make_console, say
from suite.text.terminal import SafeConsole, one_line, visible

HOSTILE = "a\x1b[2J\x1b]8;;http://x\x07b\rc\x9bd\u202ee\u2066f\u200bg\x00\x08"


def _steers(text: str) -> list[str]:
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [c for c in text if unicodedata.category(c) in kinds and c not in "\n\t"]


def test_all_that_unicode_calls_control_or_format_is_spelt_out_and_nothing_else() -> None:
    wrong = []
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        kind = unicodedata.category(character)
        steers = kind in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in "\n\t"
        if (visible(character) != character) != steers and kind != "Cn":
            wrong.append(hex(number))
    assert wrong == []
    assert visible("Zürich, 東京, 50 %, 1 ± 2, \N{NO-BREAK SPACE}") == (
        "Zürich, 東京, 50 %, 1 ± 2, \N{NO-BREAK SPACE}"
    )


def test_a_line_stays_one_line() -> None:
    assert one_line("a\nReport: /elsewhere\tx\r") == "a\\nReport: /elsewhere\\tx\\r"


@pytest.mark.parametrize(
    "shown",
    [
        HOSTILE,
        Text(HOSTILE, "bold"),
        Text.assemble((HOSTILE, "red"), "x"),
    ],
    ids=["str", "text", "parts"],
)
@pytest.mark.parametrize("place", ["line", "cell", "title", "caption", "heading"])
def test_nothing_on_a_console_steers_the_terminal(shown: Any, place: str) -> None:
    table = Table(
        title=shown if place == "title" else None,
        caption=shown if place == "caption" else None,
    )
    table.add_column(shown if place == "heading" else "x")
    table.add_row(shown if place == "cell" else "y" * 100)
    console = SafeConsole(file=io.StringIO(), width=200, force_terminal=True)
    console.print(shown if place == "line" else table)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written)  # rich's own colours
    assert _steers(plain) == []
    assert "\\x1b[2J" in plain
    assert place != "line" or "\\u202e" in plain  # tables cut what is longer than measured


def test_what_the_command_line_says_is_one_line_of_plain_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say(make_console(), f"{HOSTILE}\nReport: [bold]/elsewhere[/]")
    out = capsys.readouterr().out
    assert _steers(out) == []
    assert out.count("\n") == 1
    assert "[bold]/elsewhere[/]" in out


def test_errors_are_shown_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch import cli

    monkeypatch.setattr(sys, "argv", ["rewarm-suite", "report", f"/nowhere{HOSTILE[:-2]}"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert _steers(capsys.readouterr().err) == []
