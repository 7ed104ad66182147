"""What is to be generated: rows, each with its prompt, luck, edits and mixture; and how their tokens are drawn.

Everything that can be wrong with them is found here, before any model runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from creativity_lens.errors import InputError, check_choice
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import Mixing, Weight, check_gamma, check_truncation, is_truncated
from creativity_lens.steering import RowEdits
from creativity_lens.vocabulary import check_same_vocabulary

# a layer and a direction [d_model]: record each text's mean projection over the tokens it read back, edit in place
Probe = tuple[int, Tensor]
Ids = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Row:
    """One text to generate: which prompt, with which luck, edited how, and how much of the partner model mixed in."""

    prompt: Prompt
    seed: int
    steering: RowEdits = None
    temperature: float = 1.0
    ids: Ids | None = None  # what the model is given, where that is not the prompt alone (a conversation)
    gamma: Weight | None = None  # weight of the partner, 0 to 1; None is 0
    partner_temperature: float | None = None  # None: the row's own
    partner_ids: Ids | None = None  # what the partner is given, where that is not the prompt in its own form


@dataclass(frozen=True, eq=False)
class Decoding:
    """How tokens are drawn, the same for all rows of a call."""

    max_new_tokens: int = 48
    min_new_tokens: int = 0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    scope: str = "generated"
    probe: Probe | None = None
    partner: Model | None = None
    mixing: Mixing = field(default_factory=Mixing)

    def check(self) -> None:
        """Refuse settings outside their range."""
        check_choice("scope", self.scope, ["generated", "all"])
        check_truncation(self.top_p, self.top_k, self.min_p)
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens: expected 1 or more, got {self.max_new_tokens}.")

    def needs(self, row: Row) -> tuple[bool, bool]:
        """Whether the row needs the model, and whether it needs the partner."""
        return self.mixing.needs(row.gamma, truncated=is_truncated(self.top_p, self.top_k, self.min_p))

    def temperatures(self, row: Row) -> tuple[float, float]:
        """The model's and the partner's; a row that only the partner writes is greedy where its own is 0."""
        other = row.temperature if row.partner_temperature is None else row.partner_temperature
        return row.temperature, 0.0 if row.temperature == 0 and not self.needs(row)[0] else other


def check_rows(model: Model, rows: Sequence[Row], decoding: Decoding) -> None:
    """Refuse rows with numbers out of range, and mixtures of models that do not share a vocabulary."""
    for row in rows:
        for temperature in (row.temperature, row.partner_temperature or 0.0):
            if not 0.0 <= temperature < math.inf:
                raise InputError(f"temperature: expected 0 (greedy) or a positive number, got {temperature}.")
        if row.gamma is not None:
            check_gamma(row.gamma)
    mixed = next((row for row in rows if row.gamma), None)
    if mixed is None:
        return
    if decoding.partner is None:
        raise InputError(f"gamma {mixed.gamma:g}: expected partner=, the base model to mix in; got none.")
    if decoding.partner.tokenizer is not model.tokenizer:
        check_same_vocabulary(model, decoding.partner)


def encode_rows(model: Model, rows: Sequence[Row], decoding: Decoding) -> list[tuple[Ids | None, Ids | None]]:
    """What the model and the partner are given for each row; None for the one that it does not need.

    Every distinct prompt is put into its form once. Raises `InputError` for a prompt that leaves no room in the context
    of a model that reads it.
    """
    needed = [decoding.needs(row) for row in rows]
    own = _encode(model, rows, [row.ids for row in rows], [first for first, _ in needed], decoding)
    if decoding.partner is None:
        return [(ids, None) for ids in own]
    given = [row.partner_ids for row in rows]
    return list(
        zip(own, _encode(decoding.partner, rows, given, [second for _, second in needed], decoding), strict=True)
    )


def _encode(
    model: Model, rows: Sequence[Row], given: Sequence[Ids | None], needed: Sequence[bool], decoding: Decoding
) -> list[Ids | None]:
    places = [place for place, is_needed in enumerate(needed) if is_needed]
    texts = dict.fromkeys(rows[place].prompt.text for place in places if given[place] is None)
    encoded = {text: model.encode_prompt(text).ids for text in texts}
    found: list[Ids | None] = [None] * len(rows)
    for place in places:
        text, own = rows[place].prompt.text, given[place]
        ids = encoded[text] if own is None else own
        check_room(model, len(ids), decoding.max_new_tokens, text)
        found[place] = ids
    return found


def check_room(model: Model, tokens: int, new: int, prompt: str) -> None:
    """Refuse a prompt of that many tokens that leaves no room for `new` ones in the model's context."""
    if tokens + new > model.context:
        raise InputError(
            f"prompt of {tokens} tokens + {new} new ones: expected at most the context of {model.context} of "
            f"{model.name}; shorten '{' '.join(prompt.split())[:60]}' or --max-new-tokens."
        )
