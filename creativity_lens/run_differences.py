"""Which numbers differ between two runs, and by how many standard errors; which texts are equal. Pure arithmetic.

The standard error of a difference is found in one of two ways, and each row says which.

*paired*: both runs asked the same prompts, and the texts' own values are at hand. The error is that of the mean over
prompts of (B - A), so that what the runs share (hard prompts, the same luck) cancels. It stands only where these means
are the numbers in the table.

*intervals*: from each run's 95 % interval, the side that faces the other run over the t quantile of n - 1 degrees of
freedom; the two squares are added, as for independent runs (MOVER: Zou and Donner, Statistics in Medicine 27, 2008).
For symmetric intervals this is (high - low) / (2 t). Where a share's interval was cut off at 0 or 1, its other side
stands in if that is longer. Runs that share prompts, pairs or luck mostly move together, so that this error is too
large and the count of standard errors too small: conservative. It is too small only where two runs' errors go against
each other, as when one direction is pushed the one way in A and the other way in B.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import stats

from creativity_lens.statistics import FEWEST, LEVEL

SWEEP_KEY = (
    "concept", "stage", "condition", "layer", "strength", "method", "temperature", "control", "group", "measure",
)  # fmt: skip
AUDIT_KEY = ("part", "measure", "scope", "twin", "condition", "against", "position")
SWEEP_TEXT = ("concept", "stage", "condition", "layer", "strength", "method", "temperature", "control")
AUDIT_TEXT = ("condition",)
NUMBERS = ("estimate", "low", "high", "n")
PAIRED, INTERVALS = "paired", "intervals"
FAR = 1.96
ROUNDING = 1e-4  # of a run's own error: what moves by less has not moved, however sure that it did


@dataclass(frozen=True, eq=False)
class Moved:
    """The rows that both runs measured, those that moved most first, and how many stand in one run alone."""

    rows: pd.DataFrame  # the key, unit, a, b, difference (b - a), error, errors (difference / error), df, basis
    only_a: int
    only_b: int

    @property
    def far(self) -> int:
        """Rows more than 1.96 standard errors apart."""
        return int((self.rows["errors"].abs() > FAR).sum())

    @property
    def chance(self) -> float:
        """How many would be, had nothing moved in independent runs: 5 % of those that vary, more of few prompts."""
        return float(2 * stats.t.sf(FAR, self.rows["df"].dropna()).sum())

    @property
    def moved(self) -> int:
        """Rows that moved by more than rounding."""
        return int((self.rows["errors"] != 0).sum())

    @property
    def judged(self) -> int:
        """Rows with a standard error."""
        return int(self.rows["error"].notna().sum())


def moved_rows(
    a: pd.DataFrame, b: pd.DataFrame, *, key: Sequence[str] = SWEEP_KEY, by_prompt: pd.DataFrame | None = None
) -> Moved:
    """Two tables row by row: the difference B - A of every number, and by how many standard errors.

    Rows match where all of `key` and the unit do; numbers of the key are compared to six digits, since a strength may
    come out of a measured norm. A number that one run could not measure stands in the other alone. Rows without an
    interval have no error: NaN, and last. What differs by less than a ten-thousandth of the intervals' error, or where
    there is none in the seventh digit, has not moved: 0 errors. `by_prompt` is what `paired_errors` gives.

    >>> moved_rows(first.table, second.table).rows.head()           # doctest: +SKIP
    """
    (one, two), names = (_keyed(frame, key) for frame in (a, b)), ["_key", "_again"]
    both = one.merge(two[[*names, *NUMBERS]], on=names, suffixes=("_a", "_b"))
    low, high, n = (both[[f"{name}_a", f"{name}_b"]].to_numpy(float).T for name in ("low", "high", "n"))
    values = both[["estimate_a", "estimate_b"]].to_numpy(float).T
    share = (both["unit"] == "share").to_numpy()
    sides, difference = facing_errors(values, low, high, n, share=share), values[1] - values[0]
    error, df, basis = np.sqrt((sides**2).sum(axis=0)), _welch(sides, n), np.full(len(both), INTERVALS, object)
    still = np.abs(difference) <= np.where(error > 0, ROUNDING * error, 1e-6 * np.abs(values).max(axis=0, initial=0))
    if by_prompt is not None and len(by_prompt):
        found, own = _paired(both, values, n, by_prompt, key)
        error, df = np.where(own, found["error"], error), np.where(own, found["n"] - 1, df)
        basis = np.where(own, PAIRED, basis)
    errors = np.where(still, 0.0, errors_apart(values, error))
    rows = both[[*key, "unit"]].assign(
        a=values[0], b=values[1], difference=difference, error=error, errors=errors,
        df=np.where((error > 0) & ~still, df, np.nan), basis=np.where(np.isfinite(error), basis, ""),
    )  # fmt: skip
    unknown = np.isnan(errors)
    order = np.lexsort((-np.abs(difference), -np.where(unknown, 0, np.abs(errors)), unknown))
    return Moved(rows.iloc[order].reset_index(drop=True), len(one) - len(both), len(two) - len(both))


def facing_errors(
    values: Float[np.ndarray, "2 row"],
    low: Float[np.ndarray, "2 row"],
    high: Float[np.ndarray, "2 row"],
    n: Float[np.ndarray, "2 row"],
    *,
    share: Bool[np.ndarray, " row"] | None = None,
) -> Float[np.ndarray, "2 row"]:
    """Each run's standard error, from its 95 % interval's side that faces the other run; NaN without one.

    `n` counts clusters; `share` says which rows are shares, whose intervals end at 0 and 1 at the latest. The error of
    the difference is the root of the sum of both squares.

    >>> facing_errors(np.array([[0.0], [1.0]]), low, high, np.full((2, 1), 32.0))  # ends 0.5 away: 0.2452 twice
    """  # fmt: skip
    up = values[1] >= values[0]
    below, above = values - low, high - values
    facing = np.where([up, ~up], above, below)  # A's upper side and B's lower one, where B is the larger
    away = np.where([up, ~up], below, above)
    end = np.where([up, ~up], high, low)
    cut = (share if share is not None else np.zeros(values.shape[1], bool)) & ((end <= 0) | (end >= 1))
    side = np.maximum(np.where(cut, np.maximum(facing, away), facing), 0)
    return side / stats.t.ppf((1 + LEVEL) / 2, np.where(n > 1, n - 1, np.nan))


def errors_apart(values: Float[np.ndarray, "2 row"], error: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """By how many standard errors B lies above A: 0 for equal numbers, infinite where others have an error of 0."""
    difference = values[1] - values[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / error)


def texts_by_prompt(texts: pd.DataFrame, prompts: Mapping[str, str], main: str) -> pd.DataFrame:
    """A sweep's gain, leak, surprisal and repetition prompt by prompt, long: `SWEEP_TEXT`, measure, prompt, value.

    `prompts` gives a prompt's text by its id, so that prompts are known by what they say; `main` is the concept whose
    score the texts carry, and which alone has gains and leaks here. Gain is the mean score of a condition's texts less
    that of the prompt's unsteered texts; leak the same of the score with hooks on, less the gain.
    """
    read = ["score", "hooked_score", "surprisal", "repetition"]
    if not {*read, *SWEEP_TEXT} <= set(texts):
        return pd.DataFrame(columns=[*SWEEP_TEXT, "measure", "prompt", "value"])
    at = [*SWEEP_TEXT, "prompt"]
    named = texts.assign(prompt=_prompts(texts, prompts))
    means = named.groupby(at, dropna=False, sort=False)[read].mean().reset_index()
    plain = means[means["condition"] == "unsteered"].set_index(["stage", "prompt"])
    base = plain[~plain.index.duplicated()].reindex(pd.MultiIndex.from_frame(means[["stage", "prompt"]]))
    own = (means["concept"] == main).to_numpy()
    gain = np.where(own, means["score"] - base["score"].to_numpy(), np.nan)
    leak = np.where(own, means["hooked_score"] - base["hooked_score"].to_numpy(), np.nan) - gain
    means = means.assign(gain=gain, leak=leak).drop(columns=["score", "hooked_score"])
    return means.melt(id_vars=at, var_name="measure", value_name="value").dropna(subset="value")


def paired_errors(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Standard error over prompts of the mean of B - A, for what `texts_by_prompt` gives of two runs.

    One row a condition and measure: the means of both over the prompts they share, how many those are, and the error.
    Fewer than 8 prompts give none.
    """
    at = [*SWEEP_TEXT, "measure"]
    one, two = (frame.assign(_key=_keys(frame, at)) for frame in (a, b))
    both = one.merge(two[["_key", "prompt", "value"]], on=["_key", "prompt"], suffixes=("_a", "_b"))
    both["difference"] = both["value_b"] - both["value_a"]
    found = both.groupby("_key", sort=False).agg(
        a=("value_a", "mean"), b=("value_b", "mean"), n=("difference", "count"), error=("difference", "sem"),
    )  # fmt: skip
    return found[found["n"] >= FEWEST].reset_index()


