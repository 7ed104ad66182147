"""What `make bench-peers` decides: shares, ratios, goals, sameness, refusal, and the talk with its workers.

The measurement itself is one slow test, which needs the peers' environment.
"""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is no part of the package

from benchmarks.peers import __main__ as bench
from benchmarks.peers import checks, plan, results, table
from benchmarks.peers.figure import draw
from benchmarks.peers.results import Outcome, Ratio, Timed
from benchmarks.peers.talk import Worker, WorkerError

ROOT = Path(__file__).parents[1]
MIB = 2**20
PEERS = ROOT / ".venv-peers" / "bin" / "python"


def timed(name, *seconds, growth=(), held=100 * MIB, share=1.0, returned=0):
    return Timed(name, share, list(seconds), [held + int(mib * MIB) for mib in growth], held, returned)


def directions_outcome(times, *, model="pocket", pairs=256, growth=None):
    """Every side of a block of directions, by how many times our 2 s it takes."""
    growth = growth or {}
    names = (plan.OUR_DIRECTIONS, plan.BARE, plan.SV_1, plan.SV_32, plan.RE_32)
    sides = {
        name: timed(name, 2.0 * factor, 4.0 * factor, growth=growth.get(name, ()))
        for name, factor in zip(names, times, strict=True)
    }
    return Outcome(plan.directions(model, pairs, 2, is_judged=True), sides)


def sweep_outcome(times):
    names = (plan.OUR_SWEEP, plan.UNSTEERED, plan.SV_8, plan.RE_8, plan.SV_ONE, plan.RE_ONE)
    sides = {name: timed(name, 3.0 * factor) for name, factor in zip(names, times, strict=True)}
    return Outcome(plan.sweep("pocket", (8, 5), 1, alone=0.1, batched=0.25, all_ways=False), sides)


# the plan


@pytest.mark.parametrize("blocks", [plan.full(), plan.quick()], ids=["full", "quick"])
def test_every_block_has_ours_the_limit_and_both_peers(blocks):
    for block in blocks:
        workers = {way.worker for way in block.ways}
        assert {"ours", "plain", "steering-vectors", "repeng"} <= workers <= set(plan.WORKERS)
        assert block.model in plan.MODELS
        assert {way.share for way in block.ways if way.worker in ("ours", "plain")} == {1.0}, "ours is timed in full"


def test_the_full_plan_is_what_was_asked_for():
    blocks = plan.full()
    assert {block.model for block in blocks} == set(plan.MODELS)
    for model in plan.MODELS:
        assert len({block.size for block in blocks if block.model == model and block.kind == "directions"}) == 3
        assert [block.kind for block in blocks if block.model == model and block.is_judged] == ["directions", "sweep"]
    assert {(block.cells[0], block.prompts, block.tokens) for block in blocks if block.kind == "sweep"} == {(8, 8, 48)}


def test_every_worker_is_a_program():
    for _, module in plan.WORKERS.values():
        assert importlib.util.find_spec(f"benchmarks.peers.{module}")


@pytest.mark.parametrize(("cells", "share"), [(40, 1.0), (40, 1 / 4), (40, 1 / 20), (16, 1 / 32), (4, 1 / 2)])
def test_the_calls_that_are_timed_are_the_share_that_seconds_are_divided_by(cells, share):
    taken, prompts = plan.part_of_calls(cells, 8, share)
    assert len(taken) * prompts == pytest.approx(cells * 8 * share)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(range(cells))


def test_timed_cells_and_layers_are_spread():
    taken, _ = plan.part_of_calls(40, 8, 1 / 4)
    assert set(np.diff(taken)) == {4}
    for n_layers in (1, 2, 8, 12, 32):
        found = plan.spread_layers(8, n_layers)
        assert found == sorted(set(found))
        assert (found[0], found[-1], len(found)) == (0, n_layers - 1, min(8, n_layers))


