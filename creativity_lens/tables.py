"""The files of a run as tables: what `sweep.csv`, `generations.parquet`, `scores.parquet` and `run.json` hold.

A table that was written and read back equals the one in memory, types and missing values included.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from creativity_lens.conditions import Measured
from creativity_lens.errors import InputError
from creativity_lens.files import plain, read_text, sha256_of, sha256_text, write_json, write_with
from creativity_lens.models import Model
from creativity_lens.runs import RUN_FILE, TABLE_FILE, find_run

TABLE_COLUMNS = {
    "concept": "text",
    "stage": "text",
    "condition": "text",
    "layer": "Int64",
    "strength": "float64",
    "method": "text",
    "temperature": "float64",
    "control": "Int64",
    "group": "text",
    "measure": "text",
    "unit": "text",
    "estimate": "float64",
    "low": "float64",
    "high": "float64",
    "n": "float64",  # not Int64: it goes into figures, which know no missing integer
    "note": "text",
}
TEXTS_FILE, SCORES_FILE = "generations.parquet", "scores.parquet"
_LISTS = ("token_ids", "tokens", "token_scores")  # of generations.parquet
_NEEDED = {  # of the tables that may be empty: what the report reads
    TEXTS_FILE: ("text_id", "concept", "stage", "condition", "layer", "prompt_id", "seed", "text", "score", *_LISTS),
    SCORES_FILE: ("text_id", "measure", "value", "unit", "note"),
}


def table_frame(rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """Rows as the sweep's table: all columns, in order and with their types; a missing text is NaN."""
    frame = pd.DataFrame(rows).reindex(columns=list(TABLE_COLUMNS))
    for name, kind in TABLE_COLUMNS.items():
        if kind == "text":
            values = frame[name].astype(object)
            frame[name] = values.where(values.notna(), np.nan)
        else:
            frame[name] = frame[name].astype(kind)
    return frame


