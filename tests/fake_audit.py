"""Made-up audits in the schema of the real one: numbers shaped like real ones, and texts and names by an enemy."""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from fake_sweep import HOSTILE
from scipy import stats

COLUMNS = re.findall(r"\w+", "part measure scope twin condition against position estimate low high n unit note")
WORDS = re.findall(
    r"\w+", "a the old lamp keeper wrote on fog with salt and counted every door until rain came back slow over sea"
)
OPENING = "In a small village by the sea there lived an old keeper who counted every door until the rain came back"
K = (5, 10, 20)
ATTRIBUTES = {
    "name": ["Emily Chen", "Sarah Johnson", "Maria Rossi", "Tom", "Aiko", "Lena", "Omar", "Ada"],
    "age": ["32", "28", "35", "41", "19", "67", "50", "24"],
    "nationality": ["American", "British", "Canadian", "Nigerian", "Indian", "Brazilian", "Polish", "Korean"],
    "job": ["software engineer", "teacher", "nurse", "baker", "carpenter", "lawyer", "student", "farmer"],
}
# By measure: its unit, its value before alignment, after, and the spread between prompts; then across prompts.
DIVERSITY = {
    "semantic spread": ("1 - cosine", 0.56, 0.38, 0.06),
    "distinct-1": ("share", 0.42, 0.44, 0.03),
    "distinct-2": ("share", 0.81, 0.78, 0.04),
    "distinct-3": ("share", 0.94, 0.88, 0.03),
    "distinct-4": ("share", 0.97, 0.92, 0.02),
    "EAD": ("share of what chance would use", 0.23, 0.31, 0.03),
    "self-BLEU": ("BLEU", 8.0, 15.0, 3.0),
    "compression ratio": ("ratio", 1.9, 2.3, 0.1),
    "self-repetition": ("log(n + 1)", 0.6, 1.4, 0.3),
    "Vendi score": ("texts", 5.2, 3.4, 0.5),
    "clusters": ("clusters", 6.8, 3.9, 0.9),
    "cluster entropy": ("nats", 1.75, 1.05, 0.25),
    "largest cluster": ("share", 0.24, 0.52, 0.1),
    "nearest distance": ("1 - cosine", 0.36, 0.2, 0.05),
    "equivalence classes": ("classes", 6.0, 3.2, 0.8),
    "entropy": ("nats", 3.6, 2.4, 0.2),
    "surprisal": ("nats per token", 3.7, 2.6, 0.2),
}


@dataclass(frozen=True, eq=False)
class FakeAudit:
    """What the report reads of an audit."""

    table: pd.DataFrame
    texts: pd.DataFrame
    meta: dict[str, Any]

    def only(self, *parts: str) -> "FakeAudit":
        """The same audit with some parts of its table alone, and no texts: what is not drawn takes no time."""
        chosen = self.table["part"].isin(parts)
        return replace(self, table=self.table[chosen].reset_index(drop=True), texts=self.texts.head(0))

    def without(self, *parts: str) -> "FakeAudit":
        """The same audit with some parts of its table not measured."""
        return replace(self, table=self.table[~self.table["part"].isin(parts)].reset_index(drop=True))


def fake_audit(
    *,
    stages: tuple[str, ...] = ("base", "aligned"),
    prompts: int = 24,
    samples: int = 10,
    tokens: int = 24,
    steered: bool = False,
    temperatures: tuple[float, ...] = (),
    personas: bool = True,
    formats: tuple[str, ...] = ("plain", "template"),
    hostile: bool = False,
    seed: int = 0,
) -> FakeAudit:
    """An audit in which the last stage is narrower than the first; the same seed gives the same audit.

    With fewer than 8 prompts no number has an interval. With `hostile`, every text and name is an enemy's.
    """
    rng = np.random.default_rng(seed)
    conditions = _conditions(stages, formats, steered, temperatures)
    moved = {about["name"]: _moved(about, stages) for about in conditions}
    cells = [about["name"] for about in conditions if about["kind"] == "cell"]
    first, last = cells[0], cells[-1]
    rows: list[dict[str, Any]] = []
    values = {name: _diversity(rows, rng, name, moved[name], prompts) for name in moved}
    _entropy(rows, rng, cells, moved, prompts, tokens, values)
    _effects(rows, stages, formats, values, prompts)
    if len(stages) > 2:
        _steps(rows, stages, formats, values)
    _similarity(rows, rng, list(moved), moved, prompts)
    _clusters(rows, values)
    _attractors(rows, rng, stages, prompts)
    _stretches(rows, rng, moved, prompts)
    _personas(rows, (first, last), personas)
    _frontier(rows, rng, moved, values, prompts)
    _readers(rows, rng, moved, cells, prompts)
    _matched(rows, rng, [name for name in moved if name.endswith("steered")], last, prompts)
    _correlation(rows, rng, [*cells, *(name for name in moved if name.endswith("steered"))], prompts)
    texts = _texts(rng, moved, conditions, prompts, samples, tokens)
    names = {f"p{place:02d}": f"Write a story about {WORDS[place % len(WORDS)]}." for place in range(prompts)}
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    for column in ("part", "measure", "scope", "twin", "condition", "against", "unit", "note"):
        table[column] = table[column].fillna("")
    meta = _meta(stages, conditions, first, last, names, samples, tokens, personas, seed)
    meta["verdict"] = _verdict(table, first, last)
    found = FakeAudit(table, texts.assign(prompt=texts["prompt_id"].map(names)), meta)
    return _spoiled(found) if hostile else found


