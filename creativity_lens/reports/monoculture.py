"""The report of a measure of monoculture: the verdict, the items and their means, and the topics' words."""

from pathlib import Path
from typing import Any

from creativity_lens import __version__
from creativity_lens.figures.monoculture import monoculture_figure
from creativity_lens.monoculture import Monoculture
from creativity_lens.reports import sections
from creativity_lens.reports.shell import look, scripts_of, style_of, write_page

_ELSEWHERE = ("attributes", "notes", "kept")


def write_monoculture(found: Monoculture, path: str | Path) -> Path:
    """Write verdict, figure and top words of every attribute to one HTML file, whole, and return its path.

    >>> write_monoculture(measure_monoculture(generated, source), "monoculture.html")       # doctest: +SKIP
    """
    meta = found.meta
    figures = {
        f"attribute-{place}": look(place, monoculture_figure(found.items, meta, name))
        for place, name in enumerate(found.attributes, start=1)
    }
    attributes = [
        {"anchor": anchor, "name": name, "sentence": found.sentences[name], "words": meta["attributes"][name]["words"]}
        for anchor, name in zip(figures, found.attributes, strict=True)
    ]
    contents = [("verdict", "What was found")] + [(each["anchor"], each["name"]) for each in attributes]
    return write_page(
        "monoculture.html.j2",
        Path(path),
        scripts=scripts_of("shared.js"),
        style=style_of("page.css", "audit.css"),
        figures=figures,
        contents=[*contents, ("provenance", "Provenance")],
        **(sections.header(meta) | {"name": "Monoculture", "version": __version__}),
        generated=meta["generated"],
        source=meta["source"],
        items=meta["items"],
        group=meta["group"],
        attributes=attributes,
        notes=[*meta["notes"], *_kept(meta)],
        provenance=sections.provenance(meta, but=_ELSEWHERE),
    )


def _kept(meta: dict[str, Any]) -> list[str]:
    """What a filter left of each side."""
    by = "; ".join(meta["keep"])
    return [f"{side}: {n} of {of} texts kept by {by}" for side, (n, of) in meta["kept"].items() if by]
