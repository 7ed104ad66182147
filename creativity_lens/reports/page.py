"""The report of a run: verdict, figures, texts, people's ratings and provenance of a sweep."""

from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.figures import FIGURES, draw
from creativity_lens.figures.rows import main_concept, sides_of
from creativity_lens.page_safety import embedded_json
from creativity_lens.reports import sections
from creativity_lens.reports.browser import browser_texts
from creativity_lens.reports.ratings import Rated, ratings_figures, ratings_section
from creativity_lens.reports.shell import MAX_BYTES, ROOM, look, scripts_of, style_of, used_bytes, write_page

CONTENTS = (
    ("verdict", "Verdict"),
    ("depth", "Gain by depth"),
    ("map", "How the cell was chosen"),
    ("tradeoff", "Gain against coherence"),
    ("control", "Positive control"),
    ("readout", "Read-out by layer"),
    ("nuisance", "Nuisance directions"),
    ("dose", "Dose"),
    ("leak", "Leak"),
    ("texts", "Texts"),
    ("ratings", "Human ratings"),
    ("provenance", "Provenance"),
)


def write_report(
    table: pd.DataFrame, texts: pd.DataFrame, run: dict[str, Any], path: Path, *, ratings: Rated | None = None
) -> Path:
    """Write the report of a run to `path`, whole or not at all, and return the path.

    `table`, `texts` and `run` are a `Sweep`'s, `ratings` a `Validation` of it against people; parts that were not
    measured are said to be so. The browser of texts holds as many prompts as fit into the budget of the file, and says
    how many.

        >>> write_report(sweep.table, sweep.texts, sweep.run, Path("report.html"))  # doctest: +SKIP
    """
    figures = {name: look(place, draw(name, table, run)) for place, name in enumerate(FIGURES, start=1)}
    figures |= ratings_figures(ratings, look, start=len(figures) + 1) if ratings is not None else {}
    rated: dict[str, Any] = ratings_section(ratings) if ratings is not None else {"sets": [], "bytes": 0}
    scripts = scripts_of("shared.js", "page.js")
    browser = browser_texts(texts, run, budget=MAX_BYTES - used_bytes(scripts, figures) - ROOM - rated["bytes"])
    return write_page(
        "page.html.j2",
        path,
        scripts=scripts,
        style=style_of("page.css"),
        figures=figures,
        browser=browser,
        browser_json=embedded_json(browser),
        contents=CONTENTS,
        model=str((run.get("model") or {}).get("name") or "a model"),
        **sections.header(run),
        concept=main_concept(run),
        sides=sides_of(run),
        readout_layer=(run.get("choice") or {}).get("readout_layer"),
        verdict=sections.verdict(run.get("verdict") or {}),
        control=sections.control(run.get("positive_control") or {}),
        layers=sections.layers(table, run),
        layer_set=sections.layer_set(run),
        counts=sections.counts(table, run),
        ratings=rated,
        provenance=sections.provenance(run),
        warnings=[str(warning) for warning in run.get("warnings") or []],
    )