def _conditions(stages, formats, steered, temperatures) -> list[dict[str, Any]]:
    def about(name, stage, form, kind, temperature=1.0):
        return {"name": name, "stage": stage, "format": form, "kind": kind, "temperature": temperature}

    cells = [about(f"{stage} {form}", stage, form, "cell") for stage in stages for form in formats]
    last = cells[-1]["name"]
    ladder = [about(f"{last}, T {value:g}", stages[-1], formats[-1], "temperature", value) for value in temperatures]
    pushed = [about(f"{last}, steered", stages[-1], formats[-1], "steered")] if steered else []
    return cells + ladder + pushed


def _moved(about: dict[str, Any], stages: tuple[str, ...]) -> float:
    """How far a condition has gone from the first (0) to the last (1)."""
    stage = stages.index(about["stage"]) / (len(stages) - 1)
    far = 0.72 * stage**0.6 + (0.08 + 0.2 * stage) * (about["format"] == "template")
    if about["kind"] == "steered":
        far -= 0.25
    return far - 0.9 * (about["temperature"] - 1.0)


def _mean(values: np.ndarray) -> dict[str, Any]:
    """Mean over prompts with its t interval; none below 8 prompts."""
    n, mean = len(values), float(np.mean(values))
    if n < 8:
        return {"estimate": mean, "low": np.nan, "high": np.nan, "n": n}
    half = _t(n) * float(np.std(values, ddof=1)) / n**0.5
    return {"estimate": mean, "low": mean - half, "high": mean + half, "n": n}


@cache
def _t(n: int) -> float:
    return float(stats.t.ppf(0.975, n - 1))


def _diversity(rows, rng, name, far, prompts) -> dict[str, np.ndarray]:
    found = {}
    for measure, (unit, before, after, wide) in DIVERSITY.items():
        common = np.random.default_rng(sum(map(ord, measure))).normal(size=prompts)
        middle = before + far * (after - before)
        values = middle + wide * (0.7 * common + 0.5 * rng.normal(size=prompts))
        found[measure] = values
        primary = measure == "semantic spread"
        for twin, shift in (("all", 0.0), ("coherent", -0.03)):
            place = {"part": "diversity", "measure": measure, "twin": twin, "condition": name, "unit": unit}
            rows.append(
                place
                | {"scope": "within", "note": "primary" if primary and twin == "all" else ""}
                | _mean(values * (1 + shift))
            )
            across = 0.9 - 0.06 * far if primary else middle * (1.05 - 0.1 * far)
            rows.append(
                place
                | {
                    "scope": "across",
                    "estimate": across * (1 + shift),
                    "n": prompts,
                    "low": across * (1 + shift) - 0.3 * wide,
                    "high": across * (1 + shift) + 0.3 * wide,
                }
            )
    return found  # fmt: skip