def texts_frame(
    model: Model,
    frame: pd.DataFrame,
    measured: Mapping[str, Measured],
    surprisal: Float[np.ndarray, " text"],
    repetition: Float[np.ndarray, " text"],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A stage's texts with what was read of them, and the same as one row per text and measure.

    Texts that serve all concepts are filed under the first one measured, and carry its score.
    """
    main, first = next(iter(measured.items()))
    score = np.full(len(frame), np.nan)
    for name, found in measured.items():
        own = frame["concept"].isin([name, ""] if name == main else [name]).to_numpy()
        score[own] = found.score[own]
    named = frame["concept"].mask(frame["concept"] == "", main)
    texts = frame.assign(concept=named, score=score, surprisal=surprisal, repetition=repetition)
    shown = [i in first.tokens for i in range(len(frame))]
    ids = frame["token_ids"]
    texts["tokens"] = [model.pieces(ids.iloc[i]) if show else None for i, show in enumerate(shown)]
    texts["token_scores"] = [first.tokens[i].tolist() if show else None for i, show in enumerate(shown)]
    columns = [("surprisal", "nats/token", surprisal), ("repetition", "share", repetition)]
    columns += [(f"score:{name}", "gaps", found.score) for name, found in measured.items()]
    columns += [(f"match:{name}", "cosine", found.match) for name, found in measured.items()]
    parts = [
        pd.DataFrame({"text_id": frame["text_id"], "measure": measure, "value": values, "unit": unit})
        for measure, unit, values in columns
    ]
    scores = pd.concat(parts, ignore_index=True)
    scores["note"] = scores["value"].isna().map({True: "not measured under this condition", False: None})
    return _plain(texts), _plain(scores)


def write_run(
    folder: Path,
    table: pd.DataFrame,
    texts: pd.DataFrame,
    scores: pd.DataFrame,
    run: Mapping[str, Any],
    *,
    beside: Sequence[str] = (),
) -> None:
    """Write the tables and run.json, each file whole; run.json last, with the others' hashes.

    `beside` names files of the run that are there already and whose hashes belong with them.
    """
    write_with(folder / TABLE_FILE, lambda path: table.to_csv(path, index=False))
    if len(texts):
        write_with(folder / TEXTS_FILE, lambda path: texts.to_parquet(path, index=False))
        write_with(folder / SCORES_FILE, lambda path: scores.to_parquet(path, index=False))
    names = (TABLE_FILE, *((TEXTS_FILE, SCORES_FILE) if len(texts) else ()), *beside)
    described = {**run, "files": {name: sha256_of(folder / name) for name in names}}
    write_json(folder / RUN_FILE, {**described, "sum": sum_of(described)})


def sum_of(run: Mapping[str, Any]) -> str:
    """SHA-256 of a description, as it is after it was written and read: it finds damage, and is no signature."""
    return sha256_text(json.dumps(json.loads(json.dumps(plain(run))), sort_keys=True))


def read_run(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read a finished run's table, texts, scores and run.json; texts and scores are empty where none were generated.

    Raises `InputError` where the run was broken off, or a file is missing or damaged.
    """
    run = _read_description(find_run(folder))
    expected = run.pop("sum", None)  # runs of earlier versions have none
    if expected is not None and expected != sum_of(run):
        raise InputError(f"{folder / RUN_FILE}: damaged (not as the run wrote it); run `clens sweep` again.")
    hashes = run.pop("files")
    for name, expected in hashes.items():
        _check_file(folder / name, expected)
    file = folder / TABLE_FILE
    try:
        # a domain may be called "NA"; numbers are parsed by Python, which returns what was written
        table = pd.read_csv(file, dtype=object, keep_default_na=False, na_values=[""], encoding="utf-8")
        _check_columns(file, table, TABLE_COLUMNS)
        table = table_frame(table)
    except InputError:
        raise
    except Exception as error:  # whatever a parser may raise
        raise _damaged(file, error) from None
    return table, *(_read_parquet(folder / name) if name in hashes else pd.DataFrame() for name in _NEEDED), run


def _check_file(file: Path, expected: Any) -> None:
    try:
        found = sha256_of(file)
    except OSError as error:
        raise _damaged(file, error) from None
    if found != expected:
        raise InputError(f"{file}: damaged (not as the run wrote it); run `clens sweep` again.")


def _read_description(folder: Path) -> dict[str, Any]:
    file = folder / RUN_FILE
    try:
        run = json.loads(read_text(file, "the run's description"))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise _damaged(file, error) from None
    if not isinstance(run, dict):
        raise InputError(f"{file}: damaged (expected an object); run `clens sweep` again.")
    if run.get("status") != "finished":
        raise InputError(f"{folder}: the run was broken off; run `clens sweep` again with another --out.")
    kinds = {"layers": list, "verdict": dict, "model": dict, "prompts": dict, "warnings": list, "files": dict}
    for name, kind in kinds.items():
        if not isinstance(run.get(name), kind):
            raise InputError(f"{file}: damaged ('{name}' is missing); run `clens sweep` again.")
    return run


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(file)
        _check_columns(file, frame, _NEEDED[file.name])
    except InputError:
        raise
    except Exception as error:  # whatever a parser may raise
        raise _damaged(file, error) from None
    for name in _LISTS:
        if name in frame:  # pyarrow gives arrays for lists
            frame[name] = [None if value is None else value.tolist() for value in frame[name]]
    return _plain(frame)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts and lists as objects with None for what is missing, whatever this version of pandas would make of them."""
    kept = {
        name: frame[name].astype(object).where(frame[name].notna(), None)
        for name in frame
        if not pd.api.types.is_numeric_dtype(frame[name])
    }
    return frame.assign(**kept)


def _check_columns(file: Path, frame: pd.DataFrame, names: Any) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise InputError(f"{file}: damaged (no column '{missing[0]}'); run `clens sweep` again.")


def _damaged(file: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{file}: no such file, though the run is finished; run `clens sweep` again.")
    reason = next(iter(str(error).splitlines()), type(error).__name__)[:120]
    return InputError(f"{file}: damaged ({reason}); run `clens sweep` again.")
