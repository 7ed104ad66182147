"""Gates: a condition direction that decides, prompt by prompt, whether steering acts.

A gate is a direction measured on instructions (creative requests against careful ones), a layer, and a threshold on the
centred projection there; it opens above it. The threshold is fitted on dev topics alone and judged on test topics
alone: nothing of test ever chooses a threshold or a layer. A prompt is read as the pairs were: same template, same
positions, clean model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from creativity_lens.activations import instruction_passage
from creativity_lens.directions import Directions, check_model
from creativity_lens.errors import InputError
from creativity_lens.html_tables import html_table, with_interval
from creativity_lens.models import Model
from creativity_lens.reading import Passage, means_at, read
from creativity_lens.statistics import Estimate, paired_accuracy

POSITIONS = ("instruction", "last")  # the rules that read nothing but the prompt
CHANCE = 0.5
_SCORES = (
    *("threshold", "threshold_accuracy_dev", "threshold_margin_dev"),
    *(f"threshold_accuracy_test{end}" for end in ("", "_low", "_high", "_n")),
)  # how a file of directions names them, each with "@layer" behind

# Projections of the side that the gate opens for, and of the other
DevSides = tuple[Float[np.ndarray, "layer dev"], Float[np.ndarray, "layer dev"]]
TestSides = tuple[Float[np.ndarray, "layer test"], Float[np.ndarray, "layer test"]]


@dataclass(frozen=True)
class LayerThreshold:
    """The threshold at one layer, and how well it tells the two kinds of request apart."""

    layer: int
    threshold: float  # centred projection, residual units
    dev: float  # balanced accuracy on the dev pairs that it was fitted on
    margin: float  # difference of the two sides' means on dev, in standard deviations within a side
    test: Estimate  # share of test requests that it decides rightly; n is topics


@dataclass(frozen=True, eq=False)
class Gate:
    """A condition that opens for some prompts: the centred projection at `layer` above `threshold`."""

    directions: Directions
    layer: int
    threshold: float  # residual units
    name: str  # the file it came from
    test: Estimate | None  # of `LayerThreshold`; None where the threshold was given by hand

    @property
    def vector(self) -> Float[Tensor, " d_model"]:
        """The condition direction, of unit length."""
        return self.directions.at(self.layer).vector

    @property
    def center(self) -> Float[Tensor, " d_model"]:
        """What is taken off before projecting: the midpoint of the two sides' means."""
        return self.directions.at(self.layer).center

    @property
    def position(self) -> str:
        """Which of a prompt's tokens are read: "instruction" (the mean of its own words) or "last"."""
        return self.directions.source.position

    def __repr__(self) -> str:
        return f"Gate(layer {self.layer}, opens above {self.threshold:.4g}, {self.directions.source.model})"

    def _repr_html_(self) -> str:
        judged = "not judged: given by hand"
        if self.test is not None:
            right = with_interval(self.test.value, self.test.low, self.test.high)
            judged = f"{right} of the test requests right, {self.test.n} topics"
        rows = [
            ["layer", str(self.layer)],
            ["opens above", f"{self.threshold:.4g} residual units"],
            ["threshold", judged],
            ["reads", f"the prompt ({self.position})"],
        ]
        return html_table(f"Gate of {self.directions.source.model}: {self.name}", ["", ""], rows)


class GateReading(NamedTuple):
    """What a gate says of a prompt."""

    projection: float  # centred, residual units
    is_open: bool


def best_threshold(high: Float[np.ndarray, " high"], low: Float[np.ndarray, " low"]) -> tuple[float, float]:
    """The threshold above which most of `high` and below which most of `low` lies, and its balanced accuracy.

    Balanced accuracy is the mean of the two sides' shares decided rightly. Thresholds lie midway between neighbouring
    values; of equally good ones the one in the widest gap is taken. Values that are all equal give 0.5.

    >>> best_threshold(np.array([2.0, 10.0]), np.array([1.0, 3.0]))
    (6.5, 0.75)
    """
    values = np.unique(np.concatenate([high, low]).astype(float))
    if len(values) < 2:
        return float(values[0]), CHANCE
    between = (values[:-1] + values[1:]) / 2
    right = ((high > between[:, None]).mean(axis=1) + (low <= between[:, None]).mean(axis=1)) / 2
    tied = np.flatnonzero(np.isclose(right, right.max()))
    best = tied[np.argmax(np.diff(values)[tied])]
    return float(between[best]), float(right[best])


def fit_thresholds(
    layers: Sequence[int], dev: DevSides, test: TestSides, test_topics: Sequence[str], *, seed: int
) -> list[LayerThreshold]:
    """A threshold per layer from the dev projections (first the side that opens), judged on the test projections.

    The interval of the test accuracy is over topics, as everywhere; below 8 topics there is none.
    """
    found = []
    for i, layer in enumerate(layers):
        high, low = (side[i].astype(float) for side in dev)
        threshold, right = best_threshold(high, low)
        spread = math.sqrt((high.var() + low.var()) / 2)
        margin = float(high.mean() - low.mean()) / spread if spread > 0 else 0.0
        decided = np.concatenate([test[0][i] - threshold, threshold - test[1][i]]).astype(float)
        judged = paired_accuracy(decided, [*test_topics, *test_topics], seed=seed)
        found.append(LayerThreshold(layer, threshold, right, margin, judged))
    return found


