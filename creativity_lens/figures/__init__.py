"""Pictures of a sweep, of ratings and of an audit: pure functions from its tables to a plotly figure, never shown.

>>> figure = draw("depth", sweep.table, sweep.run)  # doctest: +SKIP
>>> figure.show()  # doctest: +SKIP
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.errors import check_choice
from creativity_lens.figures.audit_attractors import attractors, clusters, stretches
from creativity_lens.figures.audit_creativity import entropy_creativity
from creativity_lens.figures.audit_effects import effects, steps
from creativity_lens.figures.audit_entropy import entropy
from creativity_lens.figures.audit_frontier import frontier
from creativity_lens.figures.audit_map import semantic_map
from creativity_lens.figures.audit_matrix import readers, similarity
from creativity_lens.figures.audit_personas import personas
from creativity_lens.figures.audit_spread import lexical, spread
from creativity_lens.figures.depth import control_curve, depth_curve
from creativity_lens.figures.dose import dose
from creativity_lens.figures.leak import leak
from creativity_lens.figures.nuisance import nuisance
from creativity_lens.figures.quality import quality_map
from creativity_lens.figures.rating_calibration import rating_calibration
from creativity_lens.figures.rating_criteria import criteria_matrix
from creativity_lens.figures.rating_depth import rating_depth
from creativity_lens.figures.rating_overview import rating_overview
from creativity_lens.figures.rating_pairs import rating_pairs
from creativity_lens.figures.rating_rows import pair_rows, rating_rows
from creativity_lens.figures.rating_scatter import rating_scatter
from creativity_lens.figures.readout import readout, transfer
from creativity_lens.figures.tradeoff import tradeoff

__all__ = [
    "AUDIT_FIGURES",
    "FIGURES",
    "RATING_FIGURES",
    "control_curve",
    "criteria_matrix",
    "depth_curve",
    "dose",
    "draw",
    "draw_audit",
    "draw_ratings",
    "leak",
    "nuisance",
    "pair_rows",
    "quality_map",
    "rating_calibration",
    "rating_depth",
    "rating_overview",
    "rating_pairs",
    "rating_rows",
    "rating_scatter",
    "readout",
    "tradeoff",
    "transfer",
]

FIGURES: dict[str, Callable[[pd.DataFrame, dict[str, Any]], go.Figure]] = {
    "depth": depth_curve,
    "map": quality_map,
    "tradeoff": tradeoff,
    "control": control_curve,
    "readout": readout,
    "transfer": transfer,
    "nuisance": nuisance,
    "dose": dose,
    "leak": leak,
}

# Of one set of ratings, from a validation's table, texts and meta, and the set's name.
RATING_FIGURES: dict[str, Callable[[pd.DataFrame, pd.DataFrame, dict[str, Any], str], go.Figure]] = {
    "depth": lambda table, texts, meta, name: rating_depth(table, meta, name),
    "pairs": lambda table, texts, meta, name: rating_pairs(table, meta, name),
    "scatter": rating_scatter,
    "calibration": lambda table, texts, meta, name: rating_calibration(texts, meta, name),
    "criteria": lambda table, texts, meta, name: criteria_matrix(table, meta, name),
}

# Of an audit, from its table, texts and meta.
AUDIT_FIGURES: dict[str, Callable[[pd.DataFrame, pd.DataFrame, dict[str, Any]], go.Figure]] = {
    "effects": effects,
    "steps": steps,
    "spread": spread,
    "lexical": lexical,
    "entropy": entropy,
    "map": semantic_map,
    "clusters": clusters,
    "similarity": similarity,
    "attractors": attractors,
    "stretches": stretches,
    "personas": personas,
    "frontier": frontier,
    "readers": readers,
    "entropy_creativity": entropy_creativity,
}


def draw(name: str, table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """The figure of that name, drawn from a sweep's `table` and `run`.

    Raises `InputError` for an unknown name, and offers the nearest. A part that the run did not measure gives a figure
    that says so.
    """
    return FIGURES[check_choice("figure", name, FIGURES)](table, run)


def draw_ratings(figure: str, table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any], name: str) -> go.Figure:
    """A figure of the set `name`, drawn from a validation's `table`, `texts` and `meta`.

    Raises `InputError` for an unknown figure or set, and offers the nearest. What the set is too small for, or has not,
    gives a figure that says so.

        >>> draw_ratings("depth", found.table, found.texts, found.meta, "ttcw").show()  # doctest: +SKIP
    """
    drawn = RATING_FIGURES[check_choice("figure", figure, RATING_FIGURES)]
    return drawn(table, texts, meta, check_choice("set", name, list(meta.get("sets") or {})))


def draw_audit(name: str, table: pd.DataFrame, texts: pd.DataFrame, meta: dict[str, Any]) -> go.Figure:
    """A figure of an audit, drawn from its `table`, `texts` and `meta`.

    Raises `InputError` for an unknown name, and offers the nearest. A part that the audit did not measure gives a
    figure that says so.

        >>> draw_audit("entropy", audit.table, audit.texts, audit.meta).show()  # doctest: +SKIP
    """
    return AUDIT_FIGURES[check_choice("figure", name, AUDIT_FIGURES)](table, texts, meta)
