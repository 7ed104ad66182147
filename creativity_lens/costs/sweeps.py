"""The stages of a sweep in rows and tokens, and how long a machine takes for them.

Stages are serial: the choice waits for all of dev, the test texts wait for the choice. Inside a stage batches are
independent, so that many workers share them, but never more workers than there are batches.
"""

import math
from dataclasses import dataclass
from functools import partial

from creativity_lens.costs.dimensions import BYTES, Dimensions, Number, rows_that_fit, weight_bytes
from creativity_lens.costs.machines import Machine, decode_seconds, devices_needed, pass_seconds
from creativity_lens.errors import InputError
from creativity_lens.layers import choose_layers
from creativity_lens.plan import FEWEST_CONTROLS, Plan

# As planned elsewhere, by modules that know a model; a test holds them equal.
FEW_PROMPTS = 12  # stages.BAND_PROMPTS
MATCH_PAIRS, MATCH_TOKENS, SCREEN_TOKENS = 4, 32, 64  # controls, screening.screen
LOGIT_ROOM, CPU_LOGIT_ROOM = 1 << 30, 24 << 20  # scoring.GPU_LOGIT_BYTES, LOGIT_BYTES
PARTS, PART_ROWS = 8, 128  # conditions, generation: batches of a stage at least, as long as they have so many rows
READ_TOKENS, CPU_READ_TOKENS = 65_536, 1_024  # reading.GPU_BATCH_TOKENS, CPU_BATCH_TOKENS


@dataclass(frozen=True)
class Reading:
    """What a sweep reads besides its own texts, in the built-in models' tokens: by default what ships."""

    pairs: int = 408
    control_pairs: int = 36  # of the positive control, and of each of three nuisance directions
    adversarial_pairs: int = 72
    response: Number = 160.0  # tokens of a pair's response
    prompt: Number = 28.0  # tokens of a prompt as it is asked
    longest_prompt: int = 46
    dev_prompts: int = 32
    test_prompts: int = 32


@dataclass(frozen=True)
class Stage:
    """Batches of one kind that may run side by side."""

    name: str
    kind: str  # "read": activations alone; "scored": logits at every token; "written": sampled
    rows: int
    length: Number  # tokens of a row
    prompts: int = 0  # different prompts, that run once each in every batch that continues them
    lucks: int = 0  # seeds a prompt
    works: int = 0  # parts that cannot be split further (a pair, in screening); 0: as many as there are batches

    @property
    def tokens(self) -> int:
        """Tokens that are read or written in it, prompts not counted."""
        return round(self.rows * self.length)


