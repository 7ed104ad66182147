"""A sweep's table folded to one row a layer: what is printed, put into JSON and shown in notebooks."""

import math
from typing import Any

import pandas as pd

from creativity_lens.plan import GIVEN


def layer_rows(table: pd.DataFrame, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Per layer the read-out on held-out topics, and on test texts gain, coherence, faithfulness and quality.

    None stands for what was not measured.
    """
    main = table[table["concept"] == run["concept"]]
    choice = run.get("choice") or {}
    method = GIVEN if run.get("given") else "mean_difference"
    rows = []
    for layer in run["layers"]:
        at = main[main["layer"] == layer]
        read = at[(at["stage"] == "readout") & (at["condition"] == "direction") & (at["method"] == method)]
        test = at[(at["stage"] == "test") & (at["condition"] == "layer")]
        row: dict[str, Any] = {
            "layer": layer,
            "strength": _first(test["strength"]),
            "auc": _value(read, "auc"),
            "gain": _value(test, "gain"),
            "gain_low": _value(test, "gain", "low"),
            "gain_high": _value(test, "gain", "high"),
            "coherence": _value(test, "coherence"),
            "faithfulness": _value(test, "faithfulness"),
            "quality": _value(test, "quality"),
            "kl": _value(test, "kl"),
            "chosen": choice.get("layer") == layer,
        }
        rows.append(row)
    return rows


def _value(rows: pd.DataFrame, measure: str, column: str = "estimate") -> float | None:
    return _first(rows[rows["measure"] == measure][column])


def _first(values: pd.Series) -> float | None:
    return float(values.iloc[0]) if len(values) and not _missing(values.iloc[0]) else None


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
