"""Pictures of a sweep: pure functions from its table and its run to a plotly figure, which is returned, never shown.

>>> figure = draw("depth", sweep.table, sweep.run)  # doctest: +SKIP
>>> figure.show()  # doctest: +SKIP
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from creativity_lens.errors import check_choice
from creativity_lens.figures.depth import control_curve, depth_curve
from creativity_lens.figures.dose import dose
from creativity_lens.figures.leak import leak
from creativity_lens.figures.nuisance import nuisance
from creativity_lens.figures.quality import quality_map
from creativity_lens.figures.readout import readout, transfer
from creativity_lens.figures.tradeoff import tradeoff

__all__ = [
    "FIGURES",
    "control_curve",
    "depth_curve",
    "dose",
    "draw",
    "leak",
    "nuisance",
    "quality_map",
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


def draw(name: str, table: pd.DataFrame, run: dict[str, Any]) -> go.Figure:
    """The figure of that name, drawn from a sweep's `table` and `run`.

    Raises `InputError` for an unknown name, and offers the nearest. A part that the run did not measure gives a figure
    that says so.
    """
    return FIGURES[check_choice("figure", name, FIGURES)](table, run)
