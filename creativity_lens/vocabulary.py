"""Two models that share a vocabulary: whether they do, id by id, and each asked in the other's form.

An aligned model and its base can be mixed, or compared token by token, only where an id means the same token in both.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from creativity_lens.errors import InputError
from creativity_lens.models import Model

_SHOWN = 3  # differing ids that a refusal names


def check_same_vocabulary(first: Model, second: Model) -> None:
    """Refuse two models whose ids mean different tokens; the error names the first ids that differ.

    Ids that only one of them has are fine: the other gives them probability 0. A special token, which stands for no
    text, may have a name that the other model does not know (a reserved place that training gave a use); one that both
    know must have the same id.

    >>> check_same_vocabulary(load_model("pocket-chat"), load_model("pocket-base"))  # doctest: +SKIP
    """
    here, there = _tokens(first), _tokens(second)
    known_here, known_there = set(here.values()), set(there.values())
    special = _special(first) & _special(second)

    def renamed(index: int) -> bool:
        return index in special and here[index] not in known_there and there[index] not in known_here

    shared = sorted(set(here) & set(there))
    differing = [index for index in shared if here[index] != there[index] and not renamed(index)]
    if differing:
        shown = "; ".join(f"id {i} is {here[i]!r} and {there[i]!r}" for i in differing[:_SHOWN])
        raise InputError(
            f"{first.name} and {second.name}: expected one vocabulary, id for id; {len(differing)} of {len(shared)} "
            f"ids differ ({shown}{'; ...' * (len(differing) > _SHOWN)}); choose a base and an aligned model of one "
            "family."
        )
    if not shared:
        raise InputError(f"{first.name} and {second.name}: expected one vocabulary, id for id; they share no id.")


def as_asked_by(base: Model, aligned: Model) -> Model:
    """The base model, asked in the aligned model's chat template: same weights, the other's tokenizer and template.

    Raises `InputError` where the aligned model has no template in use, the vocabularies differ, or the base model has
    no embedding for a token of the template.

    >>> as_asked_by(base, aligned).encode_prompt("Write.").ids == aligned.encode_prompt("Write.").ids  # doctest: +SKIP
    """
    if aligned.template != "chat":
        raise InputError(f"{aligned.name}: expected a model with a chat template in use, to ask {base.name} in it.")
    check_same_vocabulary(base, aligned)
    asked = replace(base, tokenizer=aligned.tokenizer, template="chat")
    ids = asked.encode_prompt("Hello").ids
    unknown = next((index for index in ids if index >= base.vocabulary), None)
    if unknown is not None:
        token = aligned.tokenizer.convert_ids_to_tokens(unknown)
        raise InputError(
            f"{base.name}: expected an embedding for every token of {aligned.name}'s template, it has none for id "
            f"{unknown} ({token!r}); ask it in plain form."
        )
    return asked


def in_plain(model: Model) -> Model:
    """The model, asked in plain text: the prompt and a line break, whatever template it has."""
    return model if model.template == "none" else replace(model, template="none")


def known_ids(model: Model, ids: Sequence[int]) -> tuple[int, ...]:
    """Another model's token ids as this one reads them: an id that it has no embedding for is its beginning token."""
    return tuple(index if index < model.vocabulary else model.start_ids[0] for index in ids)


def _tokens(model: Model) -> dict[int, str]:
    """The token of each id that the model gives a logit for."""
    vocabulary: dict[str, int] = model.tokenizer.get_vocab()
    return {int(index): token for token, index in vocabulary.items() if index < model.vocabulary}


def _special(model: Model) -> set[int]:
    added: dict[int, Any] = model.tokenizer.added_tokens_decoder
    return {int(index) for index, token in added.items() if token.special}
