"""Scoring: finished texts read by the clean model. Nothing here edits the model.

The score of a text x is s(x) = w . (mean_t h_r(x_t) - c) / G: the projection of its mean activation at the read-out
layer r, read alone, on a direction w of unit length that was fitted on other pairs than the one that steered. G is the
mean difference creative - boring on dev pairs at the same length, so the unit is the *gap*. A projection, not a cosine:
the centred cosine of a mean grows with length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache

from creativity_lens.activations import Activations
from creativity_lens.directions import Directions
from creativity_lens.errors import InputError
from creativity_lens.models import Model
from creativity_lens.prefix import continue_rows, prefill
from creativity_lens.reading import Passage, alone, means_at, own_means, padded, read, show
from creativity_lens.work import Arrays, Work, carry_out_rows

# of one batch's logits, which dwarf the rest of a teacher-forced pass: what a processor's cache holds; a GPU wants more
LOGIT_BYTES, GPU_LOGIT_BYTES = 24 << 20, 1 << 30
SOFTMAX_BYTES, GPU_SOFTMAX_BYTES = 4 << 20, 1 << 29  # of the logits that are normalised at once


@dataclass(frozen=True, eq=False)
class Scorer:
    """A fitted score: reads a text's creativity (or another concept) in gaps."""

    layer: int
    vector: Float[Tensor, " d_model"]  # unit length
    center: Float[Tensor, " d_model"]
    gap: float  # residual units a gap
    length: int | None  # texts are cut to this many tokens
    cosine: bool = False  # score by the cosine with the raw mean, as arXiv 2412.06060 (centring there: assumed none)

    def score(self, means: Float[Tensor, "text d_model"]) -> Float[Tensor, " text"]:
        """Scores of texts' mean activations at the scorer's layer, in gaps."""
        if self.cosine:
            return torch.nn.functional.normalize(means, dim=-1) @ self.vector / self.gap
        return (means - self.center) @ self.vector / self.gap

    def without(self, nuisances: Float[Tensor, "nuisance d_model"], gap_from: Activations) -> "Scorer":
        """The same score with the span of some directions projected out, its gap measured anew on `gap_from`.

        Raises `InputError` where under a thousandth of the direction is left, or what is left separates nothing.
        """
        # not QR: of dependent directions it would add an arbitrary one to the span
        _, sizes, basis = torch.linalg.svd(torch.nn.functional.normalize(nuisances, dim=-1), full_matrices=False)
        basis = basis[sizes > 1e-5]
        vector = self.vector - basis.T @ (basis @ self.vector)
        left = float(vector.norm())
        if left < 1e-3:
            raise InputError(
                f"layer {self.layer}: the nuisances span the score's direction; expected some of it to be left."
            )
        unscaled = replace(self, vector=vector / left, gap=1.0)
        return replace(unscaled, gap=_gap(unscaled, gap_from))


def fit_scorer(fitted: Directions, dev: Activations, layer: int, *, length: int | None, cosine: bool = False) -> Scorer:
    """The score at `layer` from directions of one half of the pairs, in units of the dev pairs' mean difference.

    Both must have been collected from texts read alone, the dev pairs' cut to `length` tokens, as texts to score are.
    Raises `InputError` where dev pairs do not lie on the side that the direction says.
    """
    direction = fitted.at(layer)
    unscaled = Scorer(layer, direction.vector, direction.center, 1.0, length, cosine)
    return replace(unscaled, gap=_gap(unscaled, dev))


def _gap(unscaled: Scorer, dev: Activations) -> float:
    """Mean difference creative - boring on the dev pairs, in the unscaled score's units."""
    index = dev.layers.index(unscaled.layer)
    gap = float((unscaled.score(dev.creative[index]) - unscaled.score(dev.boring[index])).mean())
    if not gap > 0:
        raise InputError(
            f"layer {unscaled.layer}: the direction does not separate the dev pairs (margin {gap:.3g}, expected above "
            "0); take more pairs, or pairs that differ more."
        )
    return gap


@dataclass(frozen=True, eq=False)
class Readings:
    """What the clean model's residual stream at one layer says of texts read alone."""

    means: Float[Tensor, "text d_model"]  # NaN for an empty text
    tokens: list[Float[Tensor, "_"]]  # each token's score in gaps, their mean is the text's; empty without a scorer


def read_texts(
    model: Model,
    texts: Sequence[Sequence[int]],
    layer: int,
    *,
    length: int | None = None,
    scorer: Scorer | None = None,
    description: str = "scoring",
) -> Readings:
    """Mean activation at `layer` of each text (token ids) read alone; with `scorer`, also every token's score in gaps.

    Texts are cut to `length` tokens. Raises `InputError` for a text longer than the context.

    >>> scorer.score(read_texts(model, [text.token_ids for text in texts], scorer.layer).means)      # doctest: +SKIP
    """
    longest = max((len(text[:length]) for text in texts), default=0) + len(model.start_ids)
    if longest > model.context:
        raise InputError(
            f"text of {longest} tokens: expected at most the context of {model.context} of {model.name}; set length=."
        )
    passages = [alone(model, text, length=length) for text in texts]
    if not passages:
        return Readings(torch.empty(0, model.d_model), [])
    if scorer is None:
        means = read(model, passages, means_at, layer, description=description)["means"]
        return Readings(torch.from_numpy(means), [torch.empty(0)] * len(texts))
    found = read(model, passages, _token_scores, (layer, scorer), description=description)
    tokens = [
        torch.from_numpy(row[: len(passage.own)][list(passage.own)])
        for row, passage in zip(found["tokens"], passages, strict=True)
    ]
    return Readings(torch.from_numpy(found["means"]), tokens)


