"""Made-up validations in the schema of the real one: numbers shaped like real ones, and names written by an enemy."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from fake_sweep import HOSTILE
from scipy import stats

COLUMNS = re.findall(
    r"\w+", "set criterion panel level scorer layer measure estimate low high p n groups df detectable note"
)
CHEAP = ("length", "word length", "type-token ratio", "surprisal", "distance to prompt")
LAYERS, PRIMARY_LAYER = 8, 4
TTCW_TESTS = (
    *("narrative pacing", "scene vs exposition", "language proficiency", "narrative ending", "understandability"),
    *("character development", "rhetorical complexity"),
)


@dataclass(frozen=True)
class FakeValidation:
    """What the report reads of a validation."""

    table: pd.DataFrame
    texts: pd.DataFrame
    meta: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One set to be made up. `authors` is crossed with groups: every author writes in every group."""

    title: str
    texts: int
    groups: int
    group_name: str
    criteria: tuple[str, ...]
    panels: tuple[str, ...] = ("crowd",)
    levels: tuple[str, ...] = ("overall", "group")
    level: str = "group"
    authors: int = 0
    raters: int = 3  # 0: means only
    noise: float = 1.0  # of one rater
    agree: float = 0.3  # of the latent quality with the direction's score
    long: float = 0.4  # of the latent quality with length
    ends: tuple[int, int] = (1, 5)
    paired: bool = False
    outcome: str = "not enough evidence"
    sentence: str = "Not enough evidence that the score agrees with these ratings: the interval contains 0."
    notes: tuple[str, ...] = ()


PLANS = {
    "ttcw": Plan(
        title="TTCW: stories judged by experts",
        texts=36, groups=12, group_name="plot", criteria=("tests passed", *TTCW_TESTS), panels=("expert",),
        levels=("overall", "group", "author", "group and author"), level="author", authors=3, noise=3.0, agree=0.1,
        long=-0.5, ends=(0, 14),
        notes=("12 of 48 stories are known by address only and could not be scored.",),
    ),
    "hanna": Plan(
        title="HANNA: stories from prompts",
        texts=288, groups=96, group_name="prompt", levels=("overall", "group"),
        criteria=("surprise", "relevance", "coherence", "empathy", "engagement", "complexity"),
        noise=1.6, agree=0.25, long=0.7, outcome="no better than length",
        sentence="The score agrees with the ratings no better than length does: 0.16 against 0.31 within prompt.",
    ),
    "ocsai": Plan(
        title="ocsai: alternate uses of objects",
        texts=4040, groups=27, group_name="object", criteria=("originality",), panels=("raters",), levels=("group",),
        raters=0, agree=0.35, long=0.2, outcome="agrees",
        sentence="A higher score goes with higher ratings: rank correlation 0.25 within object (0.20 to 0.30).",
        notes=("Only means were published, so the raters’ agreement is not known.",),
    ),
    "lamp": Plan(
        title="LAMP: paragraphs before and after an edit",
        texts=404, groups=202, group_name="paragraph", criteria=("quality",), panels=("writer",),
        levels=("overall", "group"), raters=0, agree=-0.2, long=-0.5, ends=(1, 10), paired=True,
        outcome="points the wrong way",
        sentence="The score points the wrong way: it prefers the text that people preferred in 0.41 of 202 pairs.",
    ),
    "mine": Plan(
        title="A set of one’s own",
        texts=60, groups=15, group_name="prompt", criteria=("creativity", "quality"), panels=("expert", "lay"),
        agree=0.5, long=0.3, ends=(1, 7), noise=0.8, outcome="agrees",
        sentence="A higher score goes with higher ratings by experts, beyond length and surprisal.",
    ),
}  # fmt: skip


def fake_ratings(*names: str, seed: int = 0, hostile: bool = False, layers: int = LAYERS) -> FakeValidation:
    """Validations of the named `PLANS` (all of them by default); with `hostile`, every string is an enemy's."""
    kept = [(name, _one(name, seed + place, layers)) for place, name in enumerate(PLANS) if not names or name in names]
    table = pd.DataFrame([row for _, (rows, _, _) in kept for row in rows]).reindex(columns=COLUMNS)
    texts = pd.concat([texts for _, (_, texts, _) in kept], ignore_index=True)
    meta = {
        "format": 1,
        "created": "2025-01-01T12:00:00+00:00",
        "command": "clens ratings validate runs/first --ratings ttcw",
        "model": {"name": "pocket-chat", "id": "data/pocket/chat"},
        "layers": list(range(layers)),
        "primary_layer": min(PRIMARY_LAYER, layers - 1),
        "sides": ["creative", "boring"],
        "sets": {name: about for name, (_, _, about) in kept},
    }
    found = FakeValidation(table.astype({"layer": "Int64"}), texts, meta)
    return _spoiled(found) if hostile else found


