"""Diversity of 2,000 texts of 100 tokens: lexical measures in under 10 s, semantic ones, embedding excluded, under 5 s.

Then self-BLEU of 200 texts against sacrebleu called text by text, alternating in one run: at least 10 times as fast,
and equal. Texts are sentences of the shipped responses in random order; embeddings are random, since their values do
not change the time. Seconds are of the process's own CPU time, which other work on the machine does not lengthen.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable

import numpy as np
import sacrebleu

from creativity_lens.diversity import measure_diversity, self_bleu_scores, tokens_of
from creativity_lens.diversity.words import cut
from creativity_lens.prompts import load_pairs

WORDS, WIDTH = 100, 384


def main() -> None:
    """Print seconds of every part, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few texts, to see that it runs")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--against", type=int, default=200, help="texts of the comparison with sacrebleu")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.quick:
        options.texts, options.against, options.rounds = 60, 20, 1
    texts = random_texts(options.texts)
    random = np.random.default_rng(0)
    rows = random.normal(size=(len(texts), WIDTH)).astype(np.float32)
    measure_diversity(texts[:20], ["a", "b"] * 10)  # the first call of a process imports
    print(f"{len(texts)} texts of {WORDS} tokens, {WIDTH} dimensions; both scopes, with intervals")
    for groups in sorted({max(2, len(texts) // 100), max(2, len(texts) // 10), len(texts)}):
        names = [str(place % groups) for place in range(len(texts))]
        lexical = seconds(lambda names=names: measure_diversity(texts, names))
        both = seconds(lambda names=names: measure_diversity(texts, names, embeddings=rows))
        print(
            f"{groups:6d} groups of {len(texts) // groups:4d}: lexical {lexical:.2f} s, semantic {both - lexical:.2f} s"
        )
    compare(texts[: options.against], options.rounds)


def compare(texts: list[str], rounds: int) -> None:
    """Self-BLEU of every text against all others, ours and sacrebleu's, in turns."""
    found: dict[str, list[float]] = {"ours": [], "sacrebleu": []}
    ours, theirs = np.empty(0), np.empty(0)
    for _ in range(rounds):
        start = time.process_time()
        ours = self_bleu_scores(texts)
        found["ours"].append(time.process_time() - start)
        start = time.process_time()
        theirs = np.array(
            [
                sacrebleu.sentence_bleu(text, texts[:place] + texts[place + 1 :]).score
                for place, text in enumerate(texts)
            ]
        )
        found["sacrebleu"].append(time.process_time() - start)
    middle = {name: statistics.median(each) for name, each in found.items()}
    ratio, apart = middle["sacrebleu"] / middle["ours"], np.abs(ours - theirs).max()
    print(
        f"self-BLEU of {len(texts)} texts: ours {middle['ours']:.3f} s, sacrebleu {middle['sacrebleu']:.2f} s, "
        f"{ratio:.0f} times as fast; largest difference {apart:.1e}"
    )


def random_texts(number: int) -> list[str]:
    """Texts of `WORDS` words, made of sentences of the shipped responses."""
    responses = [text for pair in load_pairs() for text in (pair.creative_response, pair.boring_response) if text]
    sentences = [each for text in responses for each in re.split(r"(?<=[.!?])\s+", text)]
    random = np.random.default_rng(0)
    texts = []
    while len(texts) < number:
        joined = " ".join(random.choice(sentences, size=25))
        if len(tokens_of(joined)) >= WORDS:
            texts.append(cut(joined, WORDS) or "")
    return texts


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