def test_the_peers_are_pinned_as_the_readers_are():
    """Both environments are built from their own list; the README names one version of each."""
    ours, readers = (
        dict(re.findall(r"^(repeng|steering-vectors|transformers)==(\S+)", path.read_text(), re.M))
        for path in (ROOT / "benchmarks/peers/requirements.txt", ROOT / "tests/readers/requirements.txt")
    )
    assert ours == readers
    assert len(ours) == 3


# ratios and goals


def test_a_ratio_pairs_the_rounds():
    """A machine that slows down half way slows both sides: the ratio stays what it is."""
    assert results.ratio(timed("peer", 3.0, 30.0), timed("ours", 1.0, 10.0)) == Ratio(3.0, 3.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        results.ratio(timed("peer", 3.0), timed("ours", 1.0, 10.0))


@pytest.mark.parametrize(
    ("times", "met"),
    [
        ((1, 0.95, 5.1, 1.6, 1.6), [True, True, True, True]),
        ((1, 0.95, 4.9, 1.4, 1.6), [False, False, True, True]),
        ((1, 0.85, 5.1, 1.6, 1.4), [True, True, False, False]),
    ],
)
def test_goals_of_directions(times, met):
    assert [goal.is_met for goal in results.speed_goals(directions_outcome(times))] == met


@pytest.mark.parametrize(
    ("times", "met"),
    [
        ((1, 0.9, 3.6, 3.6, 12.1, 12.1), [True] * 5),
        ((1, 0.9, 3.4, 3.6, 11.0, 12.1), [False, True, False, True, True]),
        ((1, 0.8, 3.6, 3.6, 12.1, 12.1), [True, True, True, True, False]),
    ],
)
def test_goals_of_a_sweep(times, met):
    assert [goal.is_met for goal in results.speed_goals(sweep_outcome(times))] == met


def test_a_goal_beyond_the_limit_says_so():
    near, far = (results.speed_goals(directions_outcome((1, bare, 4, 2, 2)))[0] for bare in (0.5, 1.0))
    assert not near.is_met
    assert not far.is_met
    assert "4.0 x" in far.note
    assert near.note == "", "the limit is 8 times as fast: the fault is ours"


def test_a_block_that_is_not_judged_has_no_goals_of_speed():
    outcome = directions_outcome((1, 1, 1, 1, 1))
    quiet = Outcome(plan.directions("pocket", 64, 2), outcome.sides)
    assert results.speed_goals(quiet) == []
    assert len(results.speed_goals(outcome)) == 4


def memory_outcomes(ours, peers):
    names = (plan.SV_1, plan.SV_32, plan.RE_32)
    return [
        directions_outcome(
            (1, 1, 1, 1, 1), pairs=pairs,
            growth={plan.OUR_DIRECTIONS: (mine, mine)} | dict.fromkeys(names, (peer, peer - 1)),
        )
        for pairs, mine, peer in zip((64, 256, 1024), ours, peers, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "met"),
    [
        ((40, 41, 42), [True] * 4),
        ((40, 110, 130), [False, False, False, False]),  # more than a peer once, and not flat
        ((60, 50, 55), [False, False, False, True]),
    ],
)
def test_goals_of_memory(ours, met):
    goals = results.memory_goals(memory_outcomes(ours, (50, 100, 200)))
    assert [goal.is_met for goal in goals] == met


def test_a_sweeps_memory_is_held_against_the_peers_too():
    outcome = sweep_outcome((1, 1, 4, 4, 12, 12))
    for name, mib in {plan.OUR_SWEEP: 300, plan.SV_8: 40, plan.RE_8: 301}.items():
        side = timed(name, 3.0, growth=(mib,), share=1.0 if name == plan.OUR_SWEEP else 0.25)
        outcome.sides[name] = replace(side, is_flat=True)
    goals = {goal.text: goal for goal in results.memory_goals([outcome])}
    assert list(goals) == [f"pocket, sweep: less memory than {name}" for name in (plan.SV_8, plan.RE_8)]
    assert [(goal.found, goal.is_met) for goal in goals.values()] == [
        ("300 of 40 MiB", False), ("300 of 301 MiB", True),
    ]  # fmt: skip


def test_what_is_returned_may_grow():
    outcomes = memory_outcomes((40, 60, 140), (500, 500, 500))
    assert not results.memory_goals(outcomes)[-1].is_met
    for outcome, mib in zip(outcomes, (6, 25, 100), strict=True):
        outcome.sides[plan.OUR_DIRECTIONS].returned = mib * MIB
    assert results.memory_goals(outcomes)[-1].is_met


def test_memory_of_a_part_is_no_memory_of_the_whole():
    assert timed("all", 1.0, growth=(5,)).growth == 5 * MIB
    assert timed("part", 1.0, growth=(5,), share=0.5).growth is None
    assert replace(timed("part", 1.0, growth=(5,), share=0.5), is_flat=True).growth == 5 * MIB, "call by call"
    assert Timed("unknown", seconds=[1.0], peaks=[None], held=1).growth is None


# the same thing


def test_directions_differ_where_a_layer_does():
    rng = np.random.default_rng(0)
    ours = rng.normal(size=(8, 192))
    assert checks.same_directions("x", ours, ours + 1e-7 * rng.normal(size=ours.shape)).is_same
    other = ours.copy()
    other[5] += 1e-2 * rng.normal(size=192)
    assert not checks.same_directions("x", ours, other).is_same
    assert not checks.same_directions("x", ours, ours * 1.01).is_same, "the same direction, but no mean difference"
    assert not checks.same_directions("x", ours, ours[:-1]).is_same


def test_ids_are_the_same_but_for_what_ours_adds():
    ours = [[0, 5, 6, 9], [0, 7, 9]]
    assert checks.same_ids("x", ours, [[0, 5, 6], [0, 7]], more=1).is_same
    assert not checks.same_ids("x", ours, [[0, 5, 6], [0, 7]]).is_same
    assert not checks.same_ids("x", ours, [[0, 5, 6], [7]], more=1).is_same


def test_texts_may_part_at_a_tie_and_nowhere_else():
    ours, theirs = [[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 2, 3, 4], [5, 9, 1, 1]]
    asked = []

    def margins(apart):
        return lambda forks: [asked.extend(forks), [apart] * len(forks)][1]

    assert checks.same_tokens("x", ours, theirs, margins(1e-6)).is_same
    assert asked == [checks.Fork(1, (5,), (6, 9))], "the first difference alone: what follows it follows from it"
    assert not checks.same_tokens("x", ours, theirs, margins(0.5)).is_same
    assert checks.same_tokens("x", ours, ours, margins(0.5)).is_same
    with pytest.raises(ValueError, match="row 0: 3 tokens, expected 4"):
        checks.same_tokens("x", ours, [[1, 2, 3], [5, 6, 7, 8]], margins(0.0))


# what is printed and drawn


def test_a_table_shows_medians_ranges_ratios_and_what_was_scaled():
    outcome = directions_outcome((1, 0.5, 4, 2, 2), growth={plan.OUR_DIRECTIONS: (12.0, 14.0)})
    outcome.sides[plan.SV_1].share = 1 / 16
    text = table.speed_table(outcome)
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert "| 3.00 (2.00 to 4.00) | 1 | 14 | 114 |" in rows["ours"]
    assert "| 0.50 (0.50 to 0.50) |" in rows[plan.BARE]
    assert "| 12.0 (8.0 to 16.0) | 4.0 (4.0 to 4.0) |  |  |" in rows[f"{plan.SV_1} (timed on 1/16 of it)"]


@pytest.mark.parametrize("is_same", [True, False])
def test_ratios_are_refused_where_the_sides_differ(tmp_path, capsys, is_same):
    answer = {"tool": "a tool 1.0", "versions": {"torch": "2"}}
    found = SimpleNamespace(
        checks=[checks.Check("pocket: tokens", "5 of 6", is_same)],
        outcomes=[directions_outcome((1, 1, 6, 2, 2)), sweep_outcome((1, 1, 4, 4, 13, 13))],
        versions=dict.fromkeys(plan.WORKERS, answer),
    )
    options = SimpleNamespace(threads=1, device="cpu", clock="wall", quick=False, out=tmp_path, figure=None)
    bench.report(found, options, 1.0)
    said, stored = capsys.readouterr().out, json.loads((tmp_path / "results.json").read_text())
    assert ("times ours" in said) == is_same
    assert ("No ratios" in said) != is_same
    assert "5 of 6" in said
    assert bool(stored["goals"]) == is_same
    assert (tmp_path / "peers.svg").exists() == is_same


def test_the_figure_is_sound_and_ordered():
    outcomes = [*memory_outcomes((40, 41, 42), (50, 100, 200)), sweep_outcome((1, 1, 4, 4, 13, 13))]
    root = ElementTree.fromstring(draw(outcomes, "a <tool> & another"))
    name = "{http://www.w3.org/2000/svg}"
    texts = ["".join(each.itertext()) for each in root.iter(f"{name}text")]
    assert any(text.startswith("a <tool> & another") for text in texts)
    for each in root.iter(f"{name}circle"):
        assert 0 <= float(each.get("cx")) <= 960
        assert 0 <= float(each.get("cy")) <= 344
    sweep = [float(each.get("cx")) for each in root.iter(f"{name}circle") if 348 < float(each.get("cx")) < 690]
    dots = sweep[: len(sweep) - 1]  # the last one is the legend's
    assert dots == sorted(dots), "ours, the limit, batches of 8, one at a time"
    assert dots[0] < dots[2] < dots[4]


def test_a_figure_of_part_of_the_plan_leaves_panels_out():
    texts = draw([sweep_outcome((1, 1, 4, 4, 13, 13))], "part")
    assert "Sweep of layers" in texts
    assert "Memory" not in texts
    assert "Directions of all" not in texts


# the talk with workers

STUB = """
import os, sys
from benchmarks.peers.talk import serve

def double(value):
    print("a library prints")
    os.write(1, b"and so does its C code")
    return {"value": 2 * value}

def die():
    sys.stderr.write("no memory left\\n")
    sys.stderr.flush()
    os._exit(3)

serve({"double": double, "fail": lambda: {}["nothing"], "die": die})
"""


@pytest.fixture
def worker(tmp_path):
    made = Worker("stub", [sys.executable, "-c", STUB], log=tmp_path / "logs" / "stub.log", folder=ROOT, environment={})
    yield made
    made.close()


def test_a_worker_lives_on_and_what_libraries_print_is_no_answer(worker, tmp_path):
    assert [worker.ask({"do": "double", "value": value})["value"] for value in (2, 21)] == [4, 42]
    with pytest.raises(WorkerError, match="stub: KeyError: 'nothing'"):
        worker.ask({"do": "fail"})
    assert worker.ask({"do": "double", "value": 1}) == {"value": 2}, "a task that failed is not the end of it"
    assert "a library prints" in (tmp_path / "logs" / "stub.log").read_text()


def test_a_worker_that_dies_says_how(worker):
    with pytest.raises(WorkerError, match="stub: ended with status 3: no memory left"):
        worker.ask({"do": "die"})


def test_it_says_what_is_missing(tmp_path):
    command = [sys.executable, "-m", "benchmarks.peers", "--peers-python", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "make bench-peers" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not PEERS.exists(), reason="`make bench-peers` has not set up .venv-peers")
def test_all_sides_do_the_same_thing(tmp_path):
    command = [sys.executable, "-m", "benchmarks.peers", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert all(check["is_same"] for check in found["checks"])
    assert len(found["checks"]) > 20
    assert ElementTree.parse(tmp_path / "peers.svg")