@cache
def _one(name: str, seed: int, layers: int) -> tuple[list[dict[str, Any]], pd.DataFrame, dict[str, Any]]:
    plan, rng = PLANS[name], np.random.default_rng(seed)
    n = plan.texts
    group = np.array([str(place % plan.groups) for place in range(n)])
    author = np.array([f"author {place // plan.groups}" if plan.authors else "" for place in range(n)])
    length, surprisal = rng.normal(size=n), rng.normal(size=n)
    score = rng.normal(size=n) + 0.3 * length
    cheap = dict(zip(CHEAP, (length, *rng.normal(size=(2, n)), surprisal, rng.normal(size=n)), strict=True))
    by_author = 1.5 * np.array([place // plan.groups for place in range(n)]) if plan.authors else np.zeros(n)
    parts, frames, rows = [], [], []
    for criterion in plan.criteria:
        for panel in plan.panels:
            lean = plan.agree if panel == plan.panels[0] else 0.0
            quality = lean * score + plan.long * length + 0.5 * surprisal + by_author + rng.normal(size=n)
            single = quality[:, None] + plan.noise * rng.normal(size=(n, max(plan.raters, 1)))
            middle, reach = sum(plan.ends) / 2, (plan.ends[1] - plan.ends[0]) / 2
            spread = 2.2 * single.std()
            single = np.clip(np.round(middle + reach * (single - single.mean()) / spread), *plan.ends)
            parts.append((criterion, panel, single))
            frames.append(
                pd.DataFrame(
                    {"set": name, "item": [f"text {place}" for place in range(n)], "group": group}
                    | {"author": author if plan.authors else np.nan, "panel": panel, "criterion": criterion}
                    | {"rating": single.mean(1), "n_ratings": plan.raters or np.nan, "score": 0.4 * score - 0.7}
                    | {"percentile": 100 * stats.norm.cdf(score - 1), "length": np.round(120 + 30 * length)}
                    | {"surprisal": 3.4 + 0.5 * surprisal}
                )
            )
    levels = {"overall": np.zeros(n, str), "group": group, "author": author}
    levels["group and author"] = group  # near enough for a fake
    shift = rng.normal(size=(layers, n))
    for criterion, panel, single in parts:
        for level in plan.levels:
            place = {"set": name, "criterion": criterion, "panel": panel, "level": level}
            rows += _rows(place, single, score, cheap, shift, levels[level], plan)
        if plan.paired:
            rows += _pairs({"set": name, "criterion": criterion, "panel": panel, "level": "group"}, plan, layers)
    if len(plan.criteria) > 1 and n >= 100:
        means = {criterion: single.mean(1) for criterion, panel, single in parts if panel == plan.panels[0]}
        for one in means:
            for other in means:
                where = {"set": name, "criterion": other, "panel": plan.panels[0], "level": plan.level}
                found = _correlation(means[one], means[other], levels[plan.level])
                rows.append(where | {"scorer": f"criterion {one}", "measure": "rho"} | found)
    about = {
        "title": plan.title, "items": n + 12 if name == "ttcw" else n, "texts": n,
        "ratings": n * max(plan.raters, 1) * len(plan.criteria) * len(plan.panels),
        "raters": plan.raters * len(plan.panels) or "means only",
        "criteria": list(plan.criteria), "panels": list(plan.panels), "licence": "MIT",
        "source": f"someone/{name} @0123abc", "group_name": plan.group_name, "levels": list(plan.levels),
        "primary": {"criterion": plan.criteria[0], "panel": plan.panels[0], "level": plan.level},
        "fixed": True, "paired": plan.paired, "verdict": {"outcome": plan.outcome, "sentence": plan.sentence},
        "notes": list(plan.notes),
    }  # fmt: skip
    return rows, pd.concat(frames, ignore_index=True), about


def _rows(place: dict, single: np.ndarray, score: np.ndarray, cheap: dict, shift: np.ndarray, groups: Any, plan: Plan):
    rating, layers = single.mean(1), len(shift)
    best = min(PRIMARY_LAYER, layers - 1)
    rows = []
    for layer in range(layers):
        found = _correlation(score + 0.35 * abs(layer - best) * shift[layer], rating, groups)
        rows.append(place | {"scorer": "direction", "layer": layer, "measure": "rho"} | found)
    primary = rows[best]
    top = max(abs(row["estimate"]) for row in rows)
    rows.append(place | {"scorer": "direction", "measure": "p max", "estimate": top, "p": min(1.0, 3 * primary["p"])})
    held = primary | {"measure": "partial rho", "estimate": 0.6 * primary["estimate"], "df": primary["df"] - 2}
    held |= {end: primary[end] - 0.4 * primary["estimate"] for end in ("low", "high")}
    rows.append(held)
    for name, values in cheap.items():
        rows.append(place | {"scorer": name, "measure": "rho"} | _correlation(values, rating, groups))
    icc1, icck, low, high = _icc(single, groups)
    note = "" if low > 0 else f"no ceiling: the lower end of ICC(k) is {low:.2f}, not above 0"
    if single.shape[1] == 1:
        note = "no ceiling: single ratings are not published"
    raters = place | {"scorer": "raters", "n": len(rating)}
    ceiling = np.sqrt(icck) if low > 0 else np.nan
    rows += [
        raters | {"measure": "icc1", "estimate": icc1},
        raters | {"measure": "icck", "estimate": icck, "low": low, "high": high},
        raters | {"measure": "alpha", "estimate": 0.9 * icc1},
        raters | {"measure": "ceiling", "estimate": ceiling, "note": note},
        primary | {"measure": "share", "estimate": primary["estimate"] / ceiling, "low": np.nan, "high": np.nan},
    ]
    return rows


def _pairs(place: dict, plan: Plan, layers: int) -> list[dict[str, Any]]:
    n, rows = plan.texts // 2, []
    for scorer, right in (("direction", 0.41), *zip(CHEAP, (0.35, 0.3, 0.55, 0.62, 0.5), strict=True)):
        half = 1.96 * np.sqrt(right * (1 - right) / n)
        ends = {"low": right - half, "high": right + half, "n": n}
        layer = {"layer": min(PRIMARY_LAYER, layers - 1)} if scorer == "direction" else {}
        rows.append(place | {"scorer": scorer, "measure": "accuracy", "estimate": right} | ends | layer)
        if scorer != "direction":
            lead = 0.41 - max(right, 1 - right)
            beside = {"estimate": lead, "low": lead - 0.09, "high": lead + 0.09, "p": 0.004, "n": n}
            rows.append(place | {"scorer": scorer, "measure": "accuracy lead"} | beside)
    return rows


def _correlation(scores: np.ndarray, ratings: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    top, df, count = 0.0, 0, 0
    for group in dict.fromkeys(groups):
        here = groups == group
        if here.sum() < 2 or np.ptp(ratings[here]) == 0 or np.ptp(scores[here]) == 0:
            continue
        top += (here.sum() - 1) * stats.spearmanr(scores[here], ratings[here]).statistic
        df, count = df + int(here.sum()) - 1, count + 1
    rho = float(np.clip(top / df, -0.999, 0.999))
    z, wide = np.arctanh(rho), 1.96 / np.sqrt(df)
    ends = {"low": float(np.tanh(z - wide)), "high": float(np.tanh(z + wide))}
    p = float(np.clip(2 * stats.norm.sf(abs(z) * np.sqrt(df)), 0.0005, 1))
    shown = {"n": len(ratings), "groups": count, "df": df, "detectable": min(1.0, 2.80 / np.sqrt(df))}
    return {"estimate": rho} | ends | {"p": p} | shown


def _icc(single: np.ndarray, groups: np.ndarray) -> tuple[float, float, float, float]:
    n, k = single.shape
    if k < 2:
        return (np.nan,) * 4
    means = single.mean(1)
    inside = means - pd.Series(means).groupby(groups).transform("mean").to_numpy()
    df1, df2 = n - len(set(groups)), n * (k - 1)
    msb, msw = k * (inside**2).sum() / df1, ((single - means[:, None]) ** 2).sum() / df2
    f = msb / msw
    ends = f / stats.f.ppf([0.975, 0.025], df1, df2)
    return (msb - msw) / (msb + (k - 1) * msw), 1 - 1 / f, 1 - 1 / ends[0], 1 - 1 / ends[1]


def _spoiled(found: FakeValidation) -> FakeValidation:
    """Every string that a user, a rater or a set's author could have written, written by an enemy."""
    evil = {}

    def spoil(text: object) -> str:
        return evil.setdefault(str(text), f"{text} <i>{HOSTILE[len(evil) % len(HOSTILE)]}")

    table, texts = found.table.copy(), found.texts.copy()
    names = {f"criterion {name}": f"criterion {spoil(name)}" for name in table["criterion"].unique()}
    table["scorer"] = table["scorer"].replace(names)
    for column in ("set", "criterion", "panel", "note"):
        table[column] = [spoil(text) if isinstance(text, str) and text else text for text in table[column]]
    for column in ("set", "item", "group", "author", "panel", "criterion"):
        texts[column] = [spoil(text) if isinstance(text, str) else text for text in texts[column]]
    sets = {}
    for name, about in found.meta["sets"].items():
        primary = about["primary"] | {key: spoil(about["primary"][key]) for key in ("criterion", "panel")}
        verdict = {key: spoil(text) for key, text in about["verdict"].items()}
        said = {key: spoil(about[key]) for key in ("title", "licence", "source", "group_name")}
        lists = {key: [spoil(text) for text in about[key]] for key in ("criteria", "panels", "notes")}
        sets[spoil(name)] = about | said | lists | {"primary": primary, "verdict": verdict}
    return FakeValidation(table, texts, found.meta | {"sets": sets})
