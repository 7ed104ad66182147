"""The figures of the data card of the contrastive pairs: counts, what the linter measures, what the pocket models read.

Prints Markdown; with --write, puts it into the card, between its marks. A test keeps the card equal to this.
"""

import argparse
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

import creativity_lens as cl
from creativity_lens.concept import embedded_texts
from creativity_lens.gating import LayerThreshold, fit_thresholds
from creativity_lens.leaks import character_scores, feature_columns, word_scores
from creativity_lens.lint import Finding, lint_form
from creativity_lens.prompts import (
    GATE,
    KINDS,
    SHIPPED,
    ContrastivePair,
    fingerprint,
    load_prompts,
    load_shipped,
)
from creativity_lens.readout import lexical_controls, read_folds, read_out
from creativity_lens.statistics import Estimate, auc_interval, paired_accuracy

CARD = Path(__file__).parent.parent / "data" / "contrastive_pairs" / "README.md"
MODELS = ("pocket-chat", "pocket-base")
PARTS = ("all", "train", "dev", "test")
COUNTED: dict[str, Callable[[str], int]] = {
    "question marks": lambda text: text.count("?"),
    "digits": lambda text: sum(letter.isdigit() for letter in text),
    "commas": lambda text: text.count(","),
    "characters": len,
}
SHUFFLES = 99
FIELDS = {"response": ("creative_response", "boring_response"), "instruction": ("creative", "boring")}


def main() -> None:
    """Print every section, or write them into the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the sections into the card")
    options = parser.parse_args()
    pairs = cl.load_pairs()
    sections = {"counts": counts(pairs), "lint": lint_table(cl.lint_pairs(pairs)), "form": form_table()}
    sections |= {name: readout_table(name, pairs) for name in MODELS}
    sections |= {"gate words": gate_words_table()} | {f"gate {name}": gate_table(name) for name in MODELS}
    if options.write:
        card = CARD.read_text(encoding="utf-8")
        for name, text in sections.items():
            card = re.sub(marked(name, r".*?"), lambda _, n=name, t=text: marked(n, t), card, flags=re.S)
        CARD.write_text(card, encoding="utf-8")
    else:
        print("\n\n".join(sections.values()))


def marked(name: str, text: str) -> str:
    """A section between its marks."""
    return f"<!-- {name} -->\n{text}\n<!-- end of {name} -->"


def counts(pairs: Sequence[ContrastivePair]) -> str:
    """Pairs by domain, kind and split, and the files' hashes."""
    rows = []
    for domain in [*dict.fromkeys(pair.domain for pair in pairs), "all"]:
        here = [pair for pair in pairs if domain in (pair.domain, "all")]
        kinds, splits = Counter(p.kind for p in here), Counter(s for _, s in {(p.topic, p.split) for p in here})
        topics = len({pair.topic for pair in here})
        rows.append(
            [domain, len(here), *(kinds[kind] for kind in KINDS), topics, *(splits[part] for part in PARTS[1:])]
        )
    table = _table(["domain", "pairs", *KINDS, "topics", *(f"{part} topics" for part in PARTS[1:])], rows)
    dev, test = load_prompts()
    files = [["pairs.jsonl", len(pairs), fingerprint(pairs)]]
    files += [[f"{name}.jsonl", len(load_shipped(name)), fingerprint(load_shipped(name))] for name in SHIPPED]
    prompts = (CARD.parent / "prompts.jsonl").read_bytes()
    files.append(["prompts.jsonl", len(dev) + len(test), hashlib.sha256(prompts).hexdigest()])
    return f"{table}\n\n{_table(['file', 'rows', 'sha256'], files)}"


def lint_table(findings: Sequence[Finding]) -> str:
    """Every figure of the linter with its interval, over all pairs and in each split."""
    rows = []
    for finding in findings:
        values = [_shown(finding.values[part]) if part in finding.values else "" for part in PARTS]
        rows.append([finding.check, *values, _limit(finding), _judged(finding)])
    return _table(["check", *PARTS, "limit", ""], rows)


