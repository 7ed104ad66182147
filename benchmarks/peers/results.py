"""What was measured, and what it says about the goals: plain numbers in, plain numbers out."""

import statistics
from dataclasses import dataclass, field

from benchmarks.peers import plan

FULL = 64  # pairs: fewer do not fill the batches of every side
FLAT_SHARE, FLAT_BYTES = 0.25, 8 << 20  # memory is flat where it grows by no more than the larger of the two


@dataclass
class Timed:
    """One side's rounds of a block. Seconds are of the whole task, scaled up where a part was timed."""

    name: str
    share: float = 1.0
    seconds: list[float] = field(default_factory=list)
    peaks: list[int | None] = field(default_factory=list)  # bytes, absolute
    held: int | None = None  # bytes before, with the model loaded and warm
    returned: int = 0  # bytes of what the task gives back, where it is known
    rows: int | None = None  # in a batch, where the side chose it
    is_flat: bool = False  # whether a part of the task takes as much memory as all of it: a sweep goes call by call

    @property
    def middle(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.seconds)

    @property
    def peak(self) -> int | None:
        """The highest peak; None where it was not measured, or is that of a part."""
        known = [peak for peak in self.peaks if peak is not None]
        return max(known) if known and (self.share == 1 or self.is_flat) else None

    @property
    def growth(self) -> int | None:
        """The highest peak above what is held with the model loaded; None where either is not known."""
        return None if self.peak is None or self.held is None else self.peak - self.held


@dataclass(frozen=True)
class Ratio:
    """How many times the other side's time one side takes, round by round."""

    middle: float
    low: float
    high: float


def ratio(top: Timed, bottom: Timed) -> Ratio:
    """Rounds are paired, so that what slows the machine down for a while slows both.

    >>> ratio(Timed("a", seconds=[4.0, 9.0, 5.0]), Timed("b", seconds=[2.0, 3.0, 2.0]))
    Ratio(middle=2.5, low=2.0, high=3.0)
    """
    each = [one / other for one, other in zip(top.seconds, bottom.seconds, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


@dataclass(frozen=True)
class Goal:
    """One line of what was asked for, with what was found."""

    text: str
    found: str
    is_met: bool
    note: str = ""


@dataclass
class Outcome:
    """A block with its sides' numbers."""

    block: plan.Block
    sides: dict[str, Timed]


def speed_goals(outcome: Outcome) -> list[Goal]:
    """The goals for speed, for a block that is judged."""
    if not outcome.block.is_judged:
        return []
    return _directions_goals(outcome) if outcome.block.kind == "directions" else _sweep_goals(outcome)


def _directions_goals(outcome: Outcome) -> list[Goal]:
    sides, what = outcome.sides, f"{outcome.block.model}, {outcome.block.size} pairs"
    ours, bare = sides[plan.OUR_DIRECTIONS], sides[plan.BARE]
    goals = [
        _at_least(f"{what}: {factor:g} x {name}", sides[name], ours, factor, bare)
        for name, factor in ((plan.SV_1, 5.0), (plan.SV_32, 1.5), (plan.RE_32, 1.5))
    ]
    speed = ratio(bare, ours)
    goals.append(Goal(f"{what}: 0.9 of the bare forward's speed", shown(speed), speed.middle >= 0.9))
    return goals


def _sweep_goals(outcome: Outcome) -> list[Goal]:
    sides, what = outcome.sides, f"{outcome.block.model}, {outcome.block.size} rows"
    ours, limit = sides[plan.OUR_SWEEP], sides[plan.UNSTEERED]
    goals = [
        _at_least(f"{what}: {factor:g} x {name}", sides[name], ours, factor, limit)
        for name, factor in ((plan.SV_ONE, 12.0), (plan.RE_ONE, 12.0), (plan.SV_8, 3.5), (plan.RE_8, 3.5))
    ]
    time = ratio(ours, limit)
    goals.append(Goal(f"{what}: at most 1.2 x one batched unsteered generate", shown(time), time.middle <= 1.2))
    return goals


def _at_least(text: str, peer: Timed, ours: Timed, factor: float, limit: Timed) -> Goal:
    """With a note where the limit itself would not reach the goal."""
    found, most = ratio(peer, ours), ratio(peer, limit)
    note = f"the limit itself is {most.middle:.1f} x as fast" if most.middle < factor else ""
    return Goal(text, shown(found), found.middle >= factor, note)


def memory_goals(outcomes: list[Outcome]) -> list[Goal]:
    """Less memory than each peer at every size, in both tasks, and flat over the numbers of pairs; by model."""
    goals = []
    for model in dict.fromkeys(outcome.block.model for outcome in outcomes):
        blocks, sweeps = (
            [o for o in outcomes if o.block.model == model and o.block.kind == kind] for kind in ("directions", "sweep")
        )
        for name in (plan.SV_1, plan.SV_32, plan.RE_32):
            goals += _less_goal(f"{model}: less memory than {name}", blocks, name, plan.OUR_DIRECTIONS)
        goals += _flat_goal(model, blocks)
        for name in (plan.SV_ONE, plan.RE_ONE, plan.SV_8, plan.RE_8):
            goals += _less_goal(f"{model}, sweep: less memory than {name}", sweeps, name, plan.OUR_SWEEP)
    return goals


def _less_goal(text: str, blocks: list[Outcome], name: str, own: str) -> list[Goal]:
    both = [(o.sides[name].growth, o.sides[own].growth) for o in blocks]
    known = [(peer, ours) for peer, ours in both if peer is not None and ours is not None]
    if not known:
        return []
    found = ", ".join(f"{ours / 2**20:.0f} of {peer / 2**20:.0f}" for peer, ours in known)
    return [Goal(text, f"{found} MiB", all(ours < peer for peer, ours in known))]


def _flat_goal(model: str, blocks: list[Outcome]) -> list[Goal]:
    """From the sizes that fill more than one batch; what is returned grows with the pairs and is left out."""
    sides = [(o.block.size, o.sides[plan.OUR_DIRECTIONS]) for o in blocks]
    known = [(size, side.growth, side.returned) for size, side in sides if side.growth is not None]
    full = [each for each in known if each[0] >= FULL]
    if len(full) < 2:
        return []
    (few, low, given), (many, high, given_most) = full[0], full[-1]
    more = (high - given_most) - (low - given)
    found = f"{more / 2**20:+.0f} MiB, beside {(given_most - given) / 2**20:.0f} MiB more that are returned"
    is_met = more <= max(FLAT_SHARE * (low - given), FLAT_BYTES)
    return [Goal(f"{model}: memory flat from {few} to {many} pairs", found, is_met)]


def shown(found: Ratio) -> str:
    """A ratio with its range.

    >>> shown(Ratio(6.41, 6.0, 7.0))
    '6.4 (6.0 to 7.0)'
    """
    digits = 2 if found.middle < 2 else 1
    return f"{found.middle:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"
