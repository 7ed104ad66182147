"""Fanning out on workers of a clockwork: who does what and when is known to the tick, losses included."""

import re
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from creativity_lens.cluster import fan_out, ray_link
from creativity_lens.cluster.fan_out import Job, Lost, Roster
from creativity_lens.cluster.ray_crew import RayCrew, refuse_another, why_lost
from creativity_lens.cluster.ray_link import choose_gpus, choose_workers
from creativity_lens.cluster.worker import Refused, dense, tokenizer_files
from creativity_lens.errors import InputError
from creativity_lens.work import Result

NEVER = float("inf")


class Clockwork:
    """A crew in simulated time: a job takes its cost, the way to a worker `way`, a worker's start `start`."""

    def __init__(self, *, way=0.0, start=0.0, deaths=(), deadly=(), unborn=lambda worker: False, places=NEVER):
        self.way, self.start, self.places = way, start, places
        self.deaths = dict(deaths)  # worker -> when it dies
        self.deadly = Counter(dict(deadly))  # name of a job -> how many workers it kills halfway
        self.unborn = unborn
        self.now, self.hired, self.living = 0.0, 0, set()
        self.free: dict[int, float] = {}  # worker -> when it is through with what it was sent
        self.due: dict[tuple, float] = {}  # promise -> when it is kept or broken
        self.broken: set[tuple] = set()
        self.begun: list[tuple[str, int, float]] = []  # name of the job, worker, when
        self.refused: dict[str, str] = {}

    def hire(self):
        worker, self.hired = self.hired, self.hired + 1
        self.living.add(worker)
        promise = ("place", worker)
        self.due[promise] = self.now + self.start if worker < self.places else NEVER
        self.free[worker] = self.due[promise]
        if self.unborn(worker):
            self.broken.add(promise)
        return worker, promise

    def greet(self, worker, promise):
        self.take(promise)

    def send(self, worker, parcel):
        name, cost = parcel
        begin = max(self.free[worker], self.now + self.way)
        end = begin + cost
        death = self.deaths.get(worker, NEVER)
        if self.deadly[name] and begin < death:
            self.deadly[name] -= 1
            death = self.deaths[worker] = begin + cost / 2
        promise = (name, worker, len(self.begun))
        if begin < death:
            self.begun.append((name, worker, begin))
        if end >= death:
            self.broken.add(promise)
        self.free[worker], self.due[promise] = end, min(end, max(death, self.now)) + self.way
        return promise

    def wait(self, promises, seconds):
        assert promises, "nothing to wait for"
        first = min(self.due[promise] for promise in promises)
        if first == NEVER:
            assert seconds is not None, "waits for ever"
            self.now += seconds
            return []
        self.now = max(self.now, first)
        return [promise for promise in promises if self.due[promise] <= self.now]

    def take(self, promise):
        assert self.due[promise] <= self.now or promise[1] not in self.living, "taken before it is through"
        if promise in self.broken or self.due[promise] > self.now:
            raise Lost("its process ended")
        if promise[0] in self.refused:
            raise InputError(self.refused[promise[0]])
        return promise[0].upper() if promise[0] != "place" else None

    def dismiss(self, worker):
        self.living.discard(worker)

    def why_waiting(self):
        return "the cluster has 0 free."


def jobs_of(*costs):
    return [Job(float(cost), f"job {number}", (f"job {number}", float(cost))) for number, cost in enumerate(costs)]


def all_of(roster, jobs):
    found = dict(roster.run(jobs))
    assert found == {number: job.name.upper() for number, job in enumerate(jobs)}
    return found


def test_every_reply_comes_once_with_its_number_and_the_costliest_begin_first():
    crew = Clockwork()
    jobs = jobs_of(3, 9, 1, 7, 5)
    replies = list(Roster(crew, 2).run(jobs))
    assert sorted(replies) == [(number, f"JOB {number}") for number in range(5)]
    assert [name for name, _, _ in sorted(crew.begun, key=lambda each: each[2])[:2]] == ["job 1", "job 3"]
    assert crew.begun[-1][0] == "job 2", "the least last"
    assert crew.hired == 2


def test_the_largest_first_ends_sooner_than_the_largest_last():
    costs = [1] * 20 + [10]
    crew = Clockwork()
    all_of(Roster(crew, 2), jobs_of(*costs))
    assert crew.now == 15, "30 for two"