def form_table() -> str:
    """What the linter counts in the other files, whose sides differ by design."""
    findings = {name: lint_form(load_shipped(name)) for name in SHIPPED}
    checks = dict.fromkeys(finding.check for found in findings.values() for finding in found)
    rows = []
    for check in checks:
        found = [next((f for f in findings[name] if f.check == check), None) for name in SHIPPED]
        rows.append([check, *(_shown(f.values["all"]) if f else "" for f in found)])
    return _table(["check", *SHIPPED], rows)


def readout_table(name: str, pairs: Sequence[ContrastivePair]) -> str:
    """What a model reads, layer by layer: fitted on train, read on dev; by kind, and carried over."""
    model = cl.load_model(name)
    train, dev, _ = cl.split_pairs(pairs)
    tables = []
    for position, fields in FIELDS.items():
        both = [p for p in [*train, *dev] if getattr(p, fields[0]) != getattr(p, fields[1])]
        n = sum(pair.split == "train" for pair in both)
        folds = [(list(range(n)), list(range(n, len(both))))]
        activations = cl.collect_activations(model, both, position=position)
        sides = (activations.creative, activations.boring)
        high, low = read_folds(sides, folds)
        kinds = [kind for kind in KINDS if any(pair.kind == kind for pair in both)]
        texts = [[getattr(pair, field) for pair in both] for field in fields]
        rows = read_out(activations, both, folds, seed=0)
        rows += lexical_controls(embedded_texts(model, texts), texts, activations.topics, folds, seed=0)
        lines = []
        for index, layer in enumerate(activations.layers):
            line: list[Any] = [layer, _both(rows, "direction", layer)]
            for kind in kinds:
                kept = [i for i in folds[0][1] if both[i].kind == kind]
                topics = [both[i].topic for i in kept]
                area = auc_interval(high[index, kept], low[index, kept], topics)
                right = paired_accuracy(high[index, kept] - low[index, kept], topics)
                line.append(f"{_shown(area)}; {right.value:.2f}")
            lines.append([*line, _both(rows, "shuffled", layer)])
        for label, condition in (("token embeddings", "token_embeddings"), ("tf-idf", "tfidf")):
            lines.append([label, _both(rows, condition, None), *("" for _ in kinds), ""])
        title = f"`{name}`, {position}s: AUC (95 % interval); paired accuracy."
        tables.append(f"{title}\n\n{_table(['layer', 'all kinds', *kinds, 'labels shuffled'], lines)}")
        carried = [
            row for row in rows if row["condition"] in ("left_out_domain", "transfer") and row["measure"] == "auc"
        ]
        groups = dict.fromkeys((row["condition"], row["group"]) for row in carried)
        lines = []
        for condition, group in groups:
            found = [row for row in carried if (row["condition"], row["group"]) == (condition, group)]
            label = group if condition == "transfer" else f"{group}, left out of the fit"
            lines.append([label, *(f"{row['estimate']:.2f}" for row in sorted(found, key=lambda row: row["layer"]))])
        headings = ["AUC on what was not fitted on", *(f"layer {layer}" for layer in activations.layers)]
        tables.append(_table(headings, lines))
    return "\n\n".join(tables)


def gate_words_table() -> str:
    """What the words and the form of the gate's requests give away: AUC of creative against careful ones."""
    gate = load_shipped(GATE)
    texts = ([pair.creative for pair in gate], [pair.boring for pair in gate])
    columns = {"bag of words": word_scores(gate, texts), "character n-grams": character_scores(gate, texts)}
    columns |= feature_columns(texts)
    for name, count in COUNTED.items():
        columns[name] = tuple(np.array([float(count(text)) for text in side]) for side in texts)
    topics = [pair.topic for pair in gate]
    lines = [[name, _shown(auc_interval(high, low, topics))] for name, (high, low) in columns.items()]
    return _table(["requests", "AUC (95 % interval)"], lines)


