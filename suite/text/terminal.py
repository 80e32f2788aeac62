"""Text from files on a terminal: what would steer it, or turn words round, is shown instead.

An escape sequence in an arm's name could rewrite what stands on the screen, and a bidirectional
override could make one name look like another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e007f]"
)
"""Unicode's control and format characters, separators of lines and paragraphs, and surrogates; all
but tabs and line ends."""


def visible(text: str) -> str:
    r"""Return text with every character that steers a terminal spelt out; lines stay lines.

    >>> visible("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""Return `visible` text in which line ends and tabs are spelt out too.

    >>> one_line("a\nb")
    'a\\nb'
    """
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


class SafeConsole(Console):
    """A console on which all text, in tables and titles too, is `visible`."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render an object, as `rich.console.Console.render` does, with its text made visible."""
        if isinstance(renderable, str):
            renderable = visible(renderable)
        elif (
            isinstance(renderable, Text)
            and (plain := visible(renderable.plain)) != renderable.plain
        ):
            renderable = renderable.copy()
            renderable.plain = plain
        return super().render(renderable, options)
