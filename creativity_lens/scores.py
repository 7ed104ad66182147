"""The rows that scoring and generation yield: small frozen values that turn into table rows unchanged."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """One measured number of one text. A value that could not be measured is NaN with a note, never 0."""

    text_id: str
    measure: str
    value: float
    unit: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """One generated text and what it was generated under."""

    prompt_id: str
    seed: int  # the luck it drew; equal (prompt_id, seed) draw equal luck in every condition
    layers: tuple[int, ...]  # that were edited; none where the text is unsteered
    strength: float  # fraction of the median residual norm; what is added at several layers is summed; 0.0 unsteered
    method: str  # "none", "mean_difference", ...
    mode: str  # "none", "add", "ablate" or "clamp"
    temperature: float
    text: str
    token_ids: tuple[int, ...]  # without the prompt and without an end token
    probe: float  # mean projection with the edit in place, where a probe was given; NaN else
