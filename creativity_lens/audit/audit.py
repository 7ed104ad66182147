"""An audit: what alignment did to a model's diversity, as tables that are saved, loaded, drawn and reported."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from creativity_lens.audit.rows import table_of
from creativity_lens.errors import InputError
from creativity_lens.figures import draw_audit
from creativity_lens.files import plain, read_text, sha256_of, write_json, write_with
from creativity_lens.holding import owned_folder
from creativity_lens.html_tables import html_table, html_text, with_interval
from creativity_lens.runs import AUDIT_FILE, RUN_FILE

TEXTS_FILE = "audit.parquet"
KIND = "audit"
TEXTS = (
    "condition", "prompt_id", "prompt", "seed", "text", "tokens", "entropy", "surprisal", "repetition", "creativity",
    "coherent", "cluster", "x", "y",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Audit:
    """What was measured of two or more stages of a model: every number, every text, and one verdict."""

    table: pd.DataFrame  # audit.csv: one row per number
    texts: pd.DataFrame  # audit.parquet: one row per text
    meta: dict[str, Any]  # run.json

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        return str(self.meta["verdict"]["sentence"])

    @property
    def conditions(self) -> pd.DataFrame:
        """One row a condition, with the columns of `SUMMARY`."""
        lines = []
        for each in self.meta["conditions"]:
            found = {name: _first(self.table, each["name"], **at) for name, at in SUMMARY.items()}
            lines.append({"condition": each["name"], **{name: row.get("estimate") for name, row in found.items()}})
        return pd.DataFrame(lines)

    def figure(self, name: str = "spread") -> Any:
        """A plotly figure of the audit, by name; an unknown name is refused with all that there are.

        >>> audit.figure("entropy")            # doctest: +SKIP
        """
        return draw_audit(name, self.table, self.texts, self.meta)

    def save(self, folder: str | Path) -> None:
        """Write the two tables and run.json, each whole; the folder is made, or is this audit's own."""
        folder = owned_folder(folder, self.meta["created"])
        write_with(folder / AUDIT_FILE, lambda path: self.table.to_csv(path, index=False))
        write_with(folder / TEXTS_FILE, lambda path: self.texts.to_parquet(path, index=False))
        hashes = {name: sha256_of(folder / name) for name in (AUDIT_FILE, TEXTS_FILE)}
        write_json(folder / RUN_FILE, {**plain(self.meta), "files": hashes})

    @staticmethod
    def is_in(folder: str | Path) -> bool:
        """Whether a folder holds an audit (and not a sweep)."""
        return (Path(folder) / AUDIT_FILE).exists()

    @classmethod
    def load(cls, folder: str | Path) -> "Audit":
        """Read an audit back, equal to what was saved; `InputError` for what is none, broken off, or damaged."""
        folder = Path(folder)
        damaged = "damaged; run `clens audit` again"
        try:
            meta = json.loads(read_text(folder / RUN_FILE, "an audit's run.json, as `clens audit` writes"))
            if meta.get("kind") != KIND or "files" not in meta:
                raise InputError(f"{folder}: expected a finished audit, as `clens audit` writes; this is none.")
            hashes = meta.pop("files")
            for name in (AUDIT_FILE, TEXTS_FILE):
                if sha256_of(folder / name) != hashes[name]:
                    raise InputError(f"{folder / name}: {damaged}.")
            table = table_of(
                pd.read_csv(folder / AUDIT_FILE, dtype=object, keep_default_na=False, encoding="utf-8").to_dict(
                    "records"
                )
            )
            texts = pd.read_parquet(folder / TEXTS_FILE)
            if not set(TEXTS) <= set(texts) or "sentence" not in meta["verdict"]:
                raise InputError(f"{folder / TEXTS_FILE}: {damaged}.")
        except InputError:
            raise
        except Exception as error:  # whatever a parser may raise
            raise InputError(f"{folder}: {damaged} ({type(error).__name__}).") from None
        return cls(table, texts, meta)

    def __repr__(self) -> str:
        return f"Audit({' -> '.join(self.meta['stages'])}: {self.sentence})"

    def _repr_html_(self) -> str:
        said = "\n".join([self.sentence, *self.meta["verdict"]["detail"]])
        shown = html_text(f"The price of alignment: {self.meta['verdict']['outcome']}", said)
        return shown + html_table(
            "Condition by condition", ["condition", *SUMMARY], summary_cells(self.table, self.meta), NOTE
        )


# What a condition's line shows: a column, and where its number stands in the table.
SUMMARY: dict[str, dict[str, str]] = {
    "spread": {"part": "frontier", "measure": "semantic spread"},
    "across prompts": {"part": "diversity", "measure": "semantic spread", "scope": "across", "twin": "all"},
    "coherent only": {"part": "diversity", "measure": "semantic spread", "scope": "within", "twin": "coherent"},
    "EAD": {"part": "diversity", "measure": "EAD", "scope": "within", "twin": "all"},
    "entropy": {"part": "entropy", "measure": "free entropy"},
    "surprisal": {"part": "frontier", "measure": "surprisal"},
    "repetition": {"part": "frontier", "measure": "repetition"},
    "fidelity": {"part": "frontier", "measure": "fidelity"},
    "creativity": {"part": "frontier", "measure": "creativity"},
}
NOTE = (
    "Spread: 1 - mean cosine of two texts; the one within prompts is primary, all else is descriptive. EAD: share of "
    "new words. Entropy of the next token in nats, by the model as it wrote. Surprisal in nats per token, read by the "
    "first condition. Fidelity: cosine with the text's own prompt less that with others. Creativity in gaps."
)


def summary_cells(table: pd.DataFrame, meta: dict[str, Any]) -> list[list[str]]:
    """One line a condition: its name and the numbers of `SUMMARY` as text, the spread with its interval."""
    lines = []
    for each in meta["conditions"]:
        cells = [each["name"]]
        for name, at in SUMMARY.items():
            row = _first(table, each["name"], **at)
            ends = (row.get("low"), row.get("high")) if name == "spread" else (None, None)
            cells.append(with_interval(row.get("estimate"), *ends) if row else "")
        lines.append(cells)
    return lines


def _first(table: pd.DataFrame, condition: str, **at: str) -> dict[str, Any]:
    """The row of a condition's number, empty where it was not measured."""
    chosen = (table["condition"] == condition) & table["position"].isna()
    for column, value in at.items():
        chosen &= table[column] == value
    rows = table[chosen].to_dict("records")
    return {str(key): value for key, value in rows[0].items()} if rows else {}
