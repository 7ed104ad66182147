"""The report of a run: one HTML file that opens offline, prints, and trusts nothing that a model or a user wrote.

What must hold: every text and name is escaped by the template or set with `textContent`; JSON blocks cannot end their
own `<script>`; the page's content security policy names the hashes of its two scripts, so that no other one runs and
nothing is fetched; the file stays under `MAX_BYTES`.
"""

import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from creativity_lens import files
from creativity_lens.figures import FIGURES, draw
from creativity_lens.figures.rows import main_concept, sides_of
from creativity_lens.page_safety import embedded_json, source_hash
from creativity_lens.reports import sections
from creativity_lens.reports.browser import browser_texts
from creativity_lens.reports.ratings import Rated, ratings_figures, ratings_section

MAX_BYTES = 8_000_000
FOLDER = Path(__file__).parent
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
    figures = {name: _figure(place, draw(name, table, run)) for place, name in enumerate(FIGURES, start=1)}
    figures |= ratings_figures(ratings, _figure, start=len(figures) + 1) if ratings is not None else {}
    rated: dict[str, Any] = ratings_section(ratings) if ratings is not None else {"sets": [], "bytes": 0}
    scripts = [_source(get_plotlyjs()), _source((FOLDER / "page.js").read_text(encoding="utf-8"))]
    used = sum(len(part.encode()) for part in scripts) + sum(len(figure["json"]) for figure in figures.values())
    browser = browser_texts(texts, run, budget=MAX_BYTES - used - 400_000 - rated["bytes"])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        policy=_policy(scripts),
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        scripts=scripts,
        figures=figures,
        browser=browser,
        browser_json=embedded_json(browser),
        name=str(run.get("name") or "a run"),
        contents=CONTENTS,
        model=str((run.get("model") or {}).get("name") or "a model"),
        created=str(run.get("created") or "")[:16].replace("T", " "),  # in full under provenance
        command=str(run.get("command") or ""),
        version=str((run.get("versions") or {}).get("creativity-lens") or ""),
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
    path = Path(path)
    # A lone surrogate in a name has no UTF-8; texts carry theirs inside JSON escapes.
    files.write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return path


def _rounded(value: Any) -> Any:
    """To five significant digits, more than a screen shows; NaN and infinities become null, as JSON has neither."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _figure(place: int, figure: go.Figure) -> dict[str, Any]:
    """A figure's data for the page; its title becomes a caption, which wraps on a narrow screen."""
    parts = figure.to_plotly_json()
    title = html.unescape(str(parts["layout"].pop("title", {}).get("text", "")))
    parts["layout"].setdefault("margin", {})["t"] = 34
    missing = "" if parts["data"] else html.unescape(parts["layout"]["annotations"][0]["text"])
    look = {"number": place, "title": title, "height": parts["layout"]["height"], "missing": missing}
    return look | {"json": "" if missing else embedded_json(_rounded(parts))}


def _source(script: str) -> str:
    """A script as the browser's parser will see it, since its hash is taken over that."""
    return "\n" + script.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script") + "\n"


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(map(source_hash, scripts))
    # Plotly styles its elements in place; pictures are what its download button draws.
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