@settings(max_examples=60, deadline=None)
@given(costs=st.lists(st.integers(1, 50), min_size=1, max_size=40), size=st.integers(1, 8))
def test_no_schedule_is_longer_than_list_scheduling_allows(costs, size):
    crew = Clockwork()
    all_of(Roster(crew, size), jobs_of(*costs))
    assert crew.now <= sum(costs) / size + max(costs) * (1 - 1 / size) + 1e-9


def test_no_worker_waits_for_the_way_there_and_back(monkeypatch):
    """Control: with one job at a time each, the ways add up."""
    times = {}
    for hold in (1, 2):
        monkeypatch.setattr(fan_out, "HOLD", hold)
        crew = Clockwork(way=1.0)
        all_of(Roster(crew, 2), jobs_of(*[5] * 40))
        times[hold] = crew.now
    assert times == {1: 20 * 7, 2: 20 * 5 + 2}


def test_a_lost_worker_is_replaced_and_what_it_held_is_done_again():
    crew = Clockwork(deaths={0: 7.0})
    with pytest.warns(UserWarning, match="a worker was lost"):
        all_of(Roster(crew, 2), jobs_of(4, 4, 4, 4, 4, 4))
    assert crew.hired == 3
    begun = Counter(name for name, _, _ in crew.begun)
    assert sorted(begun.values()) == [1, 1, 1, 1, 1, 2], "one was in work when the worker was lost"
    assert 0 not in crew.living


class Late(Clockwork):
    """Looks at its jobs once, when both of a worker are through, and sees the last one first."""

    def wait(self, promises, seconds):
        self.now = max(self.now, *(self.due[promise] for promise in promises)) if len(promises) > 1 else self.now
        return list(reversed(super().wait(promises, seconds)))


def test_what_a_lost_worker_had_finished_is_not_done_again():
    """Its loss comes to light with its second job, before the reply to the first is taken."""
    crew = Late(deaths={0: 5.0})
    with pytest.warns(UserWarning, match="lost"):
        all_of(Roster(crew, 1), jobs_of(4, 3))
    assert Counter(name for name, _, _ in crew.begun) == {"job 0": 1, "job 1": 2}


def test_a_job_that_always_loses_its_worker_is_named_and_the_others_are_not_blamed():
    crew = Clockwork(deadly={"job 2": 99})
    replies, done = Roster(crew, 2).run(jobs_of(1, 1, 9, 8, 8, 8, 8, 2)), []
    with pytest.warns(UserWarning, match="lost"), pytest.raises(InputError) as refusal:
        done.extend(replies)
    assert str(refusal.value).startswith("job 2: lost its worker 5 times (its process ended)")
    assert Counter(name for name, _, _ in crew.begun)["job 2"] == fan_out.LOSSES
    assert all(number != 2 for number, _ in done)


def test_a_job_that_loses_its_worker_less_often_is_done():
    crew = Clockwork(deadly={"job 2": fan_out.LOSSES - 1})
    with pytest.warns(UserWarning, match="lost"):
        all_of(Roster(crew, 2), jobs_of(1, 1, 9, 8, 8, 8, 8, 2))


@settings(max_examples=80, deadline=None)
@given(
    costs=st.lists(st.integers(1, 9), min_size=1, max_size=25),
    size=st.integers(1, 5),
    deaths=st.dictionaries(st.integers(0, 12), st.floats(0, 60), max_size=fan_out.LOSSES - 1),
    way=st.sampled_from([0.0, 0.5, 3.0]),
    start=st.sampled_from([0.0, 4.0]),
)
def test_whoever_is_lost_whenever_every_job_is_done_once(costs, size, deaths, way, start):
    """At most four are lost: five are needed before a job is blamed."""
    crew = Clockwork(way=way, start=start, deaths=deaths)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        all_of(Roster(crew, size), jobs_of(*costs))


def test_workers_that_never_start_end_in_one_line():
    crew = Clockwork(unborn=lambda worker: True)
    with pytest.raises(InputError, match=r"5 in a row were lost while they started \(its process ended\)"):
        Roster(crew, 2).ready()
    assert crew.living == {6} or len(crew.living) <= 1


