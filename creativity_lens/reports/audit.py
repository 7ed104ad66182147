"""The report of an audit: what alignment cost in diversity, at which stage, and how much of it is the template."""

from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.figures import AUDIT_FIGURES, draw_audit
from creativity_lens.figures.audit_rows import TEMPERATURE, conditions_of
from creativity_lens.figures.rating_rows import short
from creativity_lens.page_safety import embedded_json
from creativity_lens.reports import audit_tables, audit_words, sections
from creativity_lens.reports.audit_texts import audit_texts
from creativity_lens.reports.shell import MAX_BYTES, ROOM, look, scripts_of, style_of, used_bytes, write_page

CONTENTS = (
    ("verdict", "What was lost"),
    ("price", "Weights and template"),
    ("steps", "Stage by stage"),
    ("spread", "Semantic spread"),
    ("measures", "Meaning and words"),
    ("entropy", "1. Next-token entropy"),
    ("map", "2. Semantic map"),
    ("attractors", "3. Attractors"),
    ("personas", "4. Personas"),
    ("frontier", "5. Diversity and quality"),
    ("creativity", "Entropy and creativity"),
    ("steering", "6. Steering"),
    ("texts", "Texts"),
    ("provenance", "Provenance"),
)
_ELSEWHERE = ("verdict", "prompts_text", "attractors", "stretches", "personas", "notes", "picture", "conditions")


def write_audit_report(table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any], path: Path) -> Path:
    """Write the report of an audit to `path`, whole or not at all, and return the path.

    `table`, `texts` and `meta` are an `Audit`'s, in memory or read back from its folder; parts that were not measured
    are said to be so. The browser of texts holds as many prompts as fit into the budget of the file, and says how many.

        >>> write_audit_report(audit.table, audit.texts, audit.meta, Path("report.html"))  # doctest: +SKIP
    """
    drawn = ((name, draw_audit(name, table, texts, meta)) for name in AUDIT_FIGURES)
    figures = {name: look(place, figure) for place, (name, figure) in enumerate(drawn, start=1)}
    scripts = scripts_of("shared.js", "audit.js")
    browser = audit_texts(texts, meta, budget=MAX_BYTES - used_bytes(scripts, figures) - ROOM)
    return write_page(
        "audit.html.j2",
        path,
        scripts=scripts,
        style=style_of("page.css", "audit.css"),
        figures=figures,
        browser=browser,
        browser_json=embedded_json(browser),
        contents=CONTENTS,
        **sections.header(meta),
        stages=_stages(meta),
        first=short(meta.get("first") or "the first condition", 80),
        last=short(meta.get("last") or "the last condition", 80),
        threshold=meta.get("threshold"),
        picture=short(meta.get("picture") or "This run does not say.", 400),
        samples=meta.get("samples"),
        length=meta.get("length"),
        verdict=audit_words.verdict(meta),
        glance=audit_words.glance(table, meta),
        ladder=any(each.kind == TEMPERATURE for each in conditions_of(meta)),
        two_by_two=audit_words.two_by_two(table),
        price=audit_tables.price(table, meta),
        measured=audit_tables.measured_table(table, meta),
        entropies=audit_tables.entropy_table(table, meta),
        quality=audit_tables.quality_table(table, meta),
        steering=audit_tables.steering(table, meta),
        attracted=audit_tables.attractor_table(table, meta),
        quotes=audit_words.quotes(meta),
        stretches=audit_words.shared_stretches(meta),
        personas=audit_words.personas(table, meta),
        scored=audit_words.scored(meta),
        creativity=audit_words.creativity(table, meta),
        counts=audit_words.counts(table),
        no_intervals=audit_words.no_intervals(table),
        notes=[short(note, 400) for note in meta.get("notes") or []],
        provenance=sections.provenance(meta, but=_ELSEWHERE),
    )


def _stages(meta: dict[str, Any]) -> list[dict[str, str]]:
    """Each stage and the model behind it."""
    models = meta.get("models") or {}
    return [
        {"stage": short(stage, 60), "model": short((models.get(stage) or {}).get("name") or "a model", 80)}
        for stage in meta.get("stages") or []
    ]
