"""Rated texts as the clean model reads them: every text once, at every layer, whatever set it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from creativity_lens.directions import Directions
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.ratings import Ratings
from creativity_lens.text_scores import held_against
from creativity_lens.token_readings import Probe, means_of, read_tokens, window_size
from creativity_lens.validation.cheap import cheap_scores
from creativity_lens.yardstick import Yardstick


@dataclass(frozen=True, eq=False)
class Scored:
    """The texts of a rated set that the model can read, and their scores."""

    ratings: Ratings  # of these texts alone
    items: pd.DataFrame  # item, text, prompt, group, author, source
    layers: tuple[int, ...]
    scores: Float[np.ndarray, "layer text"]  # gaps of whole responses at the primary layer; residual units at others
    cheap: dict[str, Float[np.ndarray, " text"]]
    percentiles: Float[np.ndarray, " text"]  # among the creative test responses of like length, 0 to 100
    n_missing: int  # items without a text
    n_empty: int  # texts without a token


def score_rated(
    model: Model, yardstick: Yardstick, directions: Directions | None, sets: Sequence[Ratings]
) -> list[Scored]:
    """Score every distinct text of all sets once, at the yardstick's layer and at those of `directions`.

    The unit is one for all lengths: a gap that followed the length, as that of `score_texts` does, would bring length
    into a correlation. Raises `InputError` for another model than the yardstick's, and for a set without any text.
    """
    yardstick.check(model)
    probes = [yardstick.probe]
    if directions is not None:
        probes += [_probe(directions, layer) for layer in directions.layers if layer != yardstick.layer]
    probes.sort(key=lambda probe: probe.layer)
    kept = [ratings.with_texts() for ratings in sets]
    for ratings, found in zip(sets, kept, strict=True):
        if not len(found):
            raise InputError(f"{ratings.name}: no item has a text; expected texts to score.")
    texts = list(dict.fromkeys(text for ratings in kept for text in ratings.items["text"]))
    ids = model.encode_texts(texts)
    lengths = np.array([len(each) for each in ids], dtype=int)
    values, surprisals = read_tokens(model, probes, ids, window_size(model, None), description="rated texts")
    means, nats = means_of(values, lengths), means_of(surprisals[None], lengths)[0]
    primary = [probe.layer for probe in probes].index(yardstick.layer)
    _, below, _ = held_against(yardstick, means[primary], lengths)
    means[primary] /= yardstick.whole.value
    places = {text: place for place, text in enumerate(texts)}
    layers = tuple(probe.layer for probe in probes)
    scored = []
    for ratings, found in zip(sets, kept, strict=True):
        at = np.array([places[text] for text in found.items["text"]])
        full = lengths[at] > 0
        items, at = found.items[full].reset_index(drop=True), at[full]
        if not len(items):
            raise InputError(f"{ratings.name}: no text has a token; expected texts to score.")
        own = Ratings(found.frame[found.frame["item"].isin(items["item"])], found.name, found.group_name)
        prompts = [None if pd.isna(prompt) else str(prompt) for prompt in items["prompt"]]
        cheap = cheap_scores(model, list(items["text"]), prompts, nats[at])
        missing, empty = len(ratings.items) - len(full), int((~full).sum())
        scored.append(Scored(own, items, layers, means[:, at], cheap, below[at, 0], missing, empty))
    return scored


def _probe(directions: Directions, layer: int) -> Probe:
    direction = directions.at(layer)
    return Probe(layer, direction.vector, float(direction.center @ direction.vector))
