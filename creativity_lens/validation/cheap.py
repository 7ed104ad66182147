"""Cheap scorers: what texts can be scored by without any direction. A direction that does no better has shown nothing.

Length, mean word length and type-token ratio need no model; surprisal and distance to the prompt need the clean one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from creativity_lens.concept import mean_embeddings
from creativity_lens.models import Model
from creativity_lens.text_features import words_of

COVARIATES = ("length", "surprisal")  # held fixed in partial correlations
DISTANCE = "distance to prompt"


def cheap_scores(
    model: Model, texts: Sequence[str], prompts: Sequence[str | None], surprisal: Float[np.ndarray, " text"]
) -> dict[str, Float[np.ndarray, " text"]]:
    """Each text's `CHEAP` scores; the distance only where every text has a prompt.

    Length in words, word length in characters, types per token of lower-case words, surprisal in nats per token as
    given. Distance: 1 - cosine of the mean input embeddings of the text's and of its prompt's tokens, each less the
    mean over all texts or prompts, so that what all share does not count.
    """
    words = [words_of(text) for text in texts]
    counts = np.array([len(each) for each in words], dtype=float)
    some = np.maximum(counts, 1)
    found = {
        "length": counts,
        "word length": np.array([sum(map(len, each)) for each in words]) / some,
        "type-token ratio": np.array([len(set(each)) for each in words]) / some,
        "surprisal": surprisal.astype(float),
    }
    known = [prompt for prompt in prompts if prompt is not None and prompt.strip()]
    if len(known) == len(texts):
        found[DISTANCE] = _distances(model, texts, known)
    return found


def _distances(model: Model, texts: Sequence[str], prompts: Sequence[str]) -> Float[np.ndarray, " text"]:
    distinct = list(dict.fromkeys(prompts))
    places = {prompt: place for place, prompt in enumerate(distinct)}
    own, asked = mean_embeddings(model, texts), mean_embeddings(model, distinct)
    own, asked = own - own.mean(0), asked - asked.mean(0)  # of one prompt alone nothing is left: all distances are 1
    cosines = torch.nn.functional.cosine_similarity(own, asked[[places[prompt] for prompt in prompts]], dim=-1)
    return (1 - cosines).numpy().astype(float)
