"""Answers to the alternate uses test with mean originality, as ocsai published them: a test and a validation split.

Organisciak et al. 2023, "Beyond semantic distance". Each row asks for a use of an object ("AUT Prompt:brick") and
carries ten times the mean rating. Only means are published, so raters cannot be compared; answers about different
objects were not rated against each other, so they are compared within their object.
"""

import math
import re
from pathlib import Path

import pandas as pd

from creativity_lens.errors import InputError
from creativity_lens.ratings.foreign import expect_files, number, string
from creativity_lens.ratings.table import Ratings
from creativity_lens.rows import parse_row, read_lines

SPLITS = {"test": "finetune-gt_main2_prepared_test.jsonl", "validation": "finetune-gt_main2_prepared_val.jsonl"}
PANEL, SCALE = "raters", "1-5"
_ASKED = re.compile(r"AUT Prompt:(?P<object>[^\n]+)\nResponse:(?P<answer>.*)\nScore:\n?", re.DOTALL)


def read(folder: str | Path) -> Ratings:
    """Every answer of both splits, named by split and line ("test 12"); the group is the object that was asked about.

    Raises `InputError` for a missing file, a row of another form, and a completion that is not between 10 and 50.

    >>> read("ocsai").items["group"].nunique()                   # doctest: +SKIP
    21
    """
    paths = expect_files(Path(folder), list(SPLITS.values()), "ocsai's answers")
    rows = []
    for split, path in zip(SPLITS, paths, strict=True):
        for line, text in read_lines(path, "answers, one object a line"):
            where = f"{path}:{line}"
            row = parse_row(where, text)
            for field in ("prompt", "completion"):
                if field not in row:
                    raise InputError(f"{where}: no '{field}'; expected rows with 'prompt' and 'completion'.")
            asked = _ASKED.fullmatch(string(where, "prompt", row["prompt"]))
            if asked is None:
                raise InputError(
                    f"{where}: 'prompt': expected 'AUT Prompt:...', 'Response:...', 'Score:' on a line each."
                )
            value = number(f"{where}: 'completion'", row["completion"]) / 10
            if not 1 <= value <= 5:
                raise InputError(f"{where}: 'completion': expected ten times a mean from 1 to 5, got {value * 10:g}.")
            answer, of = asked["answer"], asked["object"].strip()
            about = {"item": f"{split} {line}", "text": answer if answer.strip() else math.nan, "source": split}
            rows.append(about | {"prompt": of, "group": of, "value": value})
    frame = pd.DataFrame(rows).assign(criterion="originality", panel=PANEL, scale=SCALE)
    return Ratings.of(frame, "ocsai", group_name="object")