def gate_table(name: str) -> str:
    """How well a gate of each layer decides: AUC on dev and test, the threshold fitted on dev and judged on test."""
    model, parts = cl.load_model(name), cl.split_pairs(load_shipped(GATE))
    gate = [pair for part in parts for pair in part]
    dev, test = len(parts[0]), len(parts[0]) + len(parts[1])
    fold = [(list(range(dev)), list(range(dev, len(gate))))]
    topics = [pair.topic for pair in gate]
    texts = [[getattr(pair, field) for pair in gate] for field in FIELDS["instruction"]]
    activations = cl.collect_activations(model, gate, position="instruction")
    sides = (activations.creative, activations.boring)

    def fitted(high: Any, low: Any) -> list[LayerThreshold]:
        halves = ((high[:, dev:test], low[:, dev:test]), (high[:, test:], low[:, test:]))
        return fit_thresholds(range(len(high)), *halves, topics[test:], seed=0)

    lines = []
    tfidf = TfidfVectorizer(sublinear_tf=True).fit([text for side in texts for text in side[:dev]])
    words = [torch.from_numpy(tfidf.transform(side).toarray()).float()[None] for side in texts]
    for label, read in (
        ("", sides),
        ("token embeddings", embedded_texts(model, texts)),
        ("tf-idf", (words[0], words[1])),
    ):
        high, low = read_folds(read, fold)
        for found in fitted(high, low):
            area = auc_interval(
                high[found.layer, dev:].astype(float), low[found.layer, dev:].astype(float), topics[dev:]
            )
            lines.append([label or found.layer, _shown(area), f"{found.dev:.2f}", _shown(found.test)])
    chosen = max(fitted(*read_folds(sides, fold)), key=lambda each: (each.dev, each.margin))
    generator, judged = torch.Generator().manual_seed(0), []
    for _ in range(SHUFFLES):
        signs = torch.randint(0, 2, (len(gate),), generator=generator) * 2.0 - 1.0
        high, low = read_folds(sides, fold, signs)
        flipped = (signs < 0).numpy() & (np.arange(len(gate)) < test)  # train's and dev's labels; test's stay true
        found = fitted(np.where(flipped, low, high), np.where(flipped, high, low))
        judged.append(max(found, key=lambda each: (each.dev, each.margin)).test.value)
    low_end, high_end = np.quantile(judged, [0.025, 0.975])
    title = (
        f"`{name}`: layer {chosen.layer} is the gate. The same with labels flipped by coin on train and dev, the layer "
        f"chosen as ever: {np.mean(judged):.2f} of the test requests right, 95 % of {SHUFFLES} shuffles within "
        f"{low_end:.2f} to {high_end:.2f}."
    )
    headings = ["layer", "AUC, dev and test", "right on dev", "right on test (95 % interval)"]
    return f"{title}\n\n{_table(headings, lines)}"


def _both(rows: Sequence[dict[str, Any]], condition: str, layer: int | None) -> str:
    found = {
        row["measure"]: row
        for row in rows
        if row["condition"] == condition
        and row.get("method") in (None, "mean_difference")
        and (layer is None or row["layer"] == layer)
    }
    area, right = found.get("auc"), found.get("paired_accuracy")
    if area is None:
        return ""
    ends = f" ({area['low']:.2f} to {area['high']:.2f})" if np.isfinite(area["low"]) else ""
    return f"{area['estimate']:.2f}{ends}" + (f"; {right['estimate']:.2f}" if right else "")


def _shown(estimate: Estimate) -> str:
    if np.isnan(estimate.value):
        return ""
    if not estimate.has_interval:
        return f"{estimate.value:.2f}" if estimate.value % 1 else f"{estimate.value:.0f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _limit(finding: Finding) -> str:
    if finding.limit is None:
        return ""
    low, high = finding.limit
    return "none" if high == 0 else f"{low:.0f} or more" if np.isinf(high) else f"{low:.2f} to {high:.2f}"


def _judged(finding: Finding) -> str:
    return "" if finding.limit is None else "passed" if finding.passed else f"beyond: {', '.join(finding.failing)}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
