"""Small collections of activations, and what ran for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from creativity_lens.activations import Activations, collect_activations
from creativity_lens.models import Model
from creativity_lens.prompts import ContrastivePair, load_pairs

CUT = 16  # tokens of a response


def some_pairs() -> list[ContrastivePair]:
    """Texts of different lengths; in one pair only the instructions differ, in two only the responses."""
    early = [pair for pair in load_pairs() if pair.creative_response[:20] != pair.boring_response[:20]]
    first = [next(pair for pair in early if pair.kind == kind) for kind in ("premise", "manner", "response")]
    first.append([pair for pair in early if pair.kind == "premise"][1])
    return [
        *first[:2],
        replace(first[2], creative=first[2].neutral, boring=first[2].neutral),
        replace(first[3], boring_response=first[3].creative_response),
    ]


def collect(model: Model, pairs: list[ContrastivePair], **options) -> Activations:
    return collect_activations(model, pairs, **{"cache": False, "max_tokens": CUT, **options})


@dataclass
class Ran:
    """What ran, by plain PyTorch hooks."""

    rows: int = 0  # through the embedding
    blocks: set[int] = field(default_factory=set)
    heads: int = 0  # times the LM head was called


@contextmanager
def ran(model: Model) -> Iterator[Ran]:
    count = Ran()
    inner = model.bridge.original_model

    def embed(_, args):
        count.rows += args[0].shape[0]

    def head(*_):
        count.heads += 1

    def block(layer):
        return lambda *_: count.blocks.add(layer)

    modules = [(inner.get_input_embeddings(), embed), (inner.get_output_embeddings(), head)]
    modules += [(module, block(layer)) for layer, module in enumerate(inner.model.layers)]
    handles = [module.register_forward_pre_hook(hook) for module, hook in modules]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()
