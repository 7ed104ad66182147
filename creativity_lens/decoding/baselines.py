"""What mixing has to beat: easier ways to more diverse texts, at equal numbers of prompts, samples and tokens.

- *temperature*: the aligned model alone, at the temperature at which its entropy is that of the mixture;
- *min-p*: the same with min-p in place of the mixture's truncation, at its own matched temperature;
- *contrast*: the other direction, the aligned model amplified over its base by the same weight;
- *prompt*: the aligned model alone, asked for something nobody else would write.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from creativity_lens.comparing import Push
from creativity_lens.decoding.matching import Matched, Truncation, match_temperatures
from creativity_lens.decoding.measures import BASELINE, ByPrompt, Condition
from creativity_lens.decoding.writing import Decode
from creativity_lens.generation import Row, generate_rows
from creativity_lens.models import Model
from creativity_lens.prompts import Prompt
from creativity_lens.sampling import Mixing
from creativity_lens.scores import Generation
from creativity_lens.statistics import t_interval

MIN_P = 0.05
ASK = "Make it unlike anything that others would write to this request."
BASELINES = ("temperature", "min-p", "contrast", "prompt")


@dataclass(frozen=True, eq=False)
class Setting:
    """What all conditions of a sweep share."""

    aligned: Model
    base: Model
    prompts: tuple[Prompt, ...]
    samples: int
    seed: int
    decode: Decode
    push: Push = ()

    def write(
        self, gammas: Sequence[float], *, prompts: Sequence[Prompt] | None = None, temperature: float | None = None,
        truncation: Truncation | None = None, mixing: Mixing | None = None, description: str = "writing",
    ) -> list[Generation]:  # fmt: skip
        """Texts by gamma, then prompt, then sample: all of the same length, for ends are not drawn before it."""
        drawn = self.decode.sampling
        cut = truncation or Truncation(drawn.top_p, drawn.top_k, drawn.min_p)
        rows = [
            Row(
                prompt, self.seed + sample, self.push, drawn.temperature if temperature is None else temperature,
                gamma=gamma, partner_temperature=self.decode.base_temperature,
            )
            for gamma in gammas
            for prompt in (self.prompts if prompts is None else prompts)
            for sample in range(self.samples)
        ]  # fmt: skip
        return generate_rows(
            self.aligned, rows, partner=self.base, mixing=mixing or self.decode.mixing, top_p=cut.top_p,
            top_k=cut.top_k, min_p=cut.min_p, max_new_tokens=drawn.max_new_tokens, min_new_tokens=drawn.max_new_tokens,
            scope=drawn.scope, description=description,
        )  # fmt: skip


def write_baselines(
    setting: Setting, reference: Condition, names: Sequence[str] = BASELINES
) -> tuple[list[Condition], dict[str, Matched]]:
    """The baselines' texts, and the temperatures that were matched to the mixture `reference`."""
    drawn = setting.decode.sampling
    own = Truncation(drawn.top_p, drawn.top_k, drawn.min_p)
    cuts = {"temperature": own, "min-p": Truncation(min_p=MIN_P)}
    wanted = [name for name in cuts if name in names]
    matched: dict[str, Matched] = {}
    if wanted:
        first = [reference.texts[p * setting.samples].token_ids for p in range(len(setting.prompts))]
        found = match_temperatures(
            setting.aligned, setting.base, setting.prompts, first, reference.gamma, setting.decode,
            truncations=[cuts[name] for name in wanted], push=setting.push,
        )  # fmt: skip
        matched = dict(zip(wanted, found, strict=True))
    made = [_written(setting, reference.gamma, name, cuts.get(name), matched.get(name)) for name in names]
    return made, matched


def _written(setting: Setting, gamma: float, name: str, cut: Truncation | None, matched: Matched | None) -> Condition:
    said = f"baseline: {name}"
    if matched is not None:
        texts = setting.write([0.0], temperature=matched.temperature, truncation=cut, description=said)
        shown = f"temperature {matched.temperature:.2f}"
        shown = f"min-p {MIN_P:g}, {shown}" if name == "min-p" else shown
        short = "" if matched.is_reached else "; no temperature is as uncertain, this one comes nearest"
        note = f"aligned model alone, entropy {matched.reached:.2f} nats of the mixture's {matched.entropy:.2f}{short}"
    elif name == "contrast":
        texts = setting.write([gamma], mixing=replace(setting.decode.mixing, mix="contrast"), description=said)
        shown, note = f"contrast {gamma:g}", "the aligned model amplified over its base by the same weight"
    else:
        asked = [replace(prompt, text=f"{prompt.text.rstrip()} {ASK}") for prompt in setting.prompts]
        texts = setting.write([0.0], prompts=asked, description=said)
        shown, note = "prompt for diversity", f"aligned model alone, the prompt ends: {ASK}"
    return Condition(shown, BASELINE, gamma, tuple(texts), note)


def against(own: dict[str, ByPrompt], reference: dict[str, ByPrompt]) -> list[dict[str, Any]]:
    """A baseline less the mixture that it is compared with, measure by measure: paired by prompt and by luck.

    Two points are compared, on both axes, and no curve is interpolated at a baseline's price: where the price hardly
    changes along gamma, noise in it would move the point that is looked up, and intervals would be far too short.

    >>> against({"semantic spread": np.full(8, 0.5)}, {"semantic spread": np.full(8, 0.4)})[0]["difference"]
    0.09999...
    """
    found = []
    for measure, values in own.items():
        estimate = t_interval(values - reference[measure])
        found.append(
            {
                "measure": measure,
                "difference": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "n": estimate.n,
            }
        )
    return found
