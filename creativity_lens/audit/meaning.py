"""What an audit's texts mean: their embeddings, how alike they are, how close to their prompts, and a picture.

No number comes from the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from creativity_lens.audit.rows import Row, table_row
from creativity_lens.audit.writing import Written
from creativity_lens.diversity.clusters import clusters_of
from creativity_lens.diversity.semantic import threshold_of
from creativity_lens.diversity.words import cut
from creativity_lens.prompts import Prompt
from creativity_lens.statistics import t_interval

PICTURE = (
    "The first two principal components of the embeddings of one prompt's texts by all conditions. Distances in the "
    "picture are not the distances between the texts: no number is taken from it."
)

Vectors = Float[np.ndarray, "prompt sample dim"]


@dataclass(frozen=True, eq=False)
class Meaning:
    """Unit embeddings of every condition's texts and of the prompts; NaN where there is no text."""

    texts: dict[str, Vectors]
    prompts: Float[np.ndarray, "prompt dim"]
    threshold: float  # cosine distance below which two texts count as one kind, the same for all conditions

    def clusters(self, name: str) -> Int[np.ndarray, "prompt sample"]:
        """The cluster of each of a condition's texts among those of its prompt; 0 is the largest."""
        return np.stack([clusters_of(vectors, self.threshold) for vectors in self.texts[name]])


def embed_texts(
    embedder: Any, written: Mapping[str, Written], prompts: Sequence[Prompt], cells: Sequence[str], *, words: int = 1
) -> Meaning:
    """Embed every prompt, and every text cut to so many `words`; the threshold is calibrated on the cells' texts alone.

    Shorter texts are left out of all that is said of meaning. It is the rule of `measure_diversity`, so `clens
    diversity` gives the same spread for the same texts.
    """
    asked = [prompt.text for prompt in prompts]
    texts = {name: [cut(text, words) or "" for text in each.texts] for name, each in written.items()}
    every = [*asked, *(text for each in texts.values() for text in each)]
    vectors = np.asarray(embedder.embed(every, description="embedding"), dtype=np.float32)
    found, start = {}, len(asked)
    for name, each in texts.items():
        found[name] = vectors[start : start + len(each)].reshape(len(asked), -1, vectors.shape[1])
        start += len(each)
    pooled = np.concatenate([found[name].reshape(-1, vectors.shape[1]) for name in cells])
    groups = [prompt.id for name in cells for prompt in prompts for _ in range(found[name].shape[1])]
    return Meaning(found, vectors[: len(asked)], threshold_of(pooled, groups))


def similarity_rows(meaning: Meaning, names: Sequence[str]) -> list[Row]:
    """Mean cosine of two texts of the same prompt, and of different prompts (the floor), for every two conditions."""
    rows = []
    for name in names:
        for other in names:
            same, apart = cosines(meaning.texts[name], meaning.texts[other], itself=name == other)
            for measure, values in (("cosine", same), ("floor", apart)):
                estimate = t_interval(values, unit="cosine")
                rows.append(table_row("similarity", measure, estimate, condition=name, against=other))
    return rows


def cosines(
    first: Vectors, second: Vectors, *, itself: bool
) -> tuple[Float[np.ndarray, " prompt"], Float[np.ndarray, " prompt"]]:
    """Per prompt, the mean cosine of its texts by the one with those by the other, and with those of other prompts.

    `itself` says that both are the same texts: a text is not compared with itself.
    """
    a, b = (np.nan_to_num(vectors.astype(np.float64)) for vectors in (first, second))
    n, m = (np.isfinite(vectors).all(-1).sum(-1).astype(float) for vectors in (first, second))
    sums, others = a.sum(1), b.sum(1)
    pairs = n * m - (n if itself else 0)
    same = (sums * others).sum(-1) - (n if itself else 0)
    left, count = others.sum(0) - others, m.sum() - m
    with np.errstate(divide="ignore", invalid="ignore"):
        return same / pairs, (sums * left).sum(-1) / (n * count)


def fidelity(meaning: Meaning, name: str) -> Float[np.ndarray, " prompt"]:
    """Per prompt, the mean cosine of its texts with their own prompt less that with the other prompts."""
    cosine = np.einsum("psd,qd->psq", meaning.texts[name].astype(np.float64), meaning.prompts.astype(np.float64))
    by_prompt = _nanmean(cosine.transpose(0, 2, 1))
    count = len(by_prompt)
    own = np.diag(by_prompt)
    return own - (by_prompt.sum(1) - own) / (count - 1) if count > 1 else np.full(1, np.nan)


def picture(meaning: Meaning, names: Sequence[str]) -> dict[str, Float[np.ndarray, "prompt sample 2"]]:
    """Places for `PICTURE`, by condition."""
    found = {name: np.full((*meaning.texts[name].shape[:2], 2), np.nan) for name in names}
    for prompt in range(len(meaning.prompts)):
        parts = [meaning.texts[name][prompt].astype(np.float64) for name in names]
        pooled = np.concatenate(parts)
        known = np.isfinite(pooled).all(1)
        if known.sum() < 3:
            continue
        centred = pooled - pooled[known].mean(0)
        _, _, axes = np.linalg.svd(centred[known], full_matrices=False)
        axes = axes[:2] * np.sign(axes[:2].sum(1, keepdims=True) + 1e-12)  # a sign that a rerun repeats
        places = centred @ axes.T
        start = 0
        for name, part in zip(names, parts, strict=True):
            found[name][prompt] = places[start : start + len(part)]
            start += len(part)
    return found


def attractors(
    meaning: Meaning, written: Mapping[str, Written], prompts: Sequence[Prompt], names: Sequence[str], *, most: int = 12
) -> list[dict[str, Any]]:
    """The texts in the middle of the largest clusters, the cluster with the largest share of its samples first."""
    found = []
    for name in names:
        labels, texts = meaning.clusters(name), written[name].texts
        samples = labels.shape[1]
        for p, (prompt, own) in enumerate(zip(prompts, labels, strict=True)):
            members = np.flatnonzero(own == 0)
            if len(members) < 2:
                continue
            vectors = meaning.texts[name][p, members].astype(np.float64)
            middle = int(members[np.argmax(vectors @ vectors.sum(0))])
            found.append({
                "condition": name, "prompt_id": prompt.id, "share": len(members) / samples,
                "text": texts[p * samples + middle], "count": len(members), "of": samples,
            })  # fmt: skip
    return sorted(found, key=lambda each: -each["share"])[:most]


def _nanmean(values: Float[np.ndarray, "prompt other sample"]) -> Float[np.ndarray, "prompt other"]:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(-1)
    return np.divide(total, known.sum(-1), out=np.full(total.shape, np.nan), where=known.any(-1))