def _token_scores(model: Model, settings: tuple[int, Scorer], passages: Sequence[Passage]) -> Arrays:
    """Verb: `means [text, d_model]`, and `tokens [text, pos]`, every position's score in gaps."""
    layer, scorer = settings
    batch, kept = padded(model, passages), list[Tensor]()

    def see(residual: Tensor) -> None:
        means = own_means(residual, batch.own)
        vector, center = scorer.vector.to(residual.device), scorer.center.to(residual.device)
        if scorer.cosine:  # shares of the text's cosine
            tokens = residual.float() @ vector / means.norm(dim=-1, keepdim=True) / scorer.gap
        else:
            tokens = (residual.float() @ vector - center @ vector) / scorer.gap
        kept.extend([means, tokens])

    show(model, batch, {layer: see})
    return {"means": kept[0].cpu().numpy(), "tokens": kept[1].cpu().numpy()}


def read_passages(model: Model, passages: Sequence[Passage], layer: int) -> Float[Tensor, "text d_model"]:
    """Mean activation at `layer` over each passage's own positions."""
    return torch.from_numpy(read(model, passages, means_at, layer)["means"])


def surprisals(
    model: Model, prompts: Sequence[str], texts: Sequence[Sequence[int]], *, description: str = "surprisal"
) -> Float[Tensor, " text"]:
    """Mean surprisal of each text under the clean model given its prompt, in nats per token; NaN for an empty text.

    Each distinct prompt runs once and its cache is shared by all of its texts. Raises `InputError` for a prompt and
    text longer than the context.

    >>> surprisals(model, ["Write about rain."], [model.encode_text("It rains.")])      # doctest: +SKIP
    """
    lengths = {prompt: len(model.encode_prompt(prompt).ids) for prompt in dict.fromkeys(prompts)}
    longest = max((lengths[prompt] + len(text) for prompt, text in zip(prompts, texts, strict=True)), default=0)
    if longest > model.context:
        raise InputError(
            f"prompt and text of {longest} tokens: expected at most the context of {model.context} of {model.name}."
        )
    order = sorted((i for i in range(len(texts)) if len(texts[i])), key=lambda i: (prompts[i], len(texts[i]), i))
    groups: list[list[int]] = []
    while order:
        width = max(len(texts[i]) for i in order)
        size = max(1, logit_room(model) // (4 * width * model.vocabulary))
        groups.append(order[:size])
        order = order[size:]
    works = [
        Work(_surprisals, None, tuple((prompts[i], tuple(texts[i])) for i in rows), sum(len(texts[i]) for i in rows))
        for rows in groups
    ]
    found = carry_out_rows(model, works, groups, len(texts), description=description)
    return torch.from_numpy(found["surprisal"]) if works else torch.full((len(texts),), torch.nan)


def logit_room(model: Model) -> int:
    """Bytes that one batch's logits may take."""
    return GPU_LOGIT_BYTES if model.device.type == "cuda" else LOGIT_BYTES


def _surprisals(model: Model, _: None, rows: Sequence[tuple[str, tuple[int, ...]]]) -> Arrays:
    """Verb: `surprisal [text]` of texts given their prompts, in nats per token."""
    prompts, texts = [prompt for prompt, _ in rows], [ids for _, ids in rows]
    with torch.inference_mode():
        return {"surprisal": -_log_probabilities(model, prompts, texts).numpy()}


def _log_probabilities(model: Model, prompts: Sequence[str], texts: Sequence[Sequence[int]]) -> Float[Tensor, " text"]:
    distinct = list(dict.fromkeys(prompts))
    prefix = prefill(model, [model.encode_prompt(prompt).ids for prompt in distinct])
    source = torch.tensor([distinct.index(prompt) for prompt in prompts], device=model.device)
    width = max(map(len, texts))
    ids = torch.full((len(texts), width), model.pad_id)
    real = torch.zeros(len(texts), width)
    for row, text in enumerate(texts):
        ids[row, : len(text)], real[row, : len(text)] = torch.tensor(text), 1.0
    ids, real = ids.to(model.device), real.to(model.device)
    first = token_log_probabilities(prefix.logits[source][:, None], ids[:, :1])
    rest = continue_logits(model, *continue_rows(prefix, source, width), ids)
    logs = torch.cat([first, token_log_probabilities(rest, ids[:, 1:])], dim=1)
    return ((logs * real).sum(-1) / real.sum(-1)).cpu()


def continue_logits(model: Model, cache: Cache, mask: Tensor, ids: Tensor) -> Float[Tensor, "row rest vocab"]:
    """Teacher-forced logits for the tokens of `ids [row, pos]` after the first, which follows the cached prompt."""
    width = ids.shape[1] - 1
    if width == 0:
        return torch.empty(len(ids), 0, model.vocabulary, device=ids.device)
    start = mask.shape[1] - ids.shape[1]
    positions = mask[:, :start].sum(-1, keepdim=True) + torch.arange(width, device=ids.device)
    return model.forward(ids[:, :-1], mask=mask[:, : start + width], positions=positions, cache=cache)


def token_log_probabilities(
    logits: Float[Tensor, "row pos vocab"], ids: Int[Tensor, "row pos"]
) -> Float[Tensor, "row pos"]:
    """Log probability of each token, in nats, accumulated in float32."""
    flat, targets = logits.flatten(0, 1), ids.flatten()
    # some rows at a time: four times as fast where their softmax stays in the cache, and never a second copy of all
    size = max(1, (SOFTMAX_BYTES if logits.device.type == "cpu" else GPU_SOFTMAX_BYTES) // (4 * logits.shape[-1]))
    losses = [
        torch.nn.functional.cross_entropy(some.float(), wanted, reduction="none")
        for some, wanted in zip(flat.split(size), targets.split(size), strict=True)
    ]
    return -torch.cat(losses).view(ids.shape)