def test_a_worker_that_cannot_be_replaced_leaves_the_others_to_go_on():
    crew = Clockwork(start=1.0, deaths={0: 3.0}, unborn=lambda worker: worker >= 2)
    roster = Roster(crew, 2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        all_of(roster, jobs_of(*[2] * 12))
    assert roster.size == 1
    assert "could not be replaced" in str(said[-1].message)


def test_a_worker_without_a_place_holds_nobody_up():
    crew = Clockwork(start=1.0, places=1)
    all_of(Roster(crew, 3), jobs_of(2, 2, 2))
    assert {worker for _, worker, _ in crew.begun} == {0}


def test_no_place_at_all_is_said_after_a_while():
    crew = Clockwork(places=0)
    with pytest.raises(InputError, match=r"none got a place in 120 s; the cluster has 0 free\."):
        Roster(crew, 2).ready()
    assert crew.now == fan_out.PATIENCE


def test_what_ends_early_leaves_no_work_running_and_the_next_run_is_whole():
    crew = Clockwork(start=1.0)
    roster = Roster(crew, 3)
    replies = roster.run(jobs_of(*[2] * 12))
    next(replies)
    replies.close()
    assert crew.living == set(), "everyone held a job"
    all_of(roster, jobs_of(1, 2, 3))
    roster.close()
    assert crew.living == set()
    assert roster.seats == []


def test_a_refusal_comes_through_as_it_is():
    crew = Clockwork()
    crew.refused["job 1"] = "prompt of 9 tokens: expected fewer"
    roster = Roster(crew, 2)
    with pytest.raises(InputError, match=r"^prompt of 9 tokens: expected fewer$"):
        list(roster.run(jobs_of(9, 5)))
    assert crew.living == {1}, "it did what it could; the other was in the middle of a job"


def test_a_refusal_of_a_starting_worker_comes_through_and_the_worker_goes():
    crew = Clockwork()
    crew.refused["place"] = "no such model"
    roster = Roster(crew, 1)
    with pytest.raises(InputError, match="no such model"):
        roster.ready()
    assert crew.living == set()


def test_prepared_workers_keep_their_promise_before_a_job():
    crew = Clockwork()
    roster = Roster(crew, 1)
    roster.ready()
    crew.due["load", 0] = 10.0
    roster.prepare(lambda worker: ("load", worker))
    crew.free[0] = 10.0
    all_of(roster, jobs_of(1))
    assert crew.begun == [("job 0", 0, 10.0)]


# how many, on what

ONE, EIGHT = [{"CPU": 2.0}], [{"CPU": 32.0, "GPU": 8.0}]
THREE = [{"CPU": 3.0}, {"CPU": 3.0, "GPU": 1.0}, {"GPU": 2.0}]


@pytest.mark.parametrize(
    ("nodes", "gpus", "device", "chosen"),
    [
        (ONE, None, "auto", 0), (ONE, 0, "cpu", 0), (EIGHT, None, "auto", 1), (EIGHT, None, "cpu", 0),
        (EIGHT, 2, "cuda", 2), (EIGHT, 0, "auto", 0), (THREE, 2, "auto", 2),
    ],
)  # fmt: skip
def test_gpus_of_a_worker(nodes, gpus, device, chosen):
    assert choose_gpus(nodes, gpus, device) == chosen


@pytest.mark.parametrize(
    ("nodes", "gpus", "device", "said"),
    [
        (ONE, 1, "auto", "expected GPUs for 1 a worker, the cluster has none"),
        (THREE, 4, "auto", "expected GPUs for 4 a worker, the largest node has 2"),
        (EIGHT, 1, "cpu", "expected 0 for device 'cpu', got 1"),
        (EIGHT, 0, "cuda", "expected 1 or more for device 'cuda', got 0"),
        (ONE, None, "cuda", "the cluster has none"),
        (ONE, -1, "auto", "expected 0 or more, got -1"),
        (EIGHT, None, "cuda:1", "expected auto, cpu or cuda for workers, got 'cuda:1'"),
    ],
)
def test_gpus_that_are_not_there(nodes, gpus, device, said):
    with pytest.raises(InputError) as refusal:
        choose_gpus(nodes, gpus, device)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("nodes", "workers", "threads", "gpus", "chosen"),
    [
        (ONE, None, 1, 0, 2), (ONE, None, 2, 0, 1), (ONE, 1, 2, 0, 1), (EIGHT, None, 64, 1, 8), (EIGHT, None, 4, 3, 2),
        (THREE, None, 2, 0, 2), (THREE, None, 1, 2, 1),
    ],
)  # fmt: skip
def test_as_many_workers_as_fit(nodes, workers, threads, gpus, chosen):
    """Each wholly on one node: three processors take one worker of two threads, not one and a half."""
    assert choose_workers(nodes, workers, threads=threads, gpus=gpus) == chosen


