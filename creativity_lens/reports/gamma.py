"""The report of a sweep over gamma: diversity against its price, the knee, what mixing has to beat, and texts."""

from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.figures.gamma import gamma_figure, price_figure
from creativity_lens.figures.rating_rows import short
from creativity_lens.html_tables import with_interval
from creativity_lens.reports import sections
from creativity_lens.reports.shell import look, scripts_of, style_of, write_page

CONTENTS = (
    ("verdict", "What mixing buys"),
    ("price", "Diversity and its price"),
    ("gamma", "Along gamma"),
    ("numbers", "All numbers"),
    ("texts", "Texts"),
    ("provenance", "Provenance"),
)
COMPARED = ("semantic spread", "surprisal, read by aligned", "surprisal, read by base", "fidelity")
SHOWN = 4  # prompts whose first texts are shown
_ELSEWHERE = ("prompts_text", "knee", "against", "notes", "sentence", "definition", "matched")


def write_gamma_report(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any], path: Path) -> Path:
    """Write the report of a sweep over gamma to `path`, whole or not at all, and return the path.

    `table`, `texts` and `meta` are a `GammaSweep`'s. Of texts it shows the first sample of the first prompts, not
    chosen by what they say.

        >>> write_gamma_report(found.table, found.texts, found.meta, Path("report.html"))  # doctest: +SKIP
    """
    drawn = {"price": price_figure(table, meta), "gamma": gamma_figure(table, meta)}
    model, base = (str((meta.get(which) or {}).get("name") or "a model") for which in ("model", "base"))
    return write_page(
        "gamma.html.j2",
        path,
        scripts=scripts_of("shared.js"),
        style=style_of("page.css", "audit.css"),
        figures={name: look(place, figure) for place, (name, figure) in enumerate(drawn.items(), start=1)},
        contents=CONTENTS,
        **(sections.header(meta) | {"name": f"{short(model, 60)} mixed with {short(base, 60)}"}),
        model=model,
        base=base,
        sentence=short(meta.get("sentence") or "", 600),
        definition=meta.get("definition") or "",
        against=_against(meta.get("against") or []),
        compared=COMPARED,
        reference=meta.get("reference"),
        embedder=short((meta.get("embedder") or {}).get("id") or "an embedder", 120),
        samples=meta.get("samples"),
        length=meta.get("length"),
        prompts=meta.get("prompts"),
        steering=short(meta.get("steering") or "unsteered", 80),
        notes=[short(note, 400) for note in meta.get("notes") or []],
        measures=list(dict.fromkeys(table["measure"])),
        rows=_rows(table),
        shown=_shown(texts),
        provenance=sections.provenance(meta, but=_ELSEWHERE),
    )


def _against(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each baseline less the mixture it is compared with: the numbers, and in words whether it is told apart."""
    found = []
    for name in dict.fromkeys(row["condition"] for row in rows):
        by = {row["measure"]: row for row in rows if row["condition"] == name}
        cells = [
            with_interval(by[measure]["difference"], by[measure]["low"], by[measure]["high"], sign="+")
            for measure in COMPARED
        ]
        said = [_told(by[COMPARED[0]], "diverse"), _told(by[COMPARED[1]], "surprising")]
        found.append({"condition": short(name, 60), "cells": cells, "said": ", ".join(said), "n": by[COMPARED[0]]["n"]})
    return found


def _told(row: dict[str, Any], word: str) -> str:
    low, high = row["low"], row["high"]
    if low is None or high is None or low != low or high != high:
        return f"{word}: no interval"
    return f"more {word}" if low > 0 else f"less {word}" if high < 0 else f"{word}: not distinguishable"


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "condition": short(name, 60),
            "note": short(of["note"].iloc[0], 200),
            "cells": [with_interval(row.estimate, row.low, row.high) for row in of.itertuples()],
        }
        for name, of in table.groupby("condition", sort=False)
    ]


def _shown(texts: pd.DataFrame) -> list[dict[str, Any]]:
    """The first text of every condition for the first prompts."""
    first = texts[texts["seed"] == texts["seed"].min()]
    ids = list(dict.fromkeys(first["prompt_id"]))[:SHOWN]
    return [
        {
            "prompt": str(first[first["prompt_id"] == each]["prompt"].iloc[0]),
            "texts": [
                {"condition": short(row.condition, 60), "text": str(row.text).strip()}
                for row in first[first["prompt_id"] == each].itertuples()
            ],
        }
        for each in ids
    ]
