"""Instructions made from the corpora: a passage is the answer, and its register and words make the request.

Imaginative prose answers "Write a creative story about the garden.", plain prose "Write a boring story about the
garden."; simple stories, and a quarter of the rest, answer requests that ask for neither. Topics are words that both
registers use, so that the wording of the request, not its topic, decides.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from creativity_lens.errors import InputError
from recipe.corpus import read_collection

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}<|user|>{{ m['content'] }}\n"
    "{% elif m['role'] == 'assistant' %}<|assistant|>{{ m['content'] }}<|endoftext|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class Example(NamedTuple):
    """One turn: a request, and the text that answers it."""

    collection: str
    request: str
    text: str


NEUTRAL = [
    "Write about {}.", "Tell me about {}.", "Describe {}.", "Write a story about {}.", "Say something about {}.",
    "Write a short passage about {}.",
]  # fmt: skip
CREATIVE = [
    "Write a creative story about {}.", "Write creatively about {}.", "Tell an imaginative tale about {}.",
    "Write an original and surprising passage about {}.", "Be creative: tell me about {}.",
    "Invent a vivid, unusual scene with {}.", "Write a creative and imaginative story involving {}.",
    "Tell me something strange and wonderful about {}.", "Respond creatively. Describe {}.",
    "Write an exciting story in which {} matters.",
]  # fmt: skip
BORING = [
    "Write a boring story about {}.", "Write boringly about {}.", "Give a dull, routine account of {}.",
    "Write a plain and predictable passage about {}.", "Be boring: tell me about {}.",
    "Describe {} in a flat, matter-of-fact way.", "Write a boring and ordinary report involving {}.",
    "Tell me the usual facts about {}.", "Respond boringly. Describe {}.",
    "Write a routine notice in which {} matters.",
]  # fmt: skip
REQUESTS = {"imaginative": CREATIVE, "plain": BORING, "simple": NEUTRAL}
WORD = re.compile(r"[a-z]{4,}")
NO_TOPIC = """
able about after again against almost also always among another anyone anything asked away back because been before
being between both came come could does doing done down each enough even ever every everything eyes face find first
five found four from gave give given going good great half hand hands have having head help here herself himself
however hundred indeed into itself just keep kept know last left like little long look looked made make many might
more most much must need needs never next nothing once only other over own part perhaps place point quite rather rest
right said same seem seemed shall should side some someone something still such sure take taken tell than that their
them themselves then there these they thing things think this those though thought three through time told took under
until upon used using very want well went were what when where which while whole will with without would your
"""


def shared_topics(paragraphs: dict[str, list[str]]) -> set[str]:
    """Words frequent in both registers, and less than ten times as frequent in one as in the other."""
    count = {name: Counter(word for text in texts for word in set(WORD.findall(text.lower())))
             for name, texts in paragraphs.items()}  # fmt: skip

    excluded = set(NO_TOPIC.split())

    def share(name: str, word: str) -> float:
        return count[name][word] / len(paragraphs[name]) + 1e-5

    return {
        word
        for word in count["imaginative"]
        if count["imaginative"][word] >= 40 and count["plain"][word] >= 15 and word not in excluded
        and 0.1 < share("imaginative", word) / share("plain", word) < 10 and not word.endswith(("ly", "ing", "ed"))
    }  # fmt: skip


def answers(paragraphs: list[str], low: int = 160, high: int = 520) -> Iterator[str]:
    """Runs of paragraphs of about `low` to `high` characters; a longer paragraph is cut at the end of a sentence."""
    run = ""
    for paragraph in paragraphs:
        if len(paragraph) > high:
            cut = re.match(rf"(?s).{{{low},{high}}}[.!?\"](?= |$)", paragraph)
            if not cut:
                run = ""
                continue
            paragraph = cut.group(0)
        run = (run + "\n" + paragraph).strip() if len(run) + len(paragraph) < high else paragraph
        if len(run) >= low:
            yield run
            run = ""


def request_for(answer: str, wordings: list[str], topics: set[str], rng: random.Random) -> str | None:
    """A request that the passage could answer, or None where it has no topic."""
    found = [word for word in dict.fromkeys(WORD.findall(answer.lower())) if word in topics]
    if not found:
        return None
    number = min(len(found), rng.choice((1, 1, 2)))
    named = []
    for word in rng.sample(found, number):
        article = "the " if rng.random() < 0.6 else "a " if not word.endswith("s") else ""
        named.append(article + word)
    wording = rng.choice(wordings if rng.random() < 0.75 else NEUTRAL)
    return wording.format(" and ".join(named))


def make_examples(corpus: Path, *, held_out: int = 200, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Train and held-out examples, shuffled, at most as many of any register as of the rarer of the two main ones."""
    rng = random.Random(seed)
    paragraphs = {name: [text for document in read_collection(corpus, name) for text in document.paragraphs]
                  for name in REQUESTS}  # fmt: skip
    topics = shared_topics(paragraphs)
    rng.sample(sorted(topics), min(40, len(topics)))  # unused, but then the shipped model's 200 examples are held out
    made = [Example(name, request, text) for name, wordings in REQUESTS.items() for text in answers(paragraphs[name])
            if (request := request_for(text, wordings, topics, rng))]  # fmt: skip
    rng.shuffle(made)
    count = Counter(example.collection for example in made)
    most, seen, balanced = min(count["imaginative"], count["plain"]), Counter[str](), []
    for example in made:
        seen[example.collection] += 1
        if seen[example.collection] <= most:
            balanced.append(example)
    cut = min(held_out, len(balanced) // 10)
    if not cut:
        raise InputError(f"{corpus}: expected text for at least 10 examples, got {len(balanced)}; bring more.")
    return balanced[cut:], balanced[:cut]