@pytest.mark.parametrize(
    ("nodes", "workers", "threads", "gpus", "said"),
    [
        (ONE, 0, 1, 0, "workers: expected 1 or more, got 0"),
        (ONE, -2, 1, 0, "workers: expected 1 or more, got -2"),
        (ONE, 3, 1, 0, "3 workers need 3 processors (1 each, on one node), the cluster has 2 on 1 node;"),
        (ONE, None, 4, 0, "a worker needs 4 processors (4 each, on one node), the cluster has 2 on 1 node;"),
        (EIGHT, 9, 1, 1, "9 workers need 9 GPUs (1 each, on one node), the cluster has 8 on 1 node;"),
        (THREE, 2, 1, 2, "2 workers need 4 GPUs (2 each, on one node), the cluster has 3 on 3 nodes;"),
        (ONE, 1, 0, 0, "threads: expected 1 or more, got 0"),
    ],
)
def test_more_workers_than_fit(nodes, workers, threads, gpus, said):
    with pytest.raises(InputError) as refusal:
        choose_workers(nodes, workers, threads=threads, gpus=gpus)
    assert said in str(refusal.value)


# one model everywhere


def test_another_model_on_another_host_is_named():
    one = {"id": "m", "weights_hash": "sha256:a", "versions": {"torch": "2.6", "numpy": "2.1"}}
    refuse_another(one, dict(one), "a", "b")
    with pytest.raises(InputError, match="weights_hash is sha256:a on a and sha256:b on b"):
        refuse_another(one, one | {"weights_hash": "sha256:b"}, "a", "b")
    with pytest.raises(InputError, match=r"torch is 2\.6 on a and 2\.7 on b"):
        refuse_another(one, one | {"versions": {"torch": "2.7", "numpy": "2.1"}}, "a", "b")


def test_the_tokenizer_travels_without_weights(tmp_path):
    sent = ("tokenizer.json", "config.json", "chat_template.jinja", "vocab.txt", "spiece.model")
    for name in (*sent, "model.safetensors", "model.safetensors.index.json", "README.md"):
        (tmp_path / name).write_text(name)
    assert tokenizer_files(tmp_path) == {name: name.encode() for name in sent}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("The actor died unexpectedly: the process was killed", "its process ended"),
        ("Task was killed due to the node running low on memory (memory pressure)", "out of memory"),
        ("The actor is dead because its node has died. Node Id: 0f", "its node is gone"),
    ],
)
def test_some_words_for_a_paragraph(said, why):
    assert why_lost(RuntimeError(said)) == why


def test_a_host_without_the_package_is_named_as_such():
    said = "The actor died because of an error raised in its creation task\nModuleNotFoundError: No module named 'x'"
    with pytest.raises(InputError, match="expected creativity-lens on every host"):
        why_lost(RuntimeError(said))


# ways that lead to no Ray


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"run `pip install 'creativity-lens\[ray\]'`"):
        ray_link.connect(None)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "no Ray can be reached at 127.0.0.1:1 (Connection refused)"),
        ("nowhere.invalid:6379", "no Ray can be reached at nowhere.invalid:6379"),
        ("localhost", "expected HOST:PORT of a Ray head (such as 10.0.0.1:6379) or 'auto', got 'localhost'"),
        ("localhost:port", "expected HOST:PORT"),
        ("localhost:99999", "expected HOST:PORT"),
        ("ray://localhost:10001", "got 'ray://localhost:10001'; run clens on a machine of the cluster"),
    ],
)
def test_addresses_that_lead_nowhere(address, said):
    from creativity_lens.cluster.ray import ray_engine

    with pytest.raises(InputError) as refusal:
        ray_engine(address=address)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers: expected 1 or more, got 0."),
        ({"threads": 0}, "threads: expected 1 or more, got 0."),
        ({"gpus_per_worker": -1}, "gpus-per-worker: expected 0 or more, got -1."),
    ],
)
def test_numbers_are_refused_before_ray_is_looked_for(options, said, monkeypatch):
    from creativity_lens.cluster import ray

    monkeypatch.setattr(ray, "connect", lambda address: pytest.fail("connected"))
    with pytest.raises(InputError) as refusal:
        ray.ray_engine(**options)
    assert str(refusal.value) == said


