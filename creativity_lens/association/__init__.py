"""The divergent association task: ten unrelated nouns asked of a model, scored by how far apart their vectors lie."""

from creativity_lens.association.parsing import items_of, word_of
from creativity_lens.association.results import Answers, Associations, Condition, table_of
from creativity_lens.association.scoring import SCORED, People, ScoredList, score_list, score_people
from creativity_lens.association.task import TASK, ask_for_words, association_task, score_answers
from creativity_lens.association.vectors import WordSource, word_source

__all__ = [
    "SCORED",
    "TASK",
    "Answers",
    "Associations",
    "Condition",
    "People",
    "ScoredList",
    "WordSource",
    "ask_for_words",
    "association_task",
    "items_of",
    "score_answers",
    "score_list",
    "score_people",
    "table_of",
    "word_of",
    "word_source",
]