def _entropy(rows, rng, cells, moved, prompts, tokens, per_prompt) -> None:
    for measure, before, after in (
        ("free entropy", 3.7, 2.2), ("forced entropy", 3.8, 3.1), ("free truncated entropy", 2.9, 1.7),
        ("free top-k entropy", 2.7, 1.6),
    ):  # fmt: skip
        for name in cells:
            positions = np.arange(tokens)
            level = before + moved[name] * (after - before) - 0.9 * moved[name] * np.exp(-positions / 4)
            values = level + 0.35 * rng.normal(size=(prompts, 1)) + 0.5 * rng.normal(size=(prompts, tokens))
            place = {"part": "entropy", "measure": measure, "condition": name, "unit": "nats"}
            rows += [place | {"position": at} | _mean(values[:, at]) for at in positions]
            rows.append(place | _mean(values.mean(1)))
            per_prompt[name][measure] = values.mean(1)


def _effects(rows, stages, formats, values, prompts) -> None:
    first, last = stages[0], stages[-1]
    for measure in ("semantic spread", "free entropy", "forced entropy", "EAD", "surprisal"):
        place = {"part": "effects", "measure": measure, "unit": DIVERSITY.get(measure, ("nats",))[0]}
        cell = {(s, f): values[f"{s} {f}"][measure] for s in (first, last) for f in formats}
        if len(formats) == 1:
            rows.append(place | {"condition": "total"} | _mean(cell[last, "plain"] - cell[first, "plain"]))
            continue
        plain, template = (cell[last, form] - cell[first, form] for form in ("plain", "template"))
        base, aligned = (cell[stage, "template"] - cell[stage, "plain"] for stage in (first, last))
        total = cell[last, "template"] - cell[first, "plain"]
        parts = {
            "total": total, "weights": (plain + template) / 2, "template": (base + aligned) / 2,
            "weights, plain": plain, "weights, template": template, "template, base": base,
            "template, aligned": aligned, "interaction": template - plain,
        }  # fmt: skip
        rows += [place | {"condition": name} | _mean(part) for name, part in parts.items()]
        whole = _mean(total)
        for name, part in (("template share", parts["template"]), ("weights share", parts["weights"])):
            row = place | {"condition": name, "unit": "share of the total", "n": prompts}
            if not whole["low"] * whole["high"] > 0:
                rows.append(row | {"note": "the interval of the total contains 0"})
                continue
            share = part.mean() / total.mean()
            wide = 2 * np.std(part - share * total, ddof=1) / np.sqrt(prompts) / abs(total.mean())
            rows.append(row | {"estimate": share, "low": share - wide, "high": share + wide})


def _steps(rows, stages, formats, values) -> None:
    for measure in ("semantic spread", "EAD"):
        first = values[f"{stages[0]} plain"][measure].mean()
        for before, after in itertools.pairwise(stages):
            name = f"{before} plain" if before == stages[0] else f"{before} {formats[-1]}"
            change = values[f"{after} {formats[-1]}"][measure] - values[name][measure]
            place = {"part": "steps", "measure": measure, "condition": after, "against": before}
            rows.append(place | {"unit": "share of the first stage's value"} | _mean(change / first))


def _similarity(rows, rng, names, moved, prompts) -> None:
    for place, one in enumerate(names):
        for other in names[place:]:
            together = 0.44 + 0.1 * (moved[one] + moved[other]) / 2 + (0.06 * moved[one] if one == other else 0)
            for measure, level in (("cosine", together), ("floor", 0.11 + 0.03 * moved[one])):
                found = _mean(level + 0.05 * rng.normal(size=prompts))
                pairs = {(one, other), (other, one)}
                for a, b in sorted(pairs):
                    cell = {"part": "similarity", "measure": measure, "condition": a, "against": b}
                    rows.append(cell | {"unit": "cosine"} | found)


def _clusters(rows, values) -> None:
    for name, found in values.items():
        for measure, source in (
            ("clusters", "clusters"), ("cluster entropy", "cluster entropy"), ("largest share", "largest cluster"),
        ):  # fmt: skip
            place = {"part": "clusters", "measure": measure, "condition": name, "unit": DIVERSITY[source][0]}
            rows.append(place | _mean(found[source]))


def _attractors(rows, rng, stages, prompts) -> None:
    for stage in stages:
        far = stages.index(stage) / (len(stages) - 1)
        for k in K:
            pull, wide = 0.12 + 0.45 * far - 0.008 * k, 0.09
            place = {"part": "attractors", "condition": stage, "position": k, "n": min(16, prompts)}
            ends = {"low": pull - wide, "high": pull + wide} if prompts >= 8 else {}
            rows.append(place | {"measure": "pull", "unit": "share", "estimate": pull} | ends)
            for measure, level in (("return rate", 0.66 - 0.25 * far), ("return floor", 0.4 - 0.3 * far)):
                rows.append(
                    place
                    | {"measure": measure, "unit": "share"}
                    | _mean(level - 0.006 * k + 0.1 * rng.normal(size=min(16, prompts)))
                )
            rows.append(place | {"measure": "radius", "unit": "1 - cosine", "estimate": 0.7 - 0.2 * far})


