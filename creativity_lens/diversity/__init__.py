"""How different many texts are: lexical, semantic and token-level diversity, within groups and across them."""

from creativity_lens.diversity.clusters import cluster_entropy, clusters_of, largest_share
from creativity_lens.diversity.coherent import Coherence, coherence_of
from creativity_lens.diversity.conditions import Compared, Ground, common_ground, compare_diversity
from creativity_lens.diversity.diversity import PRIMARY, UNITS, Diversity, LeftOut
from creativity_lens.diversity.fields import TextFields, load_fields
from creativity_lens.diversity.lexical import compression_ratio, distinct_n, ead, self_repetition
from creativity_lens.diversity.measuring import measure_diversity
from creativity_lens.diversity.self_bleu import self_bleu, self_bleu_scores
from creativity_lens.diversity.semantic import (
    cross_spread,
    equivalence_classes,
    nearest_distance,
    semantic_spread,
    spread_by,
    threshold_of,
    vendi,
)
from creativity_lens.diversity.words import tokens_of

__all__ = [
    "PRIMARY",
    "UNITS",
    "Coherence",
    "Compared",
    "Diversity",
    "Ground",
    "LeftOut",
    "TextFields",
    "cluster_entropy",
    "clusters_of",
    "coherence_of",
    "common_ground",
    "compare_diversity",
    "compression_ratio",
    "cross_spread",
    "distinct_n",
    "ead",
    "equivalence_classes",
    "largest_share",
    "load_fields",
    "measure_diversity",
    "nearest_distance",
    "self_bleu",
    "self_bleu_scores",
    "self_repetition",
    "semantic_spread",
    "spread_by",
    "threshold_of",
    "tokens_of",
    "vendi",
]
