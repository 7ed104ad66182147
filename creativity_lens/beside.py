"""What is said beside the verdict, never part of the claim: temperature, prompting, a second reader, nuisances."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import binomtest
from torch import Tensor

from creativity_lens.activations import collect_activations
from creativity_lens.cells import Cell, coherence_of
from creativity_lens.concept import Concept
from creativity_lens.conditions import Measured, Texts, gain_of
from creativity_lens.directions import mean_difference
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.prompts import ADVERSARIAL, load_shipped
from creativity_lens.readout import table_row
from creativity_lens.scoring import Scorer, fit_scorer, read_texts
from creativity_lens.sides import Sides
from creativity_lens.statistics import Estimate, paired_accuracy, t_interval


def against_prompt(texts: Texts, concept: Concept, measured: Measured, chosen: int, sides: Sides) -> dict[str, str]:
    """The chosen cell against a "be creative" prompt without steering, paired by prompt."""
    (number,) = texts.find("prompted", concept.name)
    difference = gain_of(texts, chosen, measured.score) - gain_of(texts, number, measured.score)
    return _said(f"Against a 'be {sides.creative}' prompt", "the prompt", t_interval(difference, unit="gaps"))


def against_temperature(
    texts: Texts, concept: Concept, measured: Measured, cells: dict[int, Cell], chosen: int
) -> dict[str, str]:
    """The chosen cell against raising the temperature until as much coherence is lost, paired by prompt.

    The ladder's gain is interpolated at the chosen cell's coherence kept; temperature 1 is no steering, gain 0.
    """
    label = "Against temperature at equal coherence"
    ones = np.ones((1, len(texts.prompts)))
    ladder = [(1.0, 1.0, np.zeros(len(texts.prompts)))]
    for number in texts.find("temperature", concept.name):
        kept = float(coherence_of(ones, cells[number])[0])
        ladder.append((texts.conditions[number].temperature, kept, gain_of(texts, number, measured.score)))
    rising = sorted((step for step in ladder if step[0] >= 1.0), key=lambda step: step[0])
    target = float(coherence_of(ones, cells[chosen])[0])
    for (_, high, first), (_, low, second) in pairwise(rising):
        if low <= target <= high and high > low:
            share = (high - target) / (high - low)
            baseline = (1 - share) * first + share * second
            difference = gain_of(texts, chosen, measured.score) - baseline
            return _said(label, f"temperature at coherence {target:.2f}", t_interval(difference, unit="gaps"))
    reach = f"the ladder reaches from {rising[0][1]:.2f} to {rising[-1][1]:.2f}"
    return {"label": label, "text": f"Not comparable: the chosen cell keeps {target:.2f} of coherence, {reach}."}


def _said(label: str, other: str, difference: Estimate) -> dict[str, str]:
    if not np.isfinite(difference.low):
        return {"label": label, "text": f"Not measured: {difference.n} prompts are too few for an interval."}
    word = "Better than" if difference.low > 0 else "Worse than" if difference.high < 0 else "Not distinguishable from"
    numbers = f"{difference.value:+z.2f} gaps, {_interval(difference)}"
    return {"label": label, "text": f"{word} {other} ({numbers})."}


def _interval(estimate: Estimate) -> str:
    ends = "no interval"
    if estimate.has_interval:
        ends = f"95 % interval {estimate.low:z.2f} to {estimate.high:z.2f}"
    return f"{ends}, {estimate.n} prompts"


def second_reader(
    model: Model, reader: Model, concept: Concept, texts: Texts, chosen: int, length: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """The gain as another model reads it, in that reader's own gaps: a table row and a sentence.

    Its layer is the same share of its depth. It removes this model's own noise and edits, not a confound both share.
    """
    label = f"Second reader ({reader.name})"
    if concept.scorer is None:
        return {}, {"label": label, "text": "Not measured."}
    layer = min(round((concept.scorer.layer + 1) / model.n_layers * reader.n_layers) - 1, reader.n_layers - 1)
    fitted = collect_activations(reader, concept.second_half, layers=[layer], position="text")
    scale = collect_activations(reader, concept.splits["dev"], layers=[layer], position="text", max_tokens=length)
    try:
        scorer = fit_scorer(mean_difference(fitted), scale, layer, length=length)
    except InputError:
        return {}, {"label": label, "text": "Does not separate the dev pairs, so it cannot say."}
    rows = np.flatnonzero(np.isin(texts.place[:, 0], [chosen, *texts.find("unsteered")]))
    wanted = texts.frame.iloc[rows]
    ids = [reader.encode_text(text) for text in wanted["text"]]
    score = np.full(len(texts.frame), np.nan)
    score[rows] = scorer.score(read_texts(reader, ids, layer, length=length).means).numpy()
    gain = t_interval(gain_of(texts, chosen, score), unit="gaps")
    row = table_row("test", "second_reader", "gain", "gaps", gain, layer=layer, group=reader.name)
    word = "Agrees" if gain.low > 0 else "Reads the opposite" if gain.high < 0 else "Sees no clear gain"
    said = f"{word}: {gain.value:+z.2f} of its gaps ({_interval(gain)})."
    return {"concept": concept.name, **row}, {"label": label, "text": said}


def gain_left(
    concept: Concept,
    texts: Texts,
    measured: Measured,
    chosen: int,
    nuisances: dict[str, Float[Tensor, "layer d_model"]],
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The chosen cell's gain with nuisance directions projected out of the score, one at a time and all together."""
    if concept.scorer is None or not nuisances:
        return [], []
    index = concept.dev_texts.layers.index(concept.scorer.layer)
    whole = t_interval(gain_of(texts, chosen, measured.score)).value
    groups = {name: vectors[index][None] for name, vectors in nuisances.items()}
    groups["all of them"] = torch.cat(list(groups.values()))
    rows, shares = [], []
    for name, vectors in groups.items():
        try:
            scorer = concept.scorer.without(vectors, concept.dev_texts)
        except InputError:
            shares.append(f"{name}: nothing is left of the score")
            continue
        gain = t_interval(gain_of(texts, chosen, scorer.score(measured.means).numpy().astype(float)), unit="gaps")
        row = table_row("test", "nuisance_removed", "gain_left", "gaps", gain, layer=concept.scorer.layer, group=name)
        rows.append({"concept": concept.name, **row})
        shares.append(f"{name} {gain.value / whole:.0%}" if whole > 0 else f"{name} {gain.value:+z.2f} gaps")
    return rows, [{"label": "Gain left without nuisance directions", "text": ", ".join(shares) + "."}]


