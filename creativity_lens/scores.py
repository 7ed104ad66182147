"""The rows that scoring and generation yield: small frozen values that turn into table rows unchanged."""

from dataclasses import dataclass

from creativity_lens.html_tables import html_text
from creativity_lens.layers import layer_ranges


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

    @property
    def condition(self) -> str:
        """What it was generated under, in a few words."""
        push = "unsteered"
        if self.layers:
            doses = {"add": f"strength {self.strength:.3g}", "clamp": f"held at {self.strength:.3g}"}
            many = "s" if len(self.layers) > 1 else ""
            push = f"layer{many} {layer_ranges(self.layers)}, {doses.get(self.mode, 'ablated')}"
        return f"{push}, seed {self.seed}, temperature {self.temperature:g}"

    def __repr__(self) -> str:
        return f"Generation({self.condition}, {len(self.token_ids)} tokens: {self.text[:40]!r})"

    def _repr_html_(self) -> str:
        return html_text(f"{self.prompt_id} ({self.condition})", self.text)
