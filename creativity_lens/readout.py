"""Read-out: how well each layer tells creative from boring on topics the direction was not fitted on, and its controls.

Arithmetic on activations; no model runs here. With few topics every number is cross-fitted: each fold of whole topics
is read by a direction fitted on the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from creativity_lens.activations import Activations
from creativity_lens.prompts import ContrastivePair, fold_topics
from creativity_lens.statistics import Estimate, auc, auc_interval, paired_accuracy

CROSS_FIT_BELOW = 60  # topics
SHUFFLES = 39
HALVES = 20

Fold = tuple[list[int], list[int]]  # pairs to fit on, pairs to read
Sides = tuple[Float[Tensor, "layer pair d_model"], Float[Tensor, "layer pair d_model"]]


def folds_of(train: Sequence[ContrastivePair], dev: Sequence[ContrastivePair], *, seed: int) -> list[Fold]:
    """Which of the pairs `[*train, *dev]` to fit on and which to read.

    Dev is read; below 60 topics, each of five folds of whole topics.
    """
    pairs = [*train, *dev]
    if len({pair.topic for pair in pairs}) >= CROSS_FIT_BELOW:
        return [(list(range(len(train))), list(range(len(train), len(pairs))))]
    place = {pair.id: index for index, pair in enumerate(pairs)}
    return [
        ([place[pair.id] for pair in fit], [place[pair.id] for pair in held])
        for fit, held in fold_topics(pairs, 5, seed=seed)
    ]


def read_folds(
    sides: Sides, folds: Sequence[Fold], signs: Float[Tensor, " pair"] | None = None, *, component: bool = False
) -> tuple[Float[np.ndarray, "layer pair"], Float[np.ndarray, "layer pair"]]:
    """Held-out projections of both sides, in units of the fitted gap; pairs that no fold reads are NaN.

    `signs` flips the labels that are fitted on (a control); `component` fits the uncentred first component instead.
    """
    creative, boring = sides
    read = [torch.full(creative.shape[:2], torch.nan) for _ in range(2)]
    for fit, held in folds:
        difference = creative[:, fit] - boring[:, fit]
        if signs is not None:
            difference = difference * signs[fit][None, :, None]
        vector = difference.mean(1)
        if component:
            first = torch.linalg.svd(difference, full_matrices=False).Vh[:, 0]
            vector = first * torch.einsum("ld,ld->l", first, vector).sign()[:, None]
        vector = torch.nn.functional.normalize(vector, dim=-1)
        center = (creative[:, fit].mean(1) + boring[:, fit].mean(1)) / 2
        gap = (torch.einsum("lpd,ld->l", difference, vector) / len(fit)).clamp(min=1e-12)  # 0 where nothing differs
        for out, side in zip(read, sides, strict=True):
            out[:, held] = torch.einsum("lpd,ld->lp", side[:, held] - center[:, None], vector) / gap[:, None]
    return read[0].numpy(), read[1].numpy()


def read_out(
    activations: Activations, pairs: Sequence[ContrastivePair], folds: Sequence[Fold], *, seed: int, full: bool = True
) -> list[dict[str, Any]]:
    """Table rows of the read-out: AUC, paired accuracy, dev margin, stability, agreement of the two methods per layer.

    `full` adds shuffled labels, leave-one-domain-out and kind-to-kind transfer.
    """
    sides = (activations.creative, activations.boring)
    topics = activations.topics
    rows: list[dict[str, Any]] = []
    for method in ("mean_difference", "first_component"):
        high, low = read_folds(sides, folds, component=method == "first_component")
        for index, layer in enumerate(activations.layers):
            rows += separation("direction", high[index], low[index], topics, seed, layer=layer, method=method)
            if method == "mean_difference":
                margin = high[index] - low[index]
                rows.append(_row("direction", "dev_margin", "gaps", _mean(margin), layer=layer, method=method))
    stability, agreement = _stability(sides, pairs, seed=seed), _agreement(sides)
    for index, layer in enumerate(activations.layers):
        rows.append(_row("direction", "stability", "cosine", stability[index], layer=layer))
        rows.append(_row("direction", "method_cosine", "cosine", agreement[index], layer=layer))
    if not full:
        return rows
    rows += _shuffled(sides, topics, folds, activations.layers, seed=seed)
    rows += _left_out_domains(sides, pairs, folds, activations.layers, seed=seed)
    rows += _transfer(sides, pairs, folds, activations.layers, seed=seed)
    return rows


def lexical_controls(
    embedded: Sides, texts: Sequence[Sequence[str]], topics: Sequence[str], folds: Sequence[Fold], *, seed: int
) -> list[dict[str, Any]]:
    """The same mean difference on token embeddings ("layer -1", `[1, pair, d_model]` a side) and on tf-idf.

    `texts` are the creative and the boring side's; the vocabulary of a fold is that of the texts it fits on.
    """
    high, low = read_folds(embedded, folds)
    rows = separation("token_embeddings", high[0], low[0], topics, seed, layer=-1, method="mean_difference")
    creative, boring = (np.full(len(topics), np.nan) for _ in range(2))
    for fit, held in folds:
        # punctuation counts as words: it is part of what a bag of words can know, and no text is without a token
        vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+|[^\w\s]+")
        vectorizer.fit([side[i] for i in fit for side in texts])
        features = [torch.from_numpy(vectorizer.transform(side).toarray()).float()[None] for side in texts]
        above, below = read_folds((features[0], features[1]), [(fit, held)])
        creative[held], boring[held] = above[0, held], below[0, held]
    return rows + separation("tfidf", creative, boring, topics, seed, method="mean_difference")


def nuisance_cosines(
    vectors: Float[Tensor, "layer d_model"], nuisances: dict[str, Float[Tensor, "layer d_model"]], layers: Sequence[int]
) -> list[dict[str, Any]]:
    """Cosine of the steering direction with each nuisance direction, per layer."""
    return [
        _row("nuisance", "cosine", "cosine", float(cosine), layer=layer, group=name)
        for name, other in nuisances.items()
        for layer, cosine in zip(layers, torch.cosine_similarity(vectors, other, dim=-1), strict=True)
    ]


def length_direction(activations: Activations, lengths: Float[Tensor, "side pair"]) -> Float[Tensor, "layer d_model"]:
    """Where longer texts lie: the covariance of activations with their number of tokens, within sides, unit length."""
    stacked = torch.stack([activations.creative, activations.boring], 1)
    centered = stacked - stacked.mean(2, keepdim=True)
    deviation = lengths - lengths.mean(1, keepdim=True)
    return torch.nn.functional.normalize(torch.einsum("lspd,sp->ld", centered, deviation), dim=-1)


def separation(
    condition: str, high: np.ndarray, low: np.ndarray, topics: Sequence[str], seed: int, **keys: Any
) -> list[dict[str, Any]]:
    """Rows of AUC and paired accuracy of two aligned columns of scores, with intervals over topics; NaN is left out."""
    high, low = high.astype(float), low.astype(float)
    return [
        _row(condition, "auc", "share", auc_interval(high, low, topics, seed=seed), **keys),
        _row(condition, "paired_accuracy", "share", paired_accuracy(high - low, topics, seed=seed), **keys),
    ]


def best_layer(rows: Sequence[dict[str, Any]], allowed: Sequence[int]) -> int | None:
    """The layer of the best held-out AUC among `allowed` with a margin above 0; ties go to accuracy, then stability."""

    def value(measure: str, layer: int) -> float:
        method = None if measure == "stability" else "mean_difference"
        return next(
            row["estimate"]
            for row in rows
            if row["condition"] == "direction" and row["measure"] == measure and row["layer"] == layer
            and row["method"] == method
        )  # fmt: skip

    candidates = [layer for layer in allowed if value("dev_margin", layer) > 0]
    measures = ("auc", "paired_accuracy", "stability")
    return max(candidates, key=lambda layer: tuple(value(name, layer) for name in measures), default=None)


def _stability(sides: Sides, pairs: Sequence[ContrastivePair], *, seed: int) -> list[float]:
    """Mean cosine between the directions of two random halves of the topics."""
    generator = torch.Generator().manual_seed(seed)
    topics = sorted({pair.topic for pair in pairs})
    difference = sides[0] - sides[1]
    cosines = []
    for _ in range(HALVES):
        order = torch.randperm(len(topics), generator=generator).tolist()
        first = {topics[i] for i in order[: len(topics) // 2]}
        inside = torch.tensor([pair.topic in first for pair in pairs])
        cosines.append(torch.cosine_similarity(difference[:, inside].mean(1), difference[:, ~inside].mean(1), dim=-1))
    return torch.stack(cosines).mean(0).tolist()


def _agreement(sides: Sides) -> list[float]:
    difference = sides[0] - sides[1]
    mean = difference.mean(1)
    first = torch.linalg.svd(difference, full_matrices=False).Vh[:, 0]
    return torch.cosine_similarity(first, mean, dim=-1).abs().tolist()


def _shuffled(
    sides: Sides, topics: Sequence[str], folds: Sequence[Fold], layers: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """AUC after fitting on labels flipped at random topic by topic: its mean and 95 % range over shuffles."""
    generator = torch.Generator().manual_seed(seed)
    names = sorted(set(topics))
    found = np.zeros((SHUFFLES, len(layers)))
    for number in range(SHUFFLES):
        flips = dict(zip(names, torch.randint(0, 2, (len(names),), generator=generator) * 2.0 - 1.0, strict=True))
        signs = torch.tensor([float(flips[topic]) for topic in topics])
        high, low = read_folds(sides, folds, signs)
        read = np.isfinite(high[0])
        found[number] = [auc(high[i, read].astype(float), low[i, read].astype(float)) for i in range(len(layers))]
    low_end, high_end = np.quantile(found, [0.025, 0.975], axis=0)
    return [
        _row(
            "shuffled", "auc", "share", Estimate(found[:, i].mean(), low_end[i], high_end[i], SHUFFLES), layer=layer,
            method="mean_difference", note="range over label shuffles",
        )
        for i, layer in enumerate(layers)
    ]  # fmt: skip


def _left_out_domains(
    sides: Sides, pairs: Sequence[ContrastivePair], folds: Sequence[Fold], layers: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """Fit on all domains but one, read that one."""
    domains = sorted({pair.domain for pair in pairs})
    if len(domains) < 3:
        return []
    read = {index for _, held in folds for index in held}
    rows = []
    for domain in domains:
        held = [i for i, pair in enumerate(pairs) if pair.domain == domain and i in read]
        seen = {pairs[i].topic for i in held}  # a topic may have pairs in two domains
        fit = [i for i, pair in enumerate(pairs) if pair.domain != domain and pair.topic not in seen]
        if not fit or not held:
            continue
        high, low = read_folds(sides, [(fit, held)])
        rows += [
            row
            for i, layer in enumerate(layers)
            for row in separation(
                "left_out_domain", high[i], low[i], [pair.topic for pair in pairs], seed, layer=layer, group=domain
            )
            if row["measure"] == "auc"
        ]
    return rows


def _transfer(
    sides: Sides, pairs: Sequence[ContrastivePair], folds: Sequence[Fold], layers: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """Fit on pairs of one kind, read another kind on topics that were not fitted on."""
    kinds = sorted({pair.kind for pair in pairs})
    rows = []
    for one in kinds:
        for other in kinds:
            if one == other:
                continue
            some = [
                ([i for i in fit if pairs[i].kind == one], [i for i in held if pairs[i].kind == other])
                for fit, held in folds
            ]
            high, low = read_folds(sides, [(fit, held) for fit, held in some if fit and held])
            rows += [
                row
                for i, layer in enumerate(layers)
                for row in separation(
                    "transfer", high[i], low[i], [pair.topic for pair in pairs], seed, layer=layer,
                    group=f"{one} to {other}",
                )
                if row["measure"] == "auc"
            ]  # fmt: skip
    return rows


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values))


def _row(condition: str, measure: str, unit: str, value: Estimate | float, **keys: Any) -> dict[str, Any]:
    return table_row("readout", condition, measure, unit, value, **keys)


def table_row(
    stage: str, condition: str, measure: str, unit: str, value: Estimate | float, **keys: Any
) -> dict[str, Any]:
    """One row of the sweep's table; a bare number has no interval and no n."""
    estimate = value if isinstance(value, Estimate) else Estimate(float(value), np.nan, np.nan, 0)
    blank = dict.fromkeys(("layer", "strength", "method", "temperature", "control", "group", "note"))
    return {
        "stage": stage, "condition": condition, **blank, **keys, "measure": measure, "unit": unit,
        "estimate": float(estimate.value), "low": float(estimate.low), "high": float(estimate.high),
        "n": estimate.n or None,
    }  # fmt: skip