def adversarial_contrasts(model: Model, scorer: Scorer) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Read the adversarial pairs out: which contrasts the score gets right more often than a coin would.

    Table rows with the paired accuracy of each contrast, and a sentence with the one-sided sign tests (binomial, 0.05).
    The texts are read alone and whole, as the test pairs are.
    """
    pairs = load_shipped(ADVERSARIAL)
    read = collect_activations(model, pairs, layers=[scorer.layer], position="text")
    margins = np.asarray(scorer.score(read.creative[0]) - scorer.score(read.boring[0]), dtype=float)
    rows, said, passed = [], [], 0
    contrasts = list(dict.fromkeys(pair.domain for pair in pairs))
    for contrast in contrasts:
        here = [i for i, pair in enumerate(pairs) if pair.domain == contrast]
        right, n = int((margins[here] > 0).sum()), int((margins[here] != 0).sum())
        p = float(binomtest(right, n, alternative="greater").pvalue) if n else 1.0
        passed += p <= 0.05
        said.append(f"{contrast} {right} of {n} (p {p:.3f})")
        accuracy = paired_accuracy(margins[here], [pairs[i].topic for i in here])
        rows.append(
            table_row(
                "readout", ADVERSARIAL, "paired_accuracy", "share", accuracy, layer=scorer.layer, group=contrast,
                note=f"one-sided sign test, p {p:.4f}",
            )
        )  # fmt: skip
    text = f"The score passes {passed} of {len(contrasts)} (sign tests at 0.05): {'; '.join(said)}."
    return rows, {"label": "Adversarial contrasts", "text": text}
