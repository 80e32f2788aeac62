"""Putting matplotlib's SVG into a page: inline, named for screen readers, ids made unique."""

from __future__ import annotations

import html
import re


def inline(svg: str, name: str, description: str) -> str:
    """Return an SVG file's drawing as an element of an HTML page.

    Prologue and metadata are removed, because they name other documents; ids get a prefix, because
    two figures of one page may not share any.

    Args:
        svg: contents of the file.
        name: prefix of the ids, different for every figure of the page.
        description: what screen readers say.
    """
    drawing = svg[svg.index("<svg") :].strip()
    drawing = re.sub(r"\s*<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = drawing.replace(">*{stroke", f">#{name} *{{stroke")  # not of the whole page
    drawing = re.sub(r"<[^>]+>", lambda tag: _prefixed(tag[0], name), drawing)
    head, rest = drawing.split(">", 1)
    head = re.sub(r'\s(?:xmlns(?::\w+)?|width|height|version)="[^"]*"', "", head)
    label = html.escape(description, quote=True)
    return f'{head} id="{name}" role="img" aria-label="{label}">{rest}'


def _prefixed(tag: str, name: str) -> str:
    """Return a tag with a prefix to its id and to what it refers to."""
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = tag.replace("url(#", f"url(#{name}-")
    return re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', tag)
