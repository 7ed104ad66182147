"""One vocabulary or none: ids compared one by one, the first that differ named."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tiny_models import CHATML, save_model

from creativity_lens.errors import InputError
from creativity_lens.models import Model, load_model
from creativity_lens.vocabulary import as_asked_by, check_same_vocabulary, in_plain, known_ids


def with_tokenizer(model: Model, tokens: dict[str, int], special: dict[int, str] | None = None) -> Model:
    """The model with another vocabulary, as the check sees it."""
    added = {index: SimpleNamespace(special=True, content=name) for index, name in (special or {}).items()}
    return replace(model, tokenizer=SimpleNamespace(get_vocab=lambda: tokens, added_tokens_decoder=added))


def test_the_built_in_models_share_theirs(chat, base):
    assert check_same_vocabulary(chat, base) is None


def test_the_first_differing_ids_are_named_with_both_tokens(chat):
    here = with_tokenizer(chat, {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5})
    there = with_tokenizer(replace(chat, name="other"), {"a": 0, "c": 1, "b": 2, "e": 3, "d": 4, "f": 5})
    with pytest.raises(InputError) as refused:
        check_same_vocabulary(here, there)
    said = str(refused.value)
    assert "pocket-chat and other: expected one vocabulary" in said
    assert "4 of 6 ids differ (id 1 is 'b' and 'c'; id 2 is 'c' and 'b'; id 3 is 'd' and 'e'; ...)" in said


def test_ids_that_one_of_them_lacks_are_fine_and_no_shared_id_is_not(chat):
    fewer, more = with_tokenizer(chat, {"a": 0, "b": 1}), with_tokenizer(chat, {"a": 0, "b": 1, "<|end|>": 2})
    check_same_vocabulary(fewer, more)
    check_same_vocabulary(more, fewer)
    with pytest.raises(InputError, match="they share no id"):
        check_same_vocabulary(fewer, with_tokenizer(chat, {"x": 7}))


def test_ids_beyond_the_logits_do_not_count(chat):
    more = with_tokenizer(chat, {"a": 0, "b": chat.vocabulary})
    check_same_vocabulary(more, with_tokenizer(chat, {"a": 0, "c": chat.vocabulary}))


def test_a_reserved_special_token_may_have_a_name_and_may_not_have_moved(chat):
    reserved = with_tokenizer(chat, {"a": 0, "<|end|>": 1, "<|reserved|>": 2}, {1: "<|end|>", 2: "<|reserved|>"})
    named = with_tokenizer(chat, {"a": 0, "<|end|>": 1, "<|user|>": 2}, {1: "<|end|>", 2: "<|user|>"})
    moved = with_tokenizer(chat, {"a": 0, "<|reserved|>": 1, "<|end|>": 2}, {1: "<|reserved|>", 2: "<|end|>"})
    plain = with_tokenizer(chat, {"a": 0, "<|end|>": 1, "word": 2}, {1: "<|end|>"})
    check_same_vocabulary(reserved, named)
    for other in (moved, plain):
        with pytest.raises(InputError, match="id for id"):
            check_same_vocabulary(reserved, other)


def mangle(folder):
    """Two ordinary tokens of a saved tokenizer change places."""
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text())
    vocabulary = saved["model"]["vocab"]
    by_id = {index: token for token, index in vocabulary.items()}
    # the first two longer tokens: single letters are the alphabet, which merges are made of
    one, other = [index for index in sorted(by_id) if len(by_id[index]) > 1 and "<" not in by_id[index]][:2]
    vocabulary[by_id[one]], vocabulary[by_id[other]] = other, one
    path.write_text(json.dumps(saved))
    return one, other


def test_a_folder_with_two_tokens_swapped_is_refused_by_their_ids(chat, tmp_path):
    folder = save_model(tmp_path / "mangled")
    one, other = mangle(folder)
    with pytest.raises(InputError, match=rf"2 of 4096 ids differ \(id {one} is .*; id {other} is "):
        check_same_vocabulary(chat, load_model(folder))


def test_a_base_model_is_asked_in_the_other_ones_template_and_back(chat, base):
    asked = as_asked_by(base, chat)
    prompt = "Write about a lighthouse."
    assert asked.encode_prompt(prompt) == chat.encode_prompt(prompt)
    assert asked.encode_prompt(prompt) != base.encode_prompt(prompt)
    assert asked.bridge is base.bridge
    assert in_plain(asked).encode_prompt(prompt) == base.encode_prompt(prompt)
    assert in_plain(chat).encode_prompt(prompt) == base.encode_prompt(prompt)
    assert in_plain(base) is base
    assert base.template == "none", "the model itself is as it was"
    assert asked.template_hash == chat.template_hash != base.template_hash


def test_a_template_is_needed_and_its_tokens_must_be_known(chat, base, tmp_path):
    with pytest.raises(InputError, match="pocket-base: expected a model with a chat template in use"):
        as_asked_by(chat, base)
    tiny = load_model(save_model(tmp_path / "tiny", template=CHATML))
    short = replace(tiny, shape=replace(tiny.shape, vocabulary=3))  # a model with embeddings for ids 0 to 2 only
    with pytest.raises(InputError, match="none for id"):
        as_asked_by(short, chat)


def test_an_id_that_a_model_lacks_is_read_as_its_beginning(base):
    assert known_ids(base, (5, base.vocabulary, base.vocabulary - 1)) == (5, base.start_ids[0], base.vocabulary - 1)
