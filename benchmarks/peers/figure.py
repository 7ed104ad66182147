"""The figure: how many times our time each side takes, and memory over the number of pairs. An SVG of plain text."""

import math
from collections.abc import Sequence
from html import escape

from benchmarks.peers import plan
from benchmarks.peers.results import Outcome, Timed, ratio

WIDTH, HEIGHT, TOP, BOTTOM = 960, 344, 64, 50
LABELS, AXIS = 138, 170  # pixels of a panel's labels and of its axis
LEFT = {"directions": 16, "sweep": 352, "memory": 696}  # where the panels begin
INK, FAINT, GRID = "#1f2328", "#656d76", "#d8dee4"
MODELS = ("#8ec1eb", "#2f81c7", "#0b3d75")  # lighter to darker: smaller to larger
SIDES = {"ours": "#c2410c", plan.SV_1: "#57606a", plan.SV_32: "#8c959f", plan.RE_32: "#6639ba"}
SHORT = {
    plan.BARE: "bare transformers", plan.UNSTEERED: "unsteered, batched", plan.SV_1: "steering-vectors, 1",
    plan.SV_32: "steering-vectors, 32", plan.RE_32: "repeng, 32", plan.SV_8: "steering-vectors, 8",
    plan.RE_8: "repeng, 8", plan.SV_ONE: "steering-vectors, 1", plan.RE_ONE: "repeng, 1", "ours": "creativity-lens",
}  # fmt: skip
ROWS = {
    "directions": ("ours", plan.BARE, plan.RE_32, plan.SV_32, plan.SV_1),
    "sweep": ("ours", plan.UNSTEERED, plan.RE_8, plan.SV_8, plan.RE_ONE, plan.SV_ONE),
}
TITLES = {"directions": "Directions of all layers", "sweep": "Sweep of layers and strengths"}


def draw(outcomes: Sequence[Outcome], caption: str) -> str:
    """The whole picture; a panel is left out where nothing was measured for it."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}" role="img">',
        f"<title>{escape(f'Time and memory beside other tools: {caption}')}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>',
    ]
    judged = [outcome for outcome in outcomes if outcome.block.is_judged]
    for kind in ROWS:
        some = [outcome for outcome in judged if outcome.block.kind == kind]
        if some:
            parts.append(_times(some, kind, LEFT[kind]))
    parts.append(_memory(outcomes, LEFT["memory"]))
    note = "A number after a name: texts or prompts a batch. Dots: medians; lines: range of the rounds."
    parts.append(_text(LEFT["directions"], HEIGHT - 12, f"{caption}. {note}", FAINT, 11))
    return "\n".join([*(part for part in parts if part), "</svg>"]) + "\n"


def _times(outcomes: Sequence[Outcome], kind: str, left: int) -> str:
    """A row for each side, a dot for each model, a line for the range of the rounds; logarithmic."""
    found = [[ratio(o.sides[name], o.sides["ours"]) for o in outcomes if name in o.sides] for name in ROWS[kind]]
    low = min(0.5, *(each.low for row in found for each in row))
    high = max(2.0, *(each.high for row in found for each in row))
    start, end = left + LABELS, left + LABELS + AXIS

    def x(value: float) -> float:
        return start + (end - start) * math.log(value / low) / math.log(high / low)

    step = (HEIGHT - TOP - BOTTOM - 30) / len(ROWS[kind])
    parts = [
        _text(left, 26, TITLES[kind], INK, 14, weight=600),
        _text(left, 44, "times our time, lower is faster", FAINT),
    ]
    for value in (0.5, 1, 2, 5, 10, 20, 50):
        if low <= value <= high:
            stroke, width = (SIDES["ours"], 1.5) if value == 1 else (GRID, 1)
            parts.append(_line(x(value), TOP, x(value), HEIGHT - BOTTOM - 30, stroke, width))
            parts.append(_text(x(value), HEIGHT - BOTTOM - 12, f"{value:g}", FAINT, 11, "middle"))
    for row, (name, ratios) in enumerate(zip(ROWS[kind], found, strict=True)):
        middle = TOP + step * (row + 0.5)
        parts.append(_text(start - 8, middle + 4, SHORT[name], SIDES["ours"] if name == "ours" else INK, 12, "end"))
        for number, each in enumerate(ratios):
            y = middle + (number - (len(ratios) - 1) / 2) * min(9, step / 3)
            if name != "ours":
                parts.append(_line(x(each.low), y, x(each.high), y, MODELS[number % 3], 2))
            parts.append(f'<circle cx="{x(each.middle):.1f}" cy="{y:.1f}" r="4" fill="{MODELS[number % 3]}"/>')
    for number, outcome in enumerate(outcomes):
        unit = {"directions": " pairs", "sweep": " rows"}[kind] if outcome is outcomes[-1] else ""
        at, height = left + number * 96, HEIGHT - BOTTOM + 10
        parts.append(f'<circle cx="{at + 4}" cy="{height - 4}" r="4" fill="{MODELS[number % 3]}"/>')
        parts.append(_text(at + 12, height, f"{outcome.block.model}, {outcome.block.size}{unit}", FAINT, 11))
    return "\n".join(parts)


def _memory(outcomes: Sequence[Outcome], left: int) -> str:
    """Peak above the model over the number of pairs, for the first model; both axes logarithmic."""
    blocks = [o for o in outcomes if o.block.kind == "directions" and o.block.model == outcomes[0].block.model]
    lines: dict[str, list[tuple[int, float]]] = {}
    for name in SIDES:
        points = [(o.block.size, _mebibytes(o.sides[name])) for o in blocks if name in o.sides]
        known = [(size, growth) for size, growth in points if growth is not None]
        if known:
            lines[name] = known
    if not lines or len(blocks) < 2:
        return ""
    sizes = [o.block.size for o in blocks]
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values) / 1.3, max(values) * 1.3
    start, end, foot = left + 36, WIDTH - 16, HEIGHT - BOTTOM - 30

    def x(size: float) -> float:
        return start + 8 + (end - start - 118) * math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0])

    def y(value: float) -> float:
        return foot - (foot - TOP) * math.log(value / low) / math.log(high / low)

    parts = [_text(left, 26, "Memory, directions", INK, 14, weight=600),
             _text(left, 44, f"peak above the model, MiB ({blocks[0].block.model})", FAINT)]  # fmt: skip
    for value in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000):
        if low <= value <= high:
            parts.append(_line(start, y(value), end, y(value), GRID, 1))
            parts.append(_text(start - 6, y(value) + 4, f"{value}", FAINT, 11, "end"))
    for size in sizes:
        parts.append(_text(x(size), foot + 16, f"{size}", FAINT, 11, "middle"))
    parts.append(_text((start + end) / 2, foot + 34, "pairs", FAINT, 11, "middle"))
    for name, line in lines.items():
        points = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{SIDES[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="3" fill="{SIDES[name]}"/>' for s, v in line]
    last = -math.inf  # names stand where their lines end, moved down where two would overlap
    for height, place, name in sorted((y(line[-1][1]), x(line[-1][0]), name) for name, line in lines.items()):
        last = max(height + 4, last + 13)
        parts.append(_text(place + 7, last, SHORT[name], SIDES[name], 11))
    return "\n".join(parts)


def _mebibytes(side: Timed) -> float | None:
    return None if side.growth is None else max(side.growth / 2**20, 0.5)


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, fill: str, size: int = 12, anchor: str = "start", weight: int = 400) -> str:
    style = f'fill="{fill}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