def _stretches(rows, rng, moved, prompts) -> None:
    for name, far in moved.items():
        for scope, level in (("within", 2.2 + 3.8 * far), ("across", 1.9 + 0.8 * far)):
            place = {"part": "stretches", "measure": "longest common stretch", "scope": scope, "condition": name}
            rows.append(place | {"unit": "tokens"} | _mean(level + 0.6 * rng.normal(size=prompts)))


def _personas(rows, names, parsed) -> None:
    for name, (rate, top) in zip(names, ((0.31, 0.2), (0.94, 0.62)), strict=True):
        place = {"part": "personas", "condition": name, "n": 8}
        told = {"measure": "parse rate", "unit": "share", "note": "texts that state at least 3 attributes, of 64"}
        rows.append(place | told | {"estimate": rate if parsed else 0.0})
        for attribute, listed in ATTRIBUTES.items() if parsed else ():
            rows += [
                place | {"measure": f"entropy {attribute}", "unit": "bits", "estimate": 2.6 - 2 * top},
                place | {"measure": f"distinct {attribute}", "unit": "values", "estimate": 8},
                place | {"measure": f"top share {attribute}", "estimate": top, "note": listed[0]}
                | {"unit": "share"},
            ]  # fmt: skip


def _frontier(rows, rng, moved, values, prompts) -> None:
    for name, far in moved.items():
        for measure, unit, level, wide in (
            ("semantic spread", "1 - cosine", None, 0),
            ("surprisal", "nats per token", 3.7 - 0.9 * far, 0.3),
            ("repetition", "share", max(0.004, 0.03 + 0.05 * far), 0.02),
            ("coherence kept", "share", min(1.0, 0.97 - 0.12 * max(0.0, -far) - 0.03 * max(0.0, far - 1)), 0.03),
            ("fidelity", "cosine", 0.31 + 0.16 * far, 0.08),
            ("creativity", "gaps", 0.2 - 0.15 * far + 0.3 * name.endswith("steered"), 0.3),
        ):
            each = values[name]["semantic spread"] if level is None else level + wide * rng.normal(size=prompts)
            place = {"part": "frontier", "measure": measure, "condition": name, "unit": unit}
            if name == "base plain" and measure == "coherence kept":
                rows.append(place | {"estimate": 1.0, "n": prompts, "note": "by definition"})
                continue
            rows.append(place | _mean(each))


def _readers(rows, rng, moved, cells, prompts) -> None:
    for writer in moved:
        for reader in cells:
            away = abs(moved[writer] - moved[reader])
            level = 3.6 - 1.2 * moved[writer] + 0.6 * away
            place = {"part": "readers", "measure": "surprisal", "condition": writer, "against": reader}
            rows.append(place | {"unit": "nats per token"} | _mean(level + 0.3 * rng.normal(size=prompts)))


def _matched(rows, rng, steered, last, prompts) -> None:
    for name in steered:
        place, heat = {"part": "matched", "condition": name}, "temperature at the same coherence"
        kept, spread, other = (level + 0.05 * rng.normal(size=prompts) for level in (0.93, 0.44, 0.42))
        unit = {"unit": "1 - cosine"}
        rows.append(place | {"measure": "coherence kept", "against": last, "unit": "share"} | _mean(kept))
        rows.append(place | {"measure": "semantic spread"} | unit | _mean(spread))
        rows.append(place | {"measure": "semantic spread", "condition": heat} | unit | _mean(other))
        rows.append(place | {"measure": "difference", "against": heat} | unit | _mean(spread - other))


def _correlation(rows, rng, names, prompts) -> None:
    for name in names:
        rho = float(rng.normal(0.05, 0.06))
        place = {"part": "correlation", "condition": name, "unit": "rank correlation", "n": prompts}
        ends = {"low": rho - 0.13, "high": rho + 0.13} if prompts >= 8 else {}
        rows.append(
            place | {"measure": "entropy and creativity", "estimate": rho, "note": "p 0.41", "n": 10 * prompts} | ends
        )
        ends = {"low": -0.45, "high": 0.36} if prompts >= 8 else {}
        rows.append(place | {"measure": "spread and creativity", "estimate": -0.05, "note": "p 0.80"} | ends)