def equal_texts(
    a: pd.DataFrame,
    b: pd.DataFrame,
    prompts: tuple[Mapping[str, str], Mapping[str, str]],
    *,
    key: Sequence[str] = SWEEP_TEXT,
) -> pd.DataFrame:
    """How many of the texts that both runs wrote are equal: by stage where there are stages, else by condition.

    Two texts belong together when prompt (what it says, not its id), seed and condition are the same. Columns: the
    stage or condition, `both`, `equal`, `share`.
    """
    by = "stage" if "stage" in key else "condition"
    if not len(a) or not len(b):
        return pd.DataFrame(columns=[by, "both", "equal", "share"])
    keyed = []
    for frame, said in zip((a, b), prompts, strict=True):
        named = frame.assign(prompt=_prompts(frame, said))
        own = pd.DataFrame({"key": _keys(named, [*key, "prompt", "seed"]), by: frame[by], "text": frame["text"]})
        keyed.append(own.assign(again=own.groupby("key").cumcount()))
    both = keyed[0].merge(keyed[1][["key", "again", "text"]], on=["key", "again"], suffixes=("_a", "_b"))
    both["same"] = both["text_a"] == both["text_b"]
    found = both.groupby(by, sort=False)["same"].agg(both="count", equal="sum").reset_index()
    return found.assign(share=found["equal"] / found["both"])