def sweep_stages(
    plan: Plan, n_layers: int, *, reading: Reading | None = None, control: bool = True
) -> tuple[Stage, ...]:
    """The stages of a sweep of a model with `n_layers` layers.

    `control` adds the positive control. First components are counted as if none of them were left out as all but equal
    to the mean difference.

    >>> [(stage.name, stage.rows) for stage in sweep_stages(Plan(), 8) if stage.kind == "written"]
    [('dev: writing', 1344), ('test: writing', 5060)]
    """
    r, new, few = reading or Reading(), plan.max_new_tokens, FEW_PROMPTS
    layers = len(choose_layers(plan.layers, n_layers, "the model"))
    methods, strengths = len(plan.methods), len(plan.strengths)
    cells = layers * strengths * methods
    few_cells = layers * len(plan.strengths[1:3] or plan.strengths) if control else 0
    few_dev, few_test = min(few, r.dev_prompts), min(few, r.test_prompts)

    def screened(name: str, pairs: int, edits: int, width: Number, rounds: int = 1) -> Stage:
        return Stage(name, "scored", 2 * pairs * edits * rounds, width, pairs, works=pairs * rounds)

    control_dev = r.control_pairs // 5
    in_context = 0.8 * 2 * (r.pairs + control * r.control_pairs)  # train and dev
    alone = 2 * (0.5 * (r.pairs + control * r.control_pairs) + r.adversarial_pairs)  # half of train, and test
    cut = 2 * (0.2 * (r.pairs + control * r.control_pairs) + 3 * r.control_pairs)  # dev and nuisances, to new tokens
    read_tokens = in_context * (r.prompt + r.response) + alone * (r.response + 1) + cut * (new + 1)
    texts = round(in_context + alone + cut)
    stages = [Stage("read-out", "read", texts, read_tokens / texts)]
    width = min(SCREEN_TOKENS, r.response)
    stages.append(screened("screening", min(plan.screen_pairs, r.pairs // 5), cells, width))
    if control:
        stages.append(screened("screening the control", min(plan.screen_pairs, control_dev), few_cells, width))
    if plan.screen_only:
        return tuple(stages)

    def texts_of(stage: str, prompts: int, main: int, theirs: int, shared: int, gain_only: int, lucks: int) -> None:
        """Written once; read once a concept; their surprisal measured but for controls compared in gain alone."""
        rows = main + theirs + shared
        stages.append(Stage(f"{stage}: writing", "written", rows, new, prompts, lucks))
        stages.append(Stage(f"{stage}: reading", "read", rows + (shared if theirs else 0), new + 1))
        stages.append(Stage(f"{stage}: surprisal", "scored", rows - gain_only, new, prompts))

    main, theirs = r.dev_prompts * cells * plan.dev_samples, few_dev * few_cells
    texts_of("dev", r.dev_prompts, main, theirs, r.dev_prompts * plan.samples, 0, plan.samples)
    pairs = min(MATCH_PAIRS, r.pairs // 5)
    stages.append(screened("matching controls", pairs, plan.controls, MATCH_TOKENS, rounds=2))
    stages.append(screened("matching the band", pairs // 2, plan.band * layers, MATCH_TOKENS))
    if control:
        stages.append(screened("matching the control", pairs, FEWEST_CONTROLS, MATCH_TOKENS, rounds=2))
    # chosen, negated and prompted; every layer, isotropic, temperatures; and the controls
    named = 3 * plan.samples + plan.few * (layers + 1 + len(plan.temperatures))
    flips, band = r.test_prompts * plan.controls, few_test * plan.band * layers
    their_flips = few_test * FEWEST_CONTROLS if control else 0
    theirs = (r.test_prompts * plan.samples + few_test * layers if control else 0) + their_flips
    texts_of(
        "test", r.test_prompts, r.test_prompts * named + flips + band, theirs, r.test_prompts * plan.baseline,
        flips + band + their_flips, plan.baseline,
    )  # fmt: skip
    stages.append(Stage("scorer", "read", round(0.8 * r.pairs), r.response + 1))  # responses of dev and test pairs
    return tuple(stage for stage in stages if stage.rows)


@dataclass(frozen=True)
class Prediction:
    """How long a sweep takes on a machine."""

    stages: tuple[tuple[Stage, int, float], ...]  # stage, its batches, seconds
    workers: int
    devices: int  # in use: those of the workers
    batch_rows: int  # of the writing stages, at most
    load: float  # seconds until every worker has its weights

    @property
    def seconds(self) -> float:
        """From start to the last text's reading; statistics and the report come on top."""
        return self.load + sum(seconds for *_, seconds in self.stages)

    @property
    def device_hours(self) -> float:
        """Hours for which the devices are held."""
        return self.seconds * self.devices / 3600

    def of(self, kind: str) -> float:
        """Seconds in stages of a kind."""
        return sum(seconds for stage, _, seconds in self.stages if stage.kind == kind)


def predict(
    sizes: Dimensions,
    machine: Machine,
    plan: Plan | None = None,
    *,
    dtype: str = "bfloat16",
    quantize: str | None = None,
    reading: Reading | None = None,
    control: bool = True,
) -> Prediction:
    """Seconds of a sweep on a machine whose devices are shared out to workers that each hold the whole model.

    Raises `InputError` where the machine has too few devices for one worker.

    >>> llama = dimensions_of(json.loads(Path("config.json").read_text()))      # doctest: +SKIP
    >>> predict(llama, H200.of(8)).device_hours                                # doctest: +SKIP
    """
    plan, reading = plan or Plan(), reading or Reading()
    each = devices_needed(sizes, machine, dtype, quantize=quantize)
    if each > machine.devices:
        raise InputError(f"{machine.name}: expected {each} devices to hold the model, got {machine.devices}; add some.")
    workers = machine.devices // each
    weights = weight_bytes(sizes, dtype, quantize=quantize)
    length = reading.longest_prompt + plan.max_new_tokens
    # batches are planned by what is free on a worker's first device
    fit = rows_that_fit(sizes, length, dtype, machine.memory - weights / each, on_gpu=machine.overlaps)
    auto = plan.batch_rows == "auto"
    fit = fit if auto else min(fit, int(plan.batch_rows))
    found = [
        (stage, *_stage_seconds(stage, sizes, machine, workers, fit, reading, dtype, quantize, auto))
        for stage in sweep_stages(plan, sizes.layers, reading=reading, control=control)
    ]
    stored = weight_bytes(sizes, dtype)  # 4-bit weights are packed as they are read
    return Prediction(tuple(found), workers, workers * each, fit, machine.start + stored / machine.storage)


def _stage_seconds(
    stage: Stage, sizes: Dimensions, machine: Machine, workers: int, fit: int, reading: Reading, dtype: str,
    quantize: str | None, auto: bool,
) -> tuple[int, float]:  # fmt: skip
    """Batches that workers can share, and a stage's seconds: as many rounds of equal batches as they need."""
    forward = partial(pass_seconds, sizes, machine, dtype=dtype, quantize=quantize)
    if stage.kind == "written":
        least = min(PARTS, stage.rows // PART_ROWS) if auto else 1
        batches = max(math.ceil(stage.rows / fit), least)
        rows = math.ceil(stage.rows / batches)
        prompts = math.ceil(stage.prompts / batches)
        one = decode_seconds(
            sizes, machine, rows=rows, prompt=reading.prompt, new=round(stage.length), prompts=prompts,
            lucks=min(rows, prompts * stage.lucks), dtype=dtype, quantize=quantize,
        )  # fmt: skip
        return batches, math.ceil(batches / workers) * one
    if stage.kind == "read":
        batches = math.ceil(stage.tokens / (READ_TOKENS if machine.overlaps else CPU_READ_TOKENS))
        one = forward(stage.tokens / batches, looked_back=stage.length / 2, logits=0)
        return batches, math.ceil(batches / workers) * one
    room = LOGIT_ROOM if machine.overlaps else CPU_LOGIT_ROOM
    fit = max(1, int(room // (BYTES["float32"] * stage.length * sizes.vocabulary)))
    works = stage.works or math.ceil(stage.rows / fit)
    passes = math.ceil(stage.rows / works / fit)
    tokens = stage.tokens / works / passes
    looked_back = reading.prompt + stage.length / 2
    one = forward(tokens, looked_back=looked_back)
    # every work runs its prompts first
    first = forward(reading.prompt, looked_back=reading.prompt / 2, logits=1)
    return works, math.ceil(works / workers) * (passes * one + first)
