import random

import pytest
from tiny_models import CHATML, byte_level_tokenizer, sentencepiece_tokenizer, word_piece_tokenizer

from creativity_lens.errors import InputError
from creativity_lens.tokens import chat_text, choose_template, own_tokens, text_pieces, token_bytes, turns_text

MAKERS = {"byte-level": byte_level_tokenizer, "sentencepiece": sentencepiece_tokenizer, "words": word_piece_tokenizer}
LLAMA2 = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] | trim }} [/INST]{% endfor %}"
WITH_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ raise_exception('a system message comes first') }}{% endif %}"
    "{{ messages[0]['content'] }}<|user|>{{ messages[1]['content'] }}\n<|assistant|>"
)
PARTS = "{% for m in messages %}{% for part in m['content'] %}<|user|>{{ part['text'] }}\n{% endfor %}{% endfor %}"
TWICE = "{% for m in messages %}You are asked: {{ m['content'] }}\nAgain: {{ m['content'] }}\n{% endfor %}"
WORDY = "{% for m in messages %}the user wrote, the user asks: {{ m['content'] }} the user waits{% endfor %}"
DATED = "\nToday is {{ strftime_now('%d %B %Y') }}, {{ date_string }}. {{ messages[0]['content'] }}"


@pytest.fixture(params=["byte-level", "sentencepiece"])
def tokenizer(request):
    return MAKERS[request.param]()


def decode(tokenizer):
    return lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def pieces(tokenizer, ids):
    return text_pieces(ids, token_bytes(tokenizer), decode(tokenizer))


def own_text(tokenizer, whole, spans):
    """The text of the tokens that are called the prompt's own, and all ids."""
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    own = own_tokens(whole, encoded["offset_mapping"], spans)
    return tokenizer.decode([i for i, mine in zip(encoded["input_ids"], own, strict=True) if mine])


TEXTS = ["The fox writes.", "the the", " the", "Wo 🦊 über, 北京 e\u0301?", "  two\n\nlines ", "🦊", "", "x" * 40]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_text(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    found = pieces(tokenizer, ids)
    assert len(found) == len(ids)
    assert "".join(found) == decode(tokenizer)(ids) == text


def test_a_split_character_comes_with_its_last_token(tokenizer):
    ids = tokenizer("🦊", add_special_tokens=False).input_ids
    tail = ids[-4:]  # four bytes, one token each
    assert [piece.strip() for piece in pieces(tokenizer, ids)][-4:] == ["", "", "", "🦊"]
    assert "".join(pieces(tokenizer, tail[:3])) == decode(tokenizer)(tail[:3])  # cut off: a replacement sign at the end
    assert pieces(tokenizer, tail[:3])[:2] == ["", ""]


@pytest.mark.parametrize("kind", MAKERS)
def test_pieces_of_any_ids_are_what_they_decode_to(kind):
    """Also where the bytes are no text, with special tokens between, and ids beyond the vocabulary."""
    tokenizer = MAKERS[kind]()
    table = token_bytes(tokenizer)
    draw = random.Random(0)
    for _ in range(100):
        ids = [draw.randrange(len(tokenizer)) for _ in range(draw.randrange(12))]
        assert "".join(text_pieces(ids, table, decode(tokenizer))) == decode(tokenizer)(ids)


def test_pieces_of_words_follow_the_decoder():
    tokenizer = word_piece_tokenizer()
    ids = tokenizer("the fox jumps, jumping over [END]", add_special_tokens=False).input_ids
    assert pieces(tokenizer, ids) == ["the", " fox", " jump", "s", " ,", " jump", "ing", " over", ""]


def test_pieces_decode_once(tokenizer):
    calls = []

    def counted(ids):
        calls.append(len(ids))
        return decode(tokenizer)(ids)

    ids = tokenizer("The 🦊 writes, the fox thinks.", add_special_tokens=False).input_ids
    ids = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
    text_pieces(ids, token_bytes(tokenizer), counted)
    assert calls == [len(ids)]


PROMPTS = ["Write a line.", "user", "the user asks:", "  the  fox ", "a", "Wo 🦊 北京?", "two\nlines", "[INST] the"]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("template", [CHATML, LLAMA2, WITH_SYSTEM, PARTS, WORDY], ids=range(5))
def test_own_tokens_are_the_prompt(tokenizer, template, prompt):
    """The template's words are not the prompt's, even where they are the same words."""
    tokenizer.chat_template = template
    whole, spans = chat_text(tokenizer, prompt)
    assert len(spans) == 1
    assert whole[slice(*spans[0])].strip() == prompt.strip()
    assert own_text(tokenizer, whole, spans).strip() == prompt.strip()


def test_a_message_put_twice_is_own_twice(tokenizer):
    tokenizer.chat_template = TWICE
    whole, spans = chat_text(tokenizer, "the fox")
    assert [whole[a:b] for a, b in spans] == ["the fox", "the fox"]
    assert own_text(tokenizer, whole, spans).split() == ["the", "fox", "the", "fox"]


def test_a_message_that_the_template_alters(tokenizer):
    tokenizer.chat_template = "{% for m in messages %}<|user|>{{ m['content'] | upper }}\n{% endfor %}"
    whole, spans = chat_text(tokenizer, "tell the fox")
    assert whole[slice(*spans[0])] == "TELL THE FOX"
    # a template that looks at the message: the frame differs, the words are still found
    tokenizer.chat_template = "{{ messages[0]['content'] | length }}: {{ messages[0]['content'] }}"
    whole, spans = chat_text(tokenizer, "the fox")
    assert (whole, spans) == ("7: the fox", [(3, 10)])
    tokenizer.chat_template = "{{ messages[0]['content'] | length }}: {{ messages[0]['content'] | reverse }}"
    with pytest.raises(InputError, match="alters 'the fox' beyond recognition"):
        chat_text(tokenizer, "the fox")


def test_templates_that_take_no_user_message(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('only tools speak here') }}"
    with pytest.raises(InputError, match=r"only tools speak here.*template='none'"):
        chat_text(tokenizer, "the fox")
    tokenizer.chat_template = "Hello."
    with pytest.raises(InputError, match="drops the user's message"):
        chat_text(tokenizer, "the fox")
    with pytest.raises(InputError, match="drops"):
        choose_template(tokenizer, "auto", "some-chat")


