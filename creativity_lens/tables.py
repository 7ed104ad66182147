"""The files of a run as tables: what `sweep.csv`, `generations.parquet`, `scores.parquet` and `run.json` hold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from creativity_lens.conditions import Measured
from creativity_lens.errors import InputError
from creativity_lens.files import read_text, write_json, write_with
from creativity_lens.models import Model
from creativity_lens.runs import RUN_FILE, find_run

TABLE_COLUMNS = (
    "concept", "stage", "condition", "layer", "strength", "method", "temperature", "control", "group", "measure", "unit",
    "estimate", "low", "high", "n", "note",
)  # fmt: skip


def texts_frame(
    model: Model, frame: pd.DataFrame, measured: Mapping[str, Measured], surprisal: np.ndarray, repetition: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A stage's texts with what was read of them, and the same as one row per text and measure."""
    first = next(iter(measured.values()))
    score = np.full(len(frame), np.nan)
    for name, found in measured.items():
        own = (frame["concept"] == name).to_numpy()
        score[own] = found.score[own]
    shared = (frame["concept"] == "").to_numpy()
    score[shared] = first.score[shared]  # the baseline's score under the main concept
    main = next(iter(measured))
    named = frame["concept"].mask(frame["concept"] == "", main)
    texts = frame.assign(concept=named, score=score, surprisal=surprisal, repetition=repetition)
    texts["tokens"] = [model.pieces(ids) if i in first.tokens else None for i, ids in enumerate(frame["token_ids"])]
    texts["token_scores"] = [first.tokens[i].tolist() if i in first.tokens else None for i in range(len(frame))]
    columns = [("surprisal", "nats/token", surprisal), ("repetition", "share", repetition)]
    columns += [(f"score:{name}", "gaps", found.score) for name, found in measured.items()]
    columns += [(f"match:{name}", "cosine", found.match) for name, found in measured.items()]
    scores = pd.concat(
        [
            pd.DataFrame({"text_id": frame["text_id"], "measure": measure, "value": values, "unit": unit})
            for measure, unit, values in columns
        ],
        ignore_index=True,
    )
    scores["note"] = np.where(scores["value"].isna(), "not measured under this condition", None)
    return texts, scores


def write_run(
    folder: Path, table: pd.DataFrame, texts: pd.DataFrame, scores: pd.DataFrame, run: Mapping[str, Any]
) -> None:
    """Write the tables and run.json, each file whole; run.json last, so that it never names what is not there."""
    write_with(folder / "sweep.csv", lambda path: table.to_csv(path, index=False))
    if len(texts):
        write_with(folder / "generations.parquet", lambda path: texts.to_parquet(path, index=False))
        write_with(folder / "scores.parquet", lambda path: scores.to_parquet(path, index=False))
    write_json(folder / RUN_FILE, dict(run))


def read_run(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read a run's tables and run.json; `InputError` where the run is not finished or a file is missing or damaged."""
    folder = find_run(folder)
    try:
        run = json.loads(read_text(folder / RUN_FILE, "the run's description"))
        table = pd.read_csv(folder / "sweep.csv", dtype={"layer": "Int64", "control": "Int64"}, keep_default_na=True)
        names = [folder / name for name in ("generations.parquet", "scores.parquet")]
        texts, scores = (pd.read_parquet(name) if name.exists() else pd.DataFrame() for name in names)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: a file of the run is missing or damaged ({str(error).splitlines()[0][:120]}).") from None
    if run.get("status") != "finished":
        raise InputError(f"{folder}: the run was broken off; run `clens sweep` again with another --out.")
    return table, texts, scores, run