def test_what_a_probe_said_becomes_one_line():
    token = "RPC error: InvalidAuthToken: Authentication token is missing or incorrect\n" * 20
    assert "asks for another token" in ray_link._refusal("h:1", token)
    assert "found none" in ray_link._refusal("auto", "ConnectionError: Could not find any running Ray instance.")
    other = "Traceback\nRuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.40.0\n"
    assert "(RuntimeError: Version mismatch: The cluster was started with:)" in ray_link._refusal("h:1", other)
    assert "(no answer in 20 s)" in ray_link._refusal("h:1", "")


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("RAY_HERE", "mine")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with ray_link._environment({"RAY_HERE": "other", "RAY_NEW": "1"}):
        import os

        assert (os.environ["RAY_HERE"], os.environ["RAY_NEW"]) == ("mine", "1")
        os.environ["RAY_AUTH_MODE"] = "token"  # as Ray does
    assert os.environ["RAY_HERE"] == "mine"
    assert not {"RAY_NEW", "RAY_AUTH_MODE"} & set(os.environ)


class FakeRay:
    """Just what `take` asks of Ray: promises are the replies."""

    class exceptions:  # noqa: N801
        class RayError(Exception): ...

        class RayTaskError(RayError):
            cause: Exception

        class RaySystemError(RayError): ...

    @classmethod
    def get(cls, promise, timeout):
        if isinstance(promise, Exception):
            raise promise
        return promise


@pytest.fixture
def crew():
    made = RayCrew.__new__(RayCrew)
    made.ray, made.specs, made.told, made.refused = FakeRay, [], {}, {}
    made.places, made.to_load = {"w": ("host", 1)}, {"w": []}
    return made


def test_a_refused_model_is_an_error_of_one_who_asked_and_the_worker_stays(crew):
    spec = {"name": "nothing"}
    crew.want(spec)
    assert crew.greet("w", Refused("no such model")) is None
    with pytest.raises(InputError, match="no such model"):
        crew.pin(spec)
    crew.forget(spec)
    assert crew.specs == []


def test_a_fault_of_the_verb_is_raised_and_one_of_the_way_is_a_loss(crew):
    fault = FakeRay.exceptions.RayTaskError()
    fault.cause = ZeroDivisionError("by zero")
    with pytest.raises(ZeroDivisionError, match="by zero"):
        crew.take(fault)
    fault.cause = FakeRay.exceptions.RaySystemError("unreadable")
    with pytest.raises(Lost):
        crew.take(fault)
    other = FakeRay.exceptions.RayTaskError("System error\nModuleNotFoundError: No module named 'creativity_lens'")
    other.cause = FakeRay.exceptions.RaySystemError()
    with pytest.raises(InputError, match=r"\(ModuleNotFoundError: No module named 'creativity_lens'\)"):
        crew.take(other)


def test_results_leave_a_worker_dense():
    """A view that is not laid out row after row would be kept as other numbers than it shows."""
    block = np.arange(12.0).reshape(3, 4)
    block.flags.writeable = False
    for view in (block[:, :2], block.T, block):
        found = dense(Result({"a": view}, (2, 1)))
        assert found.halved == (2, 1)
        assert found.arrays["a"].flags["C_CONTIGUOUS"]
        assert found.arrays["a"].flags.writeable
        assert load(save(found.arrays))["a"].tolist() == view.tolist()


# the page on clusters

PAGE = Path(__file__).parent.parent / "docs" / "cluster.md"


def test_every_option_on_the_page_exists():
    from typer.main import get_command

    from creativity_lens.cli import app

    sweep = get_command(app).commands["sweep"]
    known = {name for option in sweep.params for name in option.opts}
    lines = re.findall(r"^clens sweep .*|^\| `--.*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for line in lines for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line.split("#")[0])}
    assert {"--engine", "--address", "--workers", "--gpus-per-worker", "--threads", "--out", "--model"} <= named
    assert named <= known


def test_the_script_on_the_page_is_one(tmp_path):
    script = re.search(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert "ray start" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).stderr == ""
