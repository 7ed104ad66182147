"""What the report says in words and tables: the verdict, the layers, the counts behind the pictures, the provenance."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from creativity_lens.figures.rows import (
    by_layer,
    drawn_only,
    main_concept,
    measured,
    number,
    per_layer_strength,
    percent,
    select,
)

# The outcome in words, and a symbol for those who skim; neither depends on colour.
OUTCOMES = {"steers": "✓", "not enough evidence": "–", "blind assay": "✗"}
PASSED = {True: ("✓", "passed"), False: ("✗", "not passed"), None: ("–", "not measured")}
BESIDE = ("coherence", "faithfulness", "kl")
_ELSEWHERE = ("verdict", "positive_control", "prompts_text", "warnings", "layer_set", "norms")  # on the sweep's page


def verdict(found: dict[str, Any]) -> dict[str, Any]:
    """`run["verdict"]` in words: outcome, symbol, sentence, parts, the smallest detectable gain, what stands beside."""
    outcome = str(found.get("outcome") or "no verdict")
    smallest = found.get("smallest_detectable_gain")
    return {
        "outcome": outcome,
        "symbol": OUTCOMES.get(outcome, "–"),
        "sentence": found.get("sentence") or "No test text was generated in this run, so it claims nothing.",
        "parts": [_part(part) for part in found.get("parts") or []],
        "smallest": None if smallest is None or pd.isna(smallest) else number(smallest),
        "beside": [(str(item.get("label", "")), str(item.get("text", ""))) for item in found.get("beside") or []],
    }


def control(found: dict[str, Any]) -> dict[str, Any] | None:
    """`run["positive_control"]` in words, None in a run without one."""
    return verdict(found) | {"concept": str(found.get("concept") or "")} if found else None


def _part(part: dict[str, Any]) -> dict[str, str]:
    symbol, word = PASSED[part.get("passed")]
    low, high, estimate = part.get("low"), part.get("high"), number(part.get("estimate"))
    unit, missing = str(part.get("unit") or ""), estimate == "not measured"
    known = low is not None and high is not None and not pd.isna(low) and not pd.isna(high)
    return {
        "symbol": symbol,
        "word": word,
        "question": str(part.get("question") or part.get("key") or ""),
        "estimate": estimate
        if missing
        else f"{unit} = {estimate}"
        if unit in ("p", "rank p")
        else f"{estimate} {unit}".strip(),
        "interval": f"{number(low)} to {number(high)}" if known else "–",
        "n": "–" if part.get("n") is None else str(part["n"]),
        "needed": str(part.get("needed") or ""),
    }


def layers(table: pd.DataFrame, run: dict[str, Any]) -> list[dict[str, str]]:
    """The depth curve as a table, for readers who want the numbers or cannot see the curve."""
    concept = main_concept(run)
    place = {"concept": concept, "stage": "test", "condition": "layer"}
    gains = by_layer(select(table, **place, measure="gain"))
    beside = {name: by_layer(select(table, **place, measure=name)) for name in BESIDE}
    band = measured(select(table, concept=concept, stage="test", condition="band", measure="gain"))
    strengths, best = per_layer_strength(run, concept), layer_set(run)["best"]
    chosen = (run.get("choice") or {}).get("layer")
    rows = []
    for layer, row in gains.items():
        here = band[band["layer"] == layer]["estimate"]
        strength = row.strength if not pd.isna(row.strength) else strengths.get(layer)
        marks = [("chosen", layer == chosen), ("in the confidence set", layer in best)]
        marks.append(("not up for choice", layer in drawn_only(run)))
        rows.append(
            {name: number(rows[layer].estimate) if layer in rows else "–" for name, rows in beside.items()}
            | {
                "layer": str(layer),
                "strength": "–" if strength is None else percent(strength),
                "gain": number(row.estimate),
            }
            | {"interval": "–" if pd.isna(row.low) else f"{number(row.low)} to {number(row.high)}"}
            | {"band": "–" if here.empty else f"{number(here.quantile(0.05))} to {number(here.quantile(0.95))}"}
            | {
                "n": "–" if pd.isna(row.n) else str(int(row.n)),
                "marks": ", ".join(text for text, holds in marks if holds),
            }
        )
    return rows


def layer_set(run: dict[str, Any]) -> dict[str, Any]:
    """The confidence set of layers, and how often each is chosen when dev prompts are resampled."""
    found = run.get("layer_set") or {}
    shares = sorted((int(layer), float(share)) for layer, share in (found.get("selection_share") or {}).items())
    return {
        "best": [int(layer) for layer in found.get("confidence_set") or []],
        "shares": [f"layer {layer} in {100 * share:.0f} %" for layer, share in shares if share > 0],
    }


def counts(table: pd.DataFrame, run: dict[str, Any]) -> dict[str, int | None]:
    """How many prompts, topics and controls stand behind the pictures, for the captions; None where none do."""

    def most(stage: str, condition: str, measure: str) -> int | None:
        n = select(table, concept=main_concept(run), stage=stage, condition=condition, measure=measure)["n"].dropna()
        return None if n.empty else int(n.max())

    def controls(condition: str) -> int | None:
        frame = measured(select(table, concept=main_concept(run), stage="test", condition=condition, measure="gain"))
        return None if frame.empty else int(frame.groupby("layer", dropna=False).size().max())

    return {
        "test": most("test", "layer", "gain"),
        "dev": most("dev", "steered", "gain"),
        "dev_quality": most("dev", "steered", "quality"),
        "readout": most("readout", "direction", "auc"),
        "band": controls("band"),
        "band_prompts": most("test", "band", "gain"),
        "flips": controls("flip"),
    }


def header(run: dict[str, Any]) -> dict[str, str]:
    """What stands at the head and the foot of a page: the run's name, command, time and version."""
    return {
        "name": str(run.get("name") or "a run"),
        "created": str(run.get("created") or "")[:16].replace("T", " "),  # in full under provenance
        "command": str(run.get("command") or ""),
        "version": str((run.get("versions") or {}).get("creativity-lens") or ""),
    }


def provenance(run: dict[str, Any], *, but: Collection[str] = _ELSEWHERE) -> list[tuple[str, list[tuple[str, str]]]]:
    """Everything `run.json` holds `but` what the page says elsewhere, as headed lists of names and values."""
    rest = {key: value for key, value in run.items() if key not in but}
    single = [(key, _value(value)) for key, value in rest.items() if not isinstance(value, Mapping)]
    parts = [("run", single)] if single else []
    for key, value in rest.items():
        if isinstance(value, Mapping) and value:
            items = [(str(name), _value(item)) for name, item in value.items()]
            if key == "timings":
                seconds = [item for item in value.values() if isinstance(item, int | float)]
                items = [(name, f"{text} s") for name, text in items] + [("sum", f"{_value(float(sum(seconds)))} s")]
            parts.append((key.replace("_", " "), items))
    return parts


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value) or "none"
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
