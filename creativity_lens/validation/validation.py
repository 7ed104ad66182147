"""A validation: how well a direction agrees with people on rated sets, as tables that are saved, loaded and drawn."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.errors import InputError
from creativity_lens.figures import draw_ratings, rating_overview
from creativity_lens.figures.rating_rows import rating_rows
from creativity_lens.files import read_text, sha256_of, write_json, write_with
from creativity_lens.html_tables import html_table, html_text, with_interval
from creativity_lens.validation.measuring import TABLE

TABLE_FILE, TEXTS_FILE, META_FILE = "ratings.csv", "ratings.parquet", "ratings.json"
TEXTS = (
    "set", "item", "group", "author", "panel", "criterion", "rating", "n_ratings", "score", "percentile", "length",
    "surprisal",
)  # fmt: skip
OVERVIEW = "overview"
_LABELS = ("set", "criterion", "panel", "level", "scorer", "measure", "note")
_DAMAGED = "damaged; run `clens ratings validate` again"


@dataclass(frozen=True, eq=False)
class Validation:
    """How well a direction agrees with people: every number, every rated text's score, and one verdict per set."""

    table: pd.DataFrame  # ratings.csv: one row per number
    texts: pd.DataFrame  # ratings.parquet: one row per rated text, panel and criterion; no text itself
    meta: dict[str, Any]  # ratings.json

    @property
    def sets(self) -> list[str]:
        """Names of the rated sets."""
        return list(self.meta["sets"])

    @property
    def sentences(self) -> dict[str, str]:
        """The verdict of each set in one sentence."""
        return {name: str(found["verdict"]["sentence"]) for name, found in self.meta["sets"].items()}

    def figure(self, name: str = "depth", rated: str | None = None) -> Any:
        """A plotly figure of one rated set (the first): depth, pairs, scatter, calibration, criteria; or "overview".

        >>> validation.figure("scatter", "ttcw")            # doctest: +SKIP
        """
        if name == OVERVIEW:
            return rating_overview(self.table, self.meta)
        return draw_ratings(name, self.table, self.texts, self.meta, self.sets[0] if rated is None else rated)

    def save(self, folder: str | Path) -> None:
        """Write the three files into a run's folder, each whole; sets that an earlier validation left there are kept.

        They are not kept where it was of another model or layer, or is damaged.
        """
        folder, whole = Path(folder), self
        if Validation.is_in(folder):
            with suppress(InputError):
                whole = self.beside(Validation.load(folder))
        write_with(folder / TABLE_FILE, lambda path: whole.table.to_csv(path, index=False))
        write_with(folder / TEXTS_FILE, lambda path: whole.texts.to_parquet(path, index=False))
        hashes = {name: sha256_of(folder / name) for name in (TABLE_FILE, TEXTS_FILE)}
        write_json(folder / META_FILE, {**whole.meta, "files": hashes})

    def beside(self, older: "Validation") -> "Validation":
        """This validation, with the sets of an older one that it does not hold itself."""
        if any(self.meta[key] != older.meta[key] for key in ("model", "primary_layer")):
            return self
        kept = {name: found for name, found in older.meta["sets"].items() if name not in self.meta["sets"]}
        table, texts = (
            pd.concat([old[old["set"].isin(list(kept))], new], ignore_index=True)
            for old, new in ((older.table, self.table), (older.texts, self.texts))
        )
        return Validation(table, texts, self.meta | {"sets": kept | self.meta["sets"]})

    @staticmethod
    def is_in(folder: str | Path) -> bool:
        """Whether a run was validated."""
        return (Path(folder) / META_FILE).exists()

    @classmethod
    def load(cls, folder: str | Path) -> "Validation":
        """Read a validation back from a run's folder; `InputError` for a missing or damaged file."""
        folder = Path(folder)
        try:
            meta = json.loads(read_text(folder / META_FILE, "a validation against ratings"))
            hashes = meta.pop("files")
            for name in (TABLE_FILE, TEXTS_FILE):
                if sha256_of(folder / name) != hashes[name]:
                    raise InputError(f"{folder / name}: {_DAMAGED}.")
            table = table_of(pd.read_csv(folder / TABLE_FILE, dtype=object, keep_default_na=False, encoding="utf-8"))
            texts = pd.read_parquet(folder / TEXTS_FILE)
            sound = set(TEXTS) <= set(texts) and all("verdict" in found for found in meta["sets"].values())
        except InputError:
            raise
        except Exception as error:  # whatever a parser may raise
            raise InputError(f"{folder / META_FILE}: {_DAMAGED} ({type(error).__name__}).") from None
        if not sound:
            raise InputError(f"{folder / META_FILE}: {_DAMAGED}.")
        return cls(table, texts, meta)

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{name}: {found['verdict']['outcome']}" for name, found in self.meta["sets"].items())
        return f"Validation({self.meta['model']['name']}; {verdicts})"

    def _repr_html_(self) -> str:
        shown = ""
        for name, sentence in self.sentences.items():
            found = self.meta["sets"][name]
            rows = [
                [
                    f"{row['criterion']}{' (primary)' if row['primary'] else ''}", row["panel"], row["compared"],
                    with_interval(row["rho"], row["low"], row["high"], sign="+"), f"{row['n']:.0f}",
                    f"{row['detectable']:.2f}", with_interval(row["partial"], sign="+"),
                    with_interval(row["ceiling"]),
                ]
                for row in rating_rows(self.table, self.meta, name)
            ]  # fmt: skip
            headings = [
                "criterion",
                "panel",
                "compared",
                "rho (95 % interval)",
                "texts",
                "detectable",
                "partial",
                "ceiling",
            ]
            note = "Partial: with length and surprisal held fixed. Ceiling: what the raters' own agreement allows."
            shown += html_text(f"{found['title']}: {found['verdict']['outcome']}", sentence)
            shown += html_table(f"Layer {self.meta['primary_layer']} against people: {name}", headings, rows, note)
        return shown


def table_of(rows: Any) -> pd.DataFrame:
    """The long table with its columns in order: labels as text ("" where none), numbers as floats (NaN where none)."""
    frame = pd.DataFrame(rows).reindex(columns=list(TABLE))
    for name in TABLE:
        if name in _LABELS:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "").astype("str")
        else:
            frame[name] = pd.to_numeric(frame[name].replace("", None), errors="coerce").astype(float)
    return frame
