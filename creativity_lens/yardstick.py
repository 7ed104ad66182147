"""The yardstick: a fitted score together with the held-out responses that it is read against, in one file.

The score of a text x is s(x) = w . (mean_t h_r(x_t) - c) / G. G, the *gap*, is the mean difference creative - boring
of the dev responses at the length of the text, so it is no constant: a yardstick keeps the projection of every token of
the dev and the test responses. From these follow the gap at any length, how sure it is, and where a text stands among
held-out responses of like length.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from creativity_lens.activations import Source, source_dict, source_of
from creativity_lens.concept import Concept, prepare
from creativity_lens.directions import HOOK, SIGN, Directions, check_model, refuse_other_model
from creativity_lens.errors import InputError
from creativity_lens.html_tables import html_table, with_interval
from creativity_lens.models import Model
from creativity_lens.plan import Plan, differs
from creativity_lens.prompts import ContrastivePair, split_pairs
from creativity_lens.scoring import Scorer, read_texts
from creativity_lens.sides import Sides
from creativity_lens.statistics import Estimate, t_interval
from creativity_lens.tensor_files import load_tensors, save_tensors
from creativity_lens.token_readings import Probe

FORMAT = "scorer 1"
_TENSORS = ("vector", "dev_tokens", "dev_lengths", "test_tokens", "test_lengths")
_WHAT = "a scorer written by creativity-lens"


@dataclass(frozen=True, eq=False)
class Responses:
    """Held-out responses read alone: every token's centred projection in residual units, one response after another."""

    tokens: Float[np.ndarray, " token"]  # those of the creative responses, then those of the boring ones
    lengths: Int[np.ndarray, "2 pair"]  # tokens of each: creative, boring
    topics: tuple[str, ...]  # of the pairs

    def means(self, lengths: Int[np.ndarray, " length"]) -> Float[np.ndarray, "length 2 pair"]:
        """Mean projection of each response's first so many tokens; of a shorter response, of the whole."""
        ends = np.minimum(lengths[:, None, None], self.lengths)
        return (self._sums[self._starts + ends] - self._sums[self._starts]) / ends

    @cached_property
    def _sums(self) -> Float[np.ndarray, " end"]:
        return np.concatenate([[0.0], np.cumsum(self.tokens, dtype=np.float64)])

    @cached_property
    def _starts(self) -> Int[np.ndarray, "2 pair"]:
        flat = self.lengths.reshape(-1)
        return (np.cumsum(flat) - flat).reshape(self.lengths.shape)

    @property
    def is_sound(self) -> bool:
        """Whether the parts fit each other."""
        shaped = self.lengths.ndim == 2 and self.lengths.shape == (2, len(self.topics)) and len(self.topics) > 0
        counted = shaped and bool((self.lengths >= 1).all()) and self.tokens.shape == (self.lengths.sum(),)
        return counted and bool(np.isfinite(self.tokens).all())


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A fitted score of texts, and the held-out responses that it is read against.

    Projections are centred: 0 is the midpoint between the two sides of the pairs that the direction was fitted on.
    """

    layer: int
    vector: Float[Tensor, " d_model"]  # float32, unit length
    zero: float  # the projection that is called 0, in residual units
    dev: Responses  # they make the unit
    test: Responses  # a text stands among them
    sides: Sides
    fitted: str  # where the vector comes from, in a few words
    n_layers: int  # of the whole model
    source: Source  # of the held-out responses

    @cached_property
    def whole(self) -> Estimate:
        """The gap of whole responses, in residual units."""
        return self.gaps(np.array([int(self.dev.lengths.max())]))[0]

    @property
    def probe(self) -> Probe:
        """What is read of a text: its projection at the layer, less the zero."""
        return Probe(self.layer, self.vector, self.zero)

    @cached_property
    def typical_length(self) -> int:
        """Median number of tokens of the held-out responses."""
        return int(np.median(np.concatenate([self.dev.lengths, self.test.lengths], axis=1)))

    def gaps(self, lengths: Int[np.ndarray, " length"]) -> list[Estimate]:
        """The gap at each length, in residual units: mean over dev pairs, interval over topics (Student t).

        The gap may be 0 or below, where a score has no unit; below 8 topics it has no interval.
        """
        means = self.dev.means(lengths)
        differences = means[:, 0] - means[:, 1]
        topics = sorted(set(self.dev.topics))
        member = np.array([[topic == name for topic in self.dev.topics] for name in topics], dtype=float)
        by_topic = differences @ (member / member.sum(1, keepdims=True)).T
        found = []
        for row, topical in zip(differences, by_topic, strict=True):
            value, interval = float(row.mean()), t_interval(topical)
            shift = value - interval.value  # topics of unlike size: the interval is put around the pairs' mean
            low, high = interval.low + shift, interval.high + shift
            found.append(Estimate(value, low, high, interval.n, "residual units"))
        return found

    def references(self, lengths: Int[np.ndarray, " length"]) -> Float[np.ndarray, "length 2 pair"]:
        """Projections of the test responses cut to each length, creative and boring, each rising."""
        return np.sort(self.test.means(lengths), axis=-1)

    def check(self, model: Model, name: str = "scorer") -> None:
        """Refuse another model than the one it was fitted on, by the first thing that differs."""
        refuse_other_model(
            self.source, model, d_model=len(self.vector), n_layers=self.n_layers, name=name, what="scores"
        )

    def save(self, path: str | Path) -> None:
        """Write a self-describing safetensors file, whole."""
        metadata = {
            "layer": str(self.layer),
            "layer_index": "0-based",
            "hook": self.source.hook,
            "n_layers": str(self.n_layers),
            "d_model": str(len(self.vector)),
            "zero": repr(self.zero),
            "fitted": self.fitted,
            "sides": json.dumps([self.sides.creative, self.sides.boring]),
            "sign": SIGN + self.sides.creative,
            "topics": json.dumps([self.dev.topics, self.test.topics]),
            "source": json.dumps(source_dict(self.source)),
        }
        tensors = {"vector": self.vector}
        for name, part in (("dev", self.dev), ("test", self.test)):
            tensors[f"{name}_tokens"] = torch.from_numpy(part.tokens)
            tensors[f"{name}_lengths"] = torch.from_numpy(part.lengths).float()  # exact up to 2^24 tokens
        save_tensors(Path(path), tensors, metadata, form=FORMAT)

    @classmethod
    def load(cls, path: str | Path, model: Model | None = None) -> "Yardstick":
        """Read a scorer's file, equal to what was saved; with `model`, refuse by name one of another model.

        Raises `InputError` for a missing, damaged or foreign file, another format version, model, revision or width.
        """
        tensors, metadata = load_tensors(Path(path), _TENSORS, form=FORMAT, what=_WHAT)
        try:
            dev, test = (
                Responses(
                    tensors[f"{name}_tokens"].numpy(),
                    tensors[f"{name}_lengths"].numpy().astype(np.int64),
                    tuple(topics),
                )
                for name, topics in zip(("dev", "test"), json.loads(metadata["topics"]), strict=True)
            )
            source = json.loads(metadata["source"])
            creative, boring = json.loads(metadata["sides"])
            yardstick = cls(
                layer=int(metadata["layer"]),
                vector=tensors["vector"],
                zero=float(metadata["zero"]),
                dev=dev,
                test=test,
                sides=Sides(creative, boring),
                fitted=metadata["fitted"],
                n_layers=int(metadata["n_layers"]),
                source=Source(**{**source, "versions": tuple(source["versions"].items())}),
            )
            told = metadata["hook"] == HOOK and metadata["sign"] == SIGN + creative
            sound = told and _is_sound(yardstick)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise InputError(f"{path}: what it says of itself does not fit; run `clens sweep` again.")
        if model is not None:
            yardstick.check(model, str(path))
        return yardstick

    def __repr__(self) -> str:
        return (
            f"Yardstick({self.sides.concept} at layer {self.layer} of {self.source.model}, gap {self.whole.value:.3g}, "
            f"{len(self.dev.topics)} dev and {len(self.test.topics)} test pairs)"
        )

    def _repr_html_(self) -> str:
        gap, sides = self.whole, self.sides
        held = [f"{2 * len(part.topics)} of {len(set(part.topics))} topics" for part in (self.dev, self.test)]
        rows = [
            ["layer", f"{self.layer} of {self.n_layers}"],
            ["one gap", f"{with_interval(gap.value, gap.low, gap.high)} residual units"],
            ["direction", self.fitted],
            ["dev responses", f"{held[0]}: they make the gap"],
            ["test responses", f"{held[1]}: a text stands among them"],
        ]
        title = f"Yardstick of {self.source.model}: {sides.creative} (above 0) against {sides.boring}"
        return html_table(title, ["", ""], rows)


def _is_sound(yardstick: Yardstick) -> bool:
    vector = yardstick.vector
    unit = vector.ndim == 1 and abs(float(vector.norm()) - 1) < 1e-3
    placed = 0 <= yardstick.layer < yardstick.n_layers and bool(np.isfinite(yardstick.zero))
    return unit and placed and yardstick.dev.is_sound and yardstick.test.is_sound


def fit_yardstick(
    model: Model,
    pairs: Sequence[ContrastivePair],
    *,
    layer: int | None = None,
    directions: Directions | None = None,
    seed: int = 0,
    sides: Sides | None = None,
) -> Yardstick:
    """A yardstick without a sweep: fitted on half B of the training topics, with the unit from dev.

    `layer` is by default the one that reads the dev pairs best. With `directions` (a foreign one that was imported,
    say) their vector at the layer is taken as it is, and `layer` must be named; zero and unit come from the held-out
    pairs, so they are as sound as for a direction of our own. Raises `InputError` for directions of another model, and
    where held-out pairs do not lie on the side that the direction says.

    >>> yardstick = fit_yardstick(load_model("pocket-chat"), load_pairs(), layer=4)       # doctest: +SKIP
    >>> score_texts(model, yardstick, ["The tide came in."]).frame                        # doctest: +SKIP
    """
    sides = sides or Sides()
    if directions is None:
        plan = Plan(layers="all" if layer is None else str(layer), seed=seed)
        found = yardstick_of(model, prepare(model, sides.concept, pairs, plan, full=False), sides)
        if found is None:
            where = "no layer" if layer is None else f"layer {layer} does not"
            raise InputError(
                f"scorer: {where} read{'s' if layer is None else ''} the dev pairs better than chance; take another "
                "layer, more pairs, or pairs that differ more."
            )
        return found
    if layer is None:
        raise InputError("layer: expected the layer whose direction is to be the score, got none.")
    check_model(directions, model, "directions")
    vector = torch.nn.functional.normalize(directions.at(layer).vector.float(), dim=0)
    _, dev, test = split_pairs(pairs, seed=seed)
    return _measure(model, layer, vector, None, dev, test, sides, f"given directions ({directions.method})")


def yardstick_of(model: Model, concept: Concept, sides: Sides) -> Yardstick | None:
    """The yardstick of a concept that was prepared for a sweep; None where no layer reads it.

    It is the concept's own score: from half B, at the same layer, with the same zero. It projects also where the sweep
    was asked to score by cosines.
    """
    scorer, parts = concept.scorer, concept.splits
    if scorer is None:
        return None
    zero = float(scorer.center @ scorer.vector)
    fitted = f"mean difference of {len(concept.second_half)} pairs"
    try:
        return _measure(model, scorer.layer, scorer.vector, zero, parts["dev"], parts["test"], sides, fitted)
    except InputError:  # under the cosine, a layer may read what its projection does not
        return None


def _measure(
    model: Model,
    layer: int,
    vector: Float[Tensor, " d_model"],
    zero: float | None,
    dev: Sequence[ContrastivePair],
    test: Sequence[ContrastivePair],
    sides: Sides,
    fitted: str,
) -> Yardstick:
    """Read the held-out responses once; without a `zero`, it is the midpoint of the dev responses' sides."""
    parts = [[pair for pair in part if differs(pair, "response")] for part in (dev, test)]
    if not all(parts):
        raise InputError("pairs: expected dev and test pairs with two different responses, got none.")
    ids = {
        text: model.encode_text(text)
        for part in parts
        for pair in part
        for text in (pair.creative_response, pair.boring_response)
    }
    raw = Scorer(layer, vector, torch.zeros_like(vector), 1.0, None)
    read = read_texts(model, list(ids.values()), layer, scorer=raw, description="held-out responses").tokens
    by_text = dict(zip(ids, (tokens.numpy() for tokens in read), strict=True))
    sided = [
        [[by_text[getattr(pair, name)] for pair in part] for name in ("creative_response", "boring_response")]
        for part in parts
    ]
    if zero is None:
        zero = float(np.mean([np.mean([tokens.mean() for tokens in side]) for side in sided[0]]))
    held = [
        Responses(
            np.concatenate([tokens for side in sides for tokens in side]) - np.float32(zero),
            np.array([[len(tokens) for tokens in side] for side in sides]),
            tuple(pair.topic for pair in part),
        )
        for part, sides in zip(parts, sided, strict=True)
    ]
    if not all(part.is_sound for part in held):
        raise InputError(f"layer {layer}: expected finite projections of responses that are not empty; see the pairs.")
    source = source_of(model, [*parts[0], *parts[1]], "text")
    found = Yardstick(layer, vector, zero, held[0], held[1], sides, fitted, model.n_layers, source)
    if not found.whole.value > 0:
        raise InputError(
            f"layer {layer}: the direction does not separate the dev pairs (margin {found.whole.value:.3g} residual "
            "units, expected above 0); take another layer, or pairs that differ more."
        )
    return found