def test_the_same_prompt_gives_the_same_text_on_any_day(tokenizer):
    tokenizer.chat_template = DATED
    assert chat_text(tokenizer, "Hi")[0] == "\nToday is 26 Jul 2024, 26 Jul 2024. Hi"


def test_choice_of_template(tokenizer):
    tokenizer.chat_template = CHATML
    names = [
        "pocket-base",
        "pocket-chat",
        "Qwen/Qwen2.5-7B",
        "Qwen/Qwen2.5-7B-Instruct",
        "/models/my-base",
        "/models/x",
    ]
    assert [choose_template(tokenizer, "auto", name) for name in names] == ["none", "chat"] * 3
    assert {choose_template(tokenizer, "none", name) for name in names} == {"none"}
    assert {choose_template(tokenizer, "chat", name) for name in names} == {"chat"}
    tokenizer.chat_template = None
    assert {choose_template(tokenizer, "auto", name) for name in names} == {"none"}
    with pytest.raises(InputError, match="expected a chat template"):
        choose_template(tokenizer, "chat", "x")


# ---- conversations ----

ROLES = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SYSTEM_FIRST = (
    "{% if messages[0]['role'] != 'system' %}{{ raise_exception('a system message comes first') }}{% endif %}" + ROLES
)
OF_PARTS = (
    "{% for m in messages %}<{{ m['role'] }}>{% for part in m['content'] %}{{ part['text'] }}{% endfor %}"
    "{{ '\n' }}{% endfor %}<assistant>"
)


@pytest.mark.parametrize(("template", "front"), [(ROLES, ""), (SYSTEM_FIRST, "<system>\n"), (OF_PARTS, "")])
def test_a_conversation_alternates_and_ends_where_the_answer_begins(tokenizer, template, front):
    tokenizer.chat_template = template
    said = turns_text(tokenizer, ["Hi.", "Hello!", "And the fox?"])
    assert said == front + "<user>Hi.\n<assistant>Hello!\n<user>And the fox?\n<assistant>"
    assert turns_text(tokenizer, ["Hi."]) == chat_text(tokenizer, "Hi.")[0], "one turn is a prompt"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages[0]['content'] }}", "drops a turn"),
        ("{% if messages | length > 1 %}{{ raise_exception('one message only') }}{% endif %}x", "one message only"),
    ],
)
def test_templates_that_take_no_conversation(tokenizer, template, said):
    tokenizer.chat_template = template
    with pytest.raises(InputError, match=f"takes a conversation.*{said}"):
        turns_text(tokenizer, ["Hi.", "Hello!", "And the fox?"])
