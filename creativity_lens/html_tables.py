"""Tables as HTML: what the nouns show of themselves in a notebook.

Whatever a model or a user wrote is escaped. Styles stand in place, since what shows notebooks on the web drops style
sheets, and name no colour: a table has the ink and the paper of the page around it, light or dark.
"""

import html
import math
from collections.abc import Sequence

_CELL = "padding:0.15em 1em 0.15em 0;text-align:left;vertical-align:top;white-space:pre-wrap"
_COLUMN = "text-align:left;vertical-align:top;white-space:pre-wrap"
_NOTE = "opacity:0.8;max-width:60em"


def html_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A table with a title above and a note below. The first cell of a row is its heading.

    >>> html_table("Two & more", ["layer", "gap"], [["0", "<1"]])        # doctest: +ELLIPSIS
    '<p><b>Two &amp; more</b></p><table>...&lt;1</td></tr></tbody></table>'
    """
    head = "".join(f"<th scope='col' style='{_CELL}'>{html.escape(heading)}</th>" for heading in headings)
    body = "".join(
        f"<tr><th scope='row' style='{_CELL}'>{html.escape(first)}</th>"
        + "".join(f"<td style='{_CELL}'>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for first, *cells in rows
    )
    shown = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<p><b>{html.escape(title)}</b></p>{shown}{html_note(note)}"


def html_columns(headings: Sequence[str], groups: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> str:
    """Texts in columns, under a line for each group of rows: what was asked, and the texts that answered it."""
    head = "".join(f"<th style='text-align:left'>{html.escape(heading)}</th>" for heading in headings)
    body = ""
    for asked, rows in groups:
        body += f"<tr><th colspan={len(headings)} style='text-align:left'>{html.escape(asked)}</th></tr>"
        for row in rows:
            body += "<tr>" + "".join(f"<td style='{_COLUMN}'>{html.escape(text)}</td>" for text in row) + "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_text(title: str, text: str) -> str:
    """A text under a title, its lines as they are."""
    return f"<p><b>{html.escape(title)}</b></p><p style='white-space:pre-wrap;max-width:60em'>{html.escape(text)}</p>"


def html_note(text: str) -> str:
    """Small print; nothing for an empty text."""
    return f"<p style='{_NOTE}'><small>{html.escape(text)}</small></p>" if text else ""


def with_interval(value: float | None, low: float | None = None, high: float | None = None, *, sign: str = "") -> str:
    """A number with its interval, where it has one; "not measured" for None and NaN.

    >>> with_interval(0.5, 0.25, 0.75), with_interval(0.5, sign="+"), with_interval(math.nan)
    ('0.50 (0.25 to 0.75)', '+0.50', 'not measured')
    """
    if value is None or not math.isfinite(value):
        return "not measured"
    form = f"{sign}z.{3 if 0 < abs(value) < 0.0995 else 2}f"
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return f"{value:{form}}"
    return f"{value:{form}} ({low:{form}} to {high:{form}})"
