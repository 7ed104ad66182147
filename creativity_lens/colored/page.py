"""The page of coloured texts, and the same as a fragment for notebooks.

What must hold: whatever a text holds is escaped by the template; the page runs no script and fetches nothing, and its
content security policy allows its own style alone; no colour says what a number and an underline do not.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from creativity_lens.colored.words import LEVELS, levelled, words_of
from creativity_lens.files import write_text
from creativity_lens.page_safety import source_hash
from creativity_lens.text_scores import TextScore, TextScores

MAX_BYTES = 8_000_000
SHOWN = 20  # texts in a notebook
FOLDER = Path(__file__).parent
# From the weakest to the strongest. Blue and orange are told apart by colour-blind readers; ink on each keeps 4.5:1.
LIGHT = {
    "m": ("#e3f0fa", "#c5e2f5", "#a5d2ef", "#83c1e8", "#5eb0e1"),
    "p": ("#fdf1d6", "#fae3ae", "#f6d383", "#f0c157", "#e9ae29"),
}
DARK = {
    "m": ("#1d2f3c", "#1b3d53", "#194a6a", "#145782", "#0d6399"),
    "p": ("#352b17", "#48381a", "#5c451a", "#705217", "#855f10"),
}


class Fragment(str):
    """A piece of HTML that Jupyter shows as such."""

    def __repr__(self) -> str:
        return f"Fragment({len(self):,} characters of HTML)"

    def _repr_html_(self) -> str:
        return str(self)


def colored_tokens(scores: TextScores) -> Fragment:
    """Scored texts with every word coloured by its projection, for a notebook: the first 20, styled in place.

    Raises `InputError` for scores without tokens.

    >>> colored_tokens(score_texts(model, yardstick, texts, tokens=True))         # doctest: +SKIP
    """
    tints = {f"{side}{i + 1}": tint for side, ramp in LIGHT.items() for i, tint in enumerate(ramp)}
    return Fragment(_render("fragment.html.j2", scores, _numbers(scores), scores.rows[:SHOWN], tints=tints))


def write_colored(scores: TextScores, path: str | Path, *, ids: Sequence[str] = (), title: str = "Scored texts") -> int:
    """Write the page of coloured texts, whole, and return how many it holds: as many, from the first, as fit in 8 MB.

    `ids` are the texts' names, by default their numbers. Raises `InputError` for scores without tokens, and for a place
    that cannot be written.

    >>> write_colored(score_texts(model, yardstick, texts, tokens=True), "texts.html")      # doctest: +SKIP
    """
    rows: list[TextScore] = []
    used = 0
    for row in scores.rows:
        used += 6 * len(row.text.encode("utf-8", "replace")) + 120 * row.n_tokens + 2_000  # an upper estimate
        if rows and used > MAX_BYTES:
            break
        rows.append(row)
    style = (FOLDER / "page.css").read_text(encoding="utf-8") + _ramp(LIGHT)
    style += f"@media screen and (prefers-color-scheme: dark) {{\n{_ramp(DARK)}}}\n"
    policy = f"default-src 'none'; style-src {source_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    names = list(ids) or _numbers(scores)
    write_text(Path(path), _render("page.html.j2", scores, names, rows, style=style, policy=policy, title=title))
    return len(rows)


def _ramp(tints: Mapping[str, Sequence[str]]) -> str:
    return "".join(
        f".{side}{i} {{ background-color: {tint}; }}\n"
        for side, ramp in tints.items()
        for i, tint in enumerate(ramp, 1)
    )


def _numbers(scores: TextScores) -> list[str]:
    return [str(i + 1) for i in range(len(scores))]


def _render(template: str, scores: TextScores, names: Sequence[str], rows: Sequence[TextScore], **more: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": signed, "number": number, "begun": begun, "shade": _shade}
    cuts, limit = levelled([words_of(row) for row in rows])
    return environment.get_template(template).render(
        texts=list(zip(range(1, len(rows) + 1), names, rows, cuts, strict=False)),
        of=len(scores),
        limit=limit,
        legend=[(level, level / LEVELS * limit) for level in range(-LEVELS, LEVELS + 1)],
        sides=scores.sides,
        yardstick=scores.yardstick,
        caption=scores.caption,
        **more,
    )


def _shade(level: int) -> str:
    """The class of a level of colour, "" for none."""
    return f"{'p' if level > 0 else 'm'}{abs(level)}" if level else ""


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign; "not measured" for NaN.

    >>> signed(-0.5), signed(0.001), signed(0.25)
    ('−0.50', '0.00', '+0.25')
    """
    if not math.isfinite(value):
        return "not measured"
    size = f"{abs(value):.{digits}f}"
    return ("" if float(size) == 0 else "−" if value < 0 else "+") + size


def number(value: float, digits: int = 2) -> str:
    """A number without a sign; "not measured" for NaN."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "not measured"


def begun(text: str, length: int = 60) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