def _texts(rng, moved, conditions, prompts, samples, tokens) -> pd.DataFrame:
    rows = []
    opening = OPENING.split()
    for about in conditions:
        far = moved[about["name"]]
        count = min(4, samples) if about["kind"] == "temperature" else samples
        for prompt in range(prompts):
            middle = np.random.default_rng(1000 + prompt).normal(size=2) * 0.25
            for sample in range(count):
                words = rng.choice(WORDS, tokens)
                if rng.random() < 0.75 * far:
                    words[: len(opening)] = opening
                text = " ".join(words).capitalize() + "."
                x, y = middle + (0.22 - 0.14 * max(0.0, min(1.0, far))) * rng.normal(size=2)
                rows.append(
                    {"condition": about["name"], "prompt_id": f"p{prompt:02d}", "prompt": "", "seed": sample}
                    | {"text": text, "tokens": tokens, "entropy": 3.6 - 1.4 * far + 0.3 * rng.normal()}
                    | {"surprisal": 3.7 - 1.2 * far + 0.3 * rng.normal(), "repetition": abs(0.04 * rng.normal())}
                    | {"creativity": -0.1 + 0.5 * rng.normal(), "coherent": bool(rng.random() < 0.9)}
                    | {"cluster": int(rng.integers(0, 3 if far > 0.7 else 7)), "x": x, "y": y}
                )
    return pd.DataFrame(rows)


