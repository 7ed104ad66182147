"""LAMP: paragraphs by three models, before and after a professional writer's edit, with that writer's score of each.

Chakrabarty et al. 2024, "Can AI writing be salvaged?". Read as a table (`lamp_edits.csv`: id, source, instruction,
preedit, postedit, score_pre, score_post) or as published (a JSON list with `creativity_scores`, before and after). The
editor scored the own edit, so that "after" is higher in nearly every pair.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.errors import InputError
from creativity_lens.ratings.foreign import expect_files, number, on_scale, read_columns_of, read_objects, string
from creativity_lens.ratings.table import Ratings

TABLE = "lamp_edits.csv"
PUBLISHED = ("AI_Pred_AI_edited.json", "LAMP.json")  # 202 of the paragraphs; all of them
CRITERION, PANEL, RATER, SCALE = "quality", "writer", "editor", "1-10"
_FIELDS = ("id", "source", "instruction", "preedit", "postedit")
_WHAT = "paragraphs of LAMP with two scores each"


def read(folder: str | Path) -> Ratings:
    """Two items per paragraph, "ID:before" and "ID:after"; the group is the paragraph, the author the model.

    An id that stands on several paragraphs is numbered from the second on ("ID#2"). Raises `InputError` for a missing
    file, column or field, and scores that are no number from 1 to 10.

    >>> read("lamp").items["item"][:2].tolist()                  # doctest: +SKIP
    ['gene_batch1_19:before', 'gene_batch1_19:after']
    """
    folder = Path(folder)
    published = next((folder / name for name in PUBLISHED if (folder / name).is_file()), None)
    if (folder / TABLE).is_file() or published is None:
        (path,) = expect_files(folder, [TABLE], f"LAMP (or {' or '.join(PUBLISHED)})")
        found = _of_table(path)
    else:
        found = _of_list(published)
    seen: Counter[str] = Counter()
    rows = []
    for where, paragraph, scores in found:
        texts = {field: string(where, field, paragraph[field]) for field in _FIELDS}
        seen[texts["id"]] += 1
        group = texts["id"] + (f"#{seen[texts['id']]}" if seen[texts["id"]] > 1 else "")
        about = {"prompt": texts["instruction"], "group": group, "author": texts["source"]}
        for when, text, score in zip(("before", "after"), (texts["preedit"], texts["postedit"]), scores, strict=True):
            rows.append(about | {"item": f"{group}:{when}", "text": text, "value": on_scale(where, score, SCALE)})
    frame = pd.DataFrame(rows).assign(rater=RATER, panel=PANEL, criterion=CRITERION, scale=SCALE)
    return Ratings.of(frame, "lamp", group_name="paragraph")


_Paragraphs = Iterator[tuple[str, dict[str, Any], tuple[float, float]]]  # where it stands, its fields, its scores


def _of_table(path: Path) -> _Paragraphs:
    for line, row in read_columns_of(path, _WHAT, (*_FIELDS, "score_pre", "score_post")):
        where = f"{path}:{line}"
        pre, post = (number(f"{where}: '{column}'", row[column]) for column in ("score_pre", "score_post"))
        yield where, row, (pre, post)


def _of_list(path: Path) -> _Paragraphs:
    for place, paragraph in enumerate(read_objects(path, _WHAT, (*_FIELDS, "creativity_scores")), start=1):
        where = f"{path}: entry {place}"
        scores = paragraph["creativity_scores"]
        if not isinstance(scores, list) or len(scores) != 2:
            raise InputError(f"{where}: 'creativity_scores': expected two, before and after the edit.")
        pre, post = (number(f"{where}: 'creativity_scores'", score) for score in scores)
        yield where, paragraph, (pre, post)