def verdicts(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What two runs concluded, side by side: `what`, `a`, `b`, and for numbers `errors`, those that they lie apart.

    Outcome, chosen cell and every part of the verdict, whatever cell was chosen. A part's p-value has no error.
    """
    rows: list[dict[str, Any]] = [{"what": "outcome", **_both(a, b, "verdict", "outcome")}]
    for name in ("layer", "strength", "method"):
        rows.append({"what": f"chosen {name}", **_both(a, b, "choice", name)})
    rows.append({"what": "positive control", **_both(a, b, "positive_control", "outcome")})
    parts = [{part.get("key"): part for part in _parts(run)} for run in (a, b)]
    for key in dict.fromkeys([*parts[0], *parts[1]]):
        one, two = (found.get(key, {}) for found in parts)
        rows.append({
            "what": str(key), "a": one.get("estimate"), "b": two.get("estimate"), "errors": _part_apart(one, two),
        })  # fmt: skip
    return [row for row in rows if row["a"] is not None or row["b"] is not None]


def _part_apart(one: Mapping[str, Any], two: Mapping[str, Any]) -> float | None:
    cells = [[np.nan if part.get(name) is None else float(part[name]) for part in (one, two)] for name in NUMBERS]
    values, low, high, n = (np.array(cell)[:, None] for cell in cells)
    share = np.array([one.get("unit") == "share"])
    error = np.sqrt((facing_errors(values, low, high, n, share=share) ** 2).sum(axis=0))
    apart = float(errors_apart(values, error)[0])
    return None if np.isnan(apart) else apart


def _both(a: Mapping[str, Any], b: Mapping[str, Any], part: str, name: str) -> dict[str, Any]:
    values = (found.get(name) if isinstance(found := run.get(part), Mapping) else None for run in (a, b))
    return dict(zip(("a", "b"), values, strict=True))


def _parts(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    verdict = run.get("verdict")
    parts = verdict.get("parts") if isinstance(verdict, Mapping) else None
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def _welch(sides: Float[np.ndarray, "2 row"], n: Float[np.ndarray, "2 row"]) -> Float[np.ndarray, " row"]:
    """Degrees of freedom of a difference of two means: Welch and Satterthwaite."""
    squares = sides**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return squares.sum(axis=0) ** 2 / (squares**2 / (n - 1)).sum(axis=0)


def _paired(
    both: pd.DataFrame,
    values: Float[np.ndarray, "2 row"],
    n: Float[np.ndarray, "2 row"],
    by_prompt: pd.DataFrame,
    key: Sequence[str],
) -> tuple[pd.DataFrame, Bool[np.ndarray, " row"]]:
    """What prompts give for every row, and where their means are the table's own numbers in both runs."""
    found = by_prompt.set_index("_key").reindex(_keys(both, [name for name in key if name != "group"]))
    found = found.reset_index(drop=True)
    own = np.isclose(found[["a", "b"]].to_numpy(float).T, values, rtol=1e-9, atol=1e-9).all(axis=0)
    own &= (found["n"].to_numpy(float) == n).all(axis=0) & both["group"].isna().to_numpy()
    return found, own


def _keyed(frame: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """The measured rows with `_key`, what they match by, and `_again`, which of those with that key they are."""
    kept = frame[frame["estimate"].notna()].copy()
    kept["_key"] = _keys(kept, [*key, "unit"])
    kept["_again"] = kept.groupby("_key").cumcount()
    return kept


def _keys(frame: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """One text per row that is equal where all of these columns are; lengths keep neighbours apart."""
    blank = pd.Series(None, index=frame.index, dtype=object)
    parts = [_as_texts(frame.get(name, blank)) for name in names]
    return pd.Series(["\0".join(row) for row in zip(*parts, strict=True)], index=frame.index, dtype=object)


def _as_texts(column: pd.Series) -> list[str]:
    """Each value as a text with its length before it; numbers to six digits, "" for what is missing."""
    codes, values = pd.factorize(column)
    said = [f"{value:.6g}" if isinstance(value, Real) else f"'{value}" for value in values]
    said = [f"{len(text)}:{text}" for text in [*said, ""]]  # the last one stands for code -1, which is what is missing
    return [said[code] for code in codes]


def _prompts(frame: pd.DataFrame, said: Mapping[str, str]) -> pd.Series:
    return frame["prompt_id"].map(lambda name: said.get(name, name)).astype(object)