def threshold_scores(found: Sequence[LayerThreshold]) -> list[tuple[str, float]]:
    """The thresholds as the dev scores of a file of directions; what is not finite (no interval) is left out."""
    scores = []
    for each in found:
        judged = (each.test.value, each.test.low, each.test.high, float(each.test.n))
        values = (each.threshold, each.dev, each.margin, *judged)
        scores += [(f"{name}@{each.layer}", value) for name, value in zip(_SCORES, values, strict=True)]
    return [(name, value) for name, value in scores if math.isfinite(value)]


def load_gate(path: str | Path, *, threshold: float | str = "auto", layer: int | None = None) -> Gate:
    """A gate from a file of directions that `clens find` measured on instructions; see `gate_of`.

    >>> gate = load_gate("gate.safetensors")              # doctest: +SKIP
    >>> opened(model, gate, ["Write a poem.", "What is 2 + 2?"])      # doctest: +SKIP
    [GateReading(projection=1.3, is_open=True), GateReading(projection=-0.8, is_open=False)]
    """
    _number(threshold)  # what is no number is known before the file is read
    return gate_of(Directions.load(path), threshold=threshold, layer=layer, name=str(path))


def gate_of(
    directions: Directions, *, threshold: float | str = "auto", layer: int | None = None, name: str = "gate"
) -> Gate:
    """A gate from directions of instructions, as `find_directions` gives them; `name` is what errors call it.

    `threshold` "auto" is the one that was fitted on dev; a number, or its text, is in residual units. Without `layer`
    it is the layer that separates dev best: by balanced accuracy, then by the standardised margin. Raises `InputError`
    for directions of responses, directions without thresholds, a gate that dev shows to be no better than chance, and
    a threshold that is no number.

    >>> gate_of(find_directions(model, load_shipped("gate_pairs")).directions)        # doctest: +SKIP
    Gate(layer 4, opens above -21.11, pocket-chat)
    """
    given = _number(threshold)
    position = directions.source.position
    if position not in POSITIONS:
        raise InputError(
            f"{name}: directions measured under the rule {position}; expected a gate, which reads the prompt alone: "
            "make one with `clens find --pairs gate_pairs.jsonl --position instruction`."
        )
    stored = _stored(directions)
    if layer is not None:
        directions.at(layer)  # refuses one that is not there
    elif stored:
        layer = max(stored, key=lambda each: (stored[each].dev, stored[each].margin))
    elif given is not None and len(directions.layers) == 1:
        layer = directions.layers[0]
    if given is not None:
        if layer is None:
            raise InputError(f"{name}: holds no thresholds, so no layer is known to be best; name the gate's layer.")
        return Gate(directions, layer, given, name, None)
    if layer not in stored:
        raise InputError(
            f"{name}: holds no threshold fitted on dev; expected a file that `clens find` wrote for instructions: "
            "measure it again, or give the threshold as a number."
        )
    found = stored[layer]
    if found.dev <= CHANCE or found.margin <= 0:
        raise InputError(
            f"{name}: at layer {layer} it tells dev requests apart no better than chance ({found.dev:.2f} right); "
            "expected above 0.5: measure it on other pairs, or give the threshold as a number."
        )
    return Gate(directions, layer, found.threshold, name, found.test)


def opened(model: Model, gate: Gate, prompts: Sequence[str]) -> list[GateReading]:
    """For each prompt its projection on the gate's direction, and whether the gate is open.

    One batched pass under the position rule and template that the gate was measured with, stopped after its layer; a
    prompt that stands twice is read once. A reading does not depend on the other prompts beyond the last bits of a
    float32 sum. Call it outside `steered`, or the steered model is read. Raises `InputError` for another model or
    template, a prompt without words or beyond the context, and projections that are not finite.
    """
    check_model(gate.directions, model, gate.name)
    if gate.directions.source.template_hash != model.template_hash:
        raise InputError(
            f"{gate.name}: measured with another chat template than {model.name} is loaded with; load the model with "
            "the --template it was measured with, or measure it again."
        )
    passages: dict[Passage, int] = {}  # distinct, in order of appearance
    rows = [passages.setdefault(_passage(model, prompt, gate.position), len(passages)) for prompt in prompts]
    if not passages:
        return []
    means = read(model, list(passages), means_at, gate.layer, description="reading (gate)")["means"]
    projections = (torch.from_numpy(means) - gate.center) @ gate.vector
    if not bool(projections.isfinite().all()):
        raise InputError(
            f"{gate.name}: projections at layer {gate.layer} of {model.name} are not finite; use another dtype."
        )
    values = projections.tolist()
    return [GateReading(values[row], values[row] > gate.threshold) for row in rows]


def _passage(model: Model, prompt: str, position: str) -> Passage:
    passage = instruction_passage(model, prompt, position)
    if not prompt.strip() or not any(passage.own):
        raise InputError(f"prompt {prompt[:60]!r}: expected words for the gate to read, got none; write some.")
    return passage


def _number(threshold: float | str) -> float | None:
    """The threshold as a number; None for "auto"."""
    if threshold == "auto":
        return None
    try:
        value = float(threshold)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"threshold: expected 'auto' or a number in residual units, got '{threshold}'.")
    return value


def _stored(directions: Directions) -> dict[int, LayerThreshold]:
    """The thresholds that a file records, by layer."""
    scores = dict(directions.dev)
    found = {}
    for layer in directions.layers:
        values = [float(scores.get(f"{name}@{layer}", math.nan)) for name in _SCORES]
        if all(math.isfinite(value) for value in values[:3]):
            threshold, dev, margin, right, low, high, n = values
            judged = Estimate(right, low, high, int(n) if math.isfinite(n) else 0, "share")
            found[layer] = LayerThreshold(layer, threshold, dev, margin, judged)
    return found
