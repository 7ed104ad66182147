"""The results as Markdown."""

from collections.abc import Sequence

from benchmarks.peers import plan, results
from benchmarks.peers.checks import Check
from benchmarks.peers.results import Goal, Outcome, Timed


def checks_list(checks: Sequence[Check]) -> str:
    """What was held against ours, line by line."""
    return "\n".join(f"- {'same' if check.is_same else 'DIFFERS'}: {check.text}: {check.found}" for check in checks)


def speed_table(outcome: Outcome) -> str:
    """Seconds and ratios of a block, and its memory."""
    block = outcome.block
    ours = outcome.sides[plan.OUR_DIRECTIONS if block.kind == "directions" else plan.OUR_SWEEP]
    lines = [
        f"### {title(block)}",
        "",
        "| side | seconds: median (range) | times ours | peak memory above the model, MiB | in all |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, side in outcome.sides.items():
        times = "1" if side is ours else results.shown(results.ratio(side, ours))
        lines.append(f"| {name}{_scaled(side)} | {seconds(side)} | {times} | {_growth(side)} | {_peak(side)} |")
    return "\n".join(lines)


def title(block: plan.Block) -> str:
    """What a block measures."""
    rounds = f"{block.rounds} round{'s' if block.rounds > 1 else ''}"
    if block.kind == "directions":
        return f"{block.model}: directions of all layers from {block.size} pairs, {rounds}"
    layers, doses = block.cells
    return (
        f"{block.model}: sweep of {layers} layers x {doses} strengths x {block.prompts} prompts x "
        f"{block.tokens} tokens, {rounds}"
    )


def seconds(side: Timed) -> str:
    """Median and range."""
    digits = 1 if side.middle >= 10 else 2
    return f"{side.middle:.{digits}f} ({min(side.seconds):.{digits}f} to {max(side.seconds):.{digits}f})"


def _scaled(side: Timed) -> str:
    notes = [f"{side.rows} rows a batch"] if side.rows else []
    notes += [f"timed on 1/{1 / side.share:.3g} of it"] if side.share < 1 else []
    return f" ({', '.join(notes)})" if notes else ""


def _growth(side: Timed) -> str:
    return "" if side.growth is None else f"{side.growth / 2**20:.0f}"


def _peak(side: Timed) -> str:
    return "" if side.peak is None else f"{side.peak / 2**20:.0f}"


def goals_table(goals: Sequence[Goal]) -> str:
    """What was asked for beside what was found."""
    lines = ["| asked | found | |", "|---|--:|---|"]
    lines += [f"| {goal.text} | {goal.found} | {_verdict(goal)} |" for goal in goals]
    return "\n".join(lines)


def _verdict(goal: Goal) -> str:
    verdict = "met" if goal.is_met else "missed"
    return f"{verdict}; {goal.note}" if goal.note else verdict
