"""The task: a model is asked for ten unrelated nouns many times, at some temperatures, with and without steering."""

from collections.abc import Sequence
from typing import Any

from creativity_lens.association.parsing import items_of
from creativity_lens.association.results import Answers, Associations, summarise
from creativity_lens.association.scoring import every_candidate, lists_of, score_list, score_people
from creativity_lens.association.vectors import WordSource, word_source
from creativity_lens.comparing import Push, push_name
from creativity_lens.errors import InputError
from creativity_lens.generation import Row, generate_rows
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.ratings import Ratings

TASK = (
    "Name ten nouns that are as different from each other as they can be, in all their meanings and uses. Take single "
    "words of English that stand for things or ideas, no names of people or places, and no technical terms. Write the "
    "ten words as a list, one on each line, and nothing else."
)


def ask_for_words(
    model: Model,
    *,
    pushes: Sequence[Push] = (),
    temperatures: Sequence[float] = (1.0,),
    runs: int = 20,
    seed: int = 0,
    max_new_tokens: int = 100,
    prompt: str = TASK,
    scope: str = "generated",
) -> Answers:
    """Ask `runs` times at each temperature, without steering and with each push, with the same luck in each.

    At temperature 0 there is one answer, however often it is asked for. Raises `InputError` for numbers that make no
    sense, an empty prompt, and what `generate_rows` refuses.
    """
    if runs < 1:
        raise InputError(f"runs: expected 1 or more, got {runs}.")
    if not temperatures:
        raise InputError("temperatures: expected at least one, got none.")
    if len(set(temperatures)) < len(temperatures):
        raise InputError(f"temperatures: expected each once, got {', '.join(f'{t:g}' for t in temperatures)}.")
    if not prompt.strip():
        raise InputError("prompt: expected a text, got an empty one.")
    asked = Prompt("divergent association", None, prompt)
    every: tuple[Push, ...] = ((), *pushes)
    rows, condition = [], []
    for temperature in temperatures:
        for number, push in enumerate(every):
            for run in range(runs if temperature > 0 else 1):
                rows.append(Row(asked, seed + run, push or None, temperature))
                condition.append(number)
    texts = generate_rows(model, rows, max_new_tokens=max_new_tokens, scope=scope, description="naming words")
    return Answers(model.name, prompt, tuple(map(push_name, every)), tuple(condition), tuple(texts))


def score_answers(answers: Answers, source: WordSource, people: Ratings | None = None) -> Associations:
    """Score what a model wrote, and people's lists with the same vectors; a file of vectors is read once."""
    items = [items_of(text.text) for text in answers.texts]
    asked = list(items)
    if people is not None:
        asked += [tuple(words) for words in lists_of(people).values()]
    vectors, made_by, scale = source.vectors(every_candidate(asked))
    scored = [score_list(each, vectors) for each in items]
    compared = None if people is None else score_people(people, vectors)
    return summarise(answers, items, scored, compared, made_by, scale, source.checked)


def association_task(
    model: Model,
    source: Any,
    *,
    words: str | None = None,
    people: Ratings | None = None,
    pushes: Sequence[Push] = (),
    temperatures: Sequence[float] = (1.0,),
    runs: int = 20,
    seed: int = 0,
    max_new_tokens: int = 100,
    prompt: str = TASK,
    scope: str = "generated",
) -> Associations:
    """The divergent association task: how unrelated the nouns are that a model names.

    `source` is an embedder (`load_embedder()`) or the path of a file of word vectors: GloVe 840B 300d gives the
    published scale, everything else a scale of its own. Every answer is one run; its score is 100 times the mean
    cosine distance of the first seven valid words among its first ten items, NaN where there are fewer. Scores are
    means over valid runs with Student's t interval (from 8 valid runs on), beside the share of runs that are valid:
    with a small share the score speaks for few answers. `pushes` (from `dose`) steer; their difference from no steering
    is over runs with the same luck that are valid in both. `people` (the set "dat") gives percentiles.

    Source: Olson et al. 2021, "Naming unrelated nouns predicts creativity"; for models, arXiv 2310.11158.

    >>> association_task(model, load_embedder(), temperatures=[0.5, 1.0]).frame          # doctest: +SKIP
    """
    ready = word_source(source, words)
    answers = ask_for_words(
        model, pushes=pushes, temperatures=temperatures, runs=runs, seed=seed, max_new_tokens=max_new_tokens,
        prompt=prompt, scope=scope,
    )  # fmt: skip
    return score_answers(answers, ready, people)