def _meta(stages, conditions, first, last, names, samples, tokens, personas, seed) -> dict[str, Any]:
    return {
        "format": 1, "kind": "audit", "created": "2025-01-01T12:00:00+00:00",
        "command": "clens audit --base pocket-base --aligned pocket-chat", "name": "pocket-chat-audit-001",
        "models": {
            stage: {"name": f"pocket-{stage}", "id": f"data/pocket/{stage}", "revision": "0123abc",
                    "weights_hash": f"{place:064x}", "template": "none" if place == 0 else "sha256 89ab"}
            for place, stage in enumerate(stages)
        },
        "embedder": {"name": "all-MiniLM-L6-v2", "id": "sentence-transformers/all-MiniLM-L6-v2"},
        "conditions": conditions, "stages": list(stages), "first": first, "last": last,
        "prompts_text": names, "samples": samples, "length": tokens, "temperature": 1.0, "seed": seed,
        "threshold": 0.41,
        "picture": "The first two principal components of the embeddings of one prompt's texts by all conditions.",
        "attractors": [
            {"condition": last, "prompt_id": f"p{place:02d}", "share": share, "text": f"{OPENING}, and {word}.",
             "count": round(samples * share), "of": samples}
            for place, (share, word) in enumerate(((0.9, "it was good"), (0.7, "nobody knew"), (0.5, "so it ended")))
        ] + [{"condition": first, "prompt_id": "p04", "share": 0.3, "text": "Salt. Salt on the door, then fog.",
              "count": round(0.3 * samples), "of": samples}],
        "stretches": [
            {"condition": last, "text": "there lived an old keeper who", "count": 96, "of": 240, "prompts": 22},
            {"condition": last, "text": "until the rain came back", "count": 71, "of": 240, "prompts": 19},
            {"condition": first, "text": "with salt and", "count": 4, "of": 240, "prompts": 3},
        ],
        "personas": {
            "parse_rate": {first: 0.31 if personas else 0.0, last: 0.94 if personas else 0.0},
            "attributes": {
                attribute: {
                    first: [[value, 3 - place // 3] for place, value in enumerate(reversed(listed))],
                    last: [[value, max(1, 38 // (1 + 3 * place))] for place, value in enumerate(listed)],
                }
                for attribute, listed in ATTRIBUTES.items()
            } if personas else {},
        },
        "notes": ["2 of 960 texts were shorter than 24 tokens and were left out."],
        "timings": {"writing": 61.2, "reading": 33.0, "embedding": 12.5},
        "versions": {"creativity-lens": "0.1.0", "torch": "2.13.0"},
    }  # fmt: skip


def _verdict(table: pd.DataFrame, first: str, last: str) -> dict[str, Any]:
    total = table[(table["part"] == "effects") & (table["condition"] == "total")].iloc[0]
    lost = total["high"] < 0
    said = f"Within prompts, texts by {last} are {abs(total['estimate']):.2f} less spread out than by {first}"
    return {
        "outcome": "alignment cost diversity" if lost else "not enough evidence",
        "sentence": f"{said} (95 % interval {abs(total['high']):.2f} to {abs(total['low']):.2f}, "
        f"{total['n']} prompts)." if lost else "Not enough evidence that the aligned model's texts are less varied.",
        "detail": ["The template makes up a third of it.", "Lexical diversity rose while semantic diversity fell."],
        "lost": {"estimate": float(total["estimate"])},
    }  # fmt: skip


def _spoiled(found: FakeAudit) -> FakeAudit:
    """Every string that a user or a model could have written, written by an enemy: names, prompts, texts, values."""
    evil: dict[str, str] = {}
    listed = [*HOSTILE, "lone \ud800 surrogate", "\u202eturned\u2066 about"]

    def spoil(text: object) -> str:
        return evil.setdefault(str(text), f"{text} <i>{listed[len(evil) % len(listed)]}")

    meta = dict(found.meta)
    stages = {stage: spoil(stage) for stage in meta["stages"]}
    names = {
        about["name"]: about["name"].replace(about["stage"], stages[about["stage"]], 1) for about in meta["conditions"]
    }
    both = stages | names
    table = found.table.astype(dict.fromkeys(("measure", "condition", "against", "note"), object))
    for column in ("condition", "against"):
        table[column] = _objects(both.get(text, text) for text in table[column])
    table["note"] = _objects(spoil(text) if text else text for text in table["note"])
    texts = found.texts.astype(dict.fromkeys(("condition", "text", "prompt_id", "prompt"), object))
    prompts = {key: spoil(f"id {key}") for key in meta["prompts_text"]}
    texts["condition"] = _objects(names[name] for name in texts["condition"])
    texts["text"] = _objects(f"{text} {listed[place % len(listed)]}" for place, text in enumerate(texts["text"]))
    texts["prompt_id"] = _objects(prompts[prompt] for prompt in texts["prompt_id"])
    meta["prompts_text"] = {
        prompts[key]: f"{text} {listed[place % len(listed)]}"
        for place, (key, text) in enumerate(meta["prompts_text"].items())
    }
    texts["prompt"] = _objects(meta["prompts_text"][prompt] for prompt in texts["prompt_id"])
    meta |= {key: spoil(meta[key]) for key in ("name", "command", "picture")}
    meta |= {"stages": list(stages.values()), "first": names[meta["first"]], "last": names[meta["last"]]}
    meta["conditions"] = [
        about | {"name": names[about["name"]], "stage": stages[about["stage"]]} for about in meta["conditions"]
    ]
    meta["models"] = {
        stages[stage]: {key: spoil(value) for key, value in about.items()} for stage, about in meta["models"].items()
    }
    meta["attractors"] = [
        about | {"condition": names[about["condition"]], "prompt_id": prompts[about["prompt_id"]]}
        | {"text": spoil(about["text"])}
        for about in meta["attractors"]
    ]  # fmt: skip
    meta["stretches"] = [
        about | {"condition": names[about["condition"]], "text": spoil(about["text"])} for about in meta["stretches"]
    ]
    meta["personas"] = {
        "parse_rate": {names[name]: rate for name, rate in meta["personas"]["parse_rate"].items()},
        "attributes": {
            spoil(attribute): {
                names[name]: [[spoil(value), count] for value, count in counted] for name, counted in listed_.items()
            }
            for attribute, listed_ in meta["personas"]["attributes"].items()
        },
    }
    table["measure"] = _objects(
        next((f"{kind} {evil[name]}" for kind in ("entropy", "distinct", "top share")
              for name in ATTRIBUTES if part == "personas" and measure == f"{kind} {name}" and name in evil), measure)
        for part, measure in zip(table["part"], table["measure"], strict=True)
    )  # fmt: skip
    verdict = meta["verdict"]
    meta["verdict"] = verdict | {
        "sentence": spoil(verdict["sentence"]),
        "detail": [spoil(t) for t in verdict["detail"]],
    }
    meta["notes"] = [spoil(note) for note in meta["notes"]]
    return FakeAudit(table, texts, meta)


def _objects(values: Iterable[str]) -> pd.Series:
    """A column of any strings: pandas' own have no lone surrogates."""
    return pd.Series(list(values), dtype=object)
