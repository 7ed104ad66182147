"""The Ray engine on a real Ray: two workers of one thread on this machine, with the built-in model.

What is slow is Ray's start and that of its workers, which import torch: the fast tests of who does what are in
test_ray_scheduling.py.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from prepared import few_pairs

from creativity_lens.activations import collect_activations
from creativity_lens.cell_store import CellStore
from creativity_lens.cluster import fan_out, ray_link
from creativity_lens.engines import Local
from creativity_lens.errors import InputError
from creativity_lens.generation import generate
from creativity_lens.scoring import read_texts, surprisals
from creativity_lens.steering import Steering
from creativity_lens.storage import open_storage
from creativity_lens.work import Work

pytestmark = pytest.mark.slow

ROOM = 64 << 20
FEW = few_pairs()


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An object store on the loopback, which Ray's workers find by the environment that they are started with."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem().mkdir("lens")
        yield "s3://lens"
    server.stop()


@pytest.fixture(scope="module")
def engine(bucket) -> Iterator[Any]:
    from creativity_lens.cluster.ray import ray_engine

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # the verbs below
        patch.setitem(ray_link._OPTIONS, "num_cpus", 2)  # also where there is one
        patch.setattr(ray_link, "STORE_BYTES", 100 << 20)
        with ray_engine(workers=2, threads=1) as made:
            yield made


@pytest.fixture(scope="module")
def far(engine):
    """The built-in model, on the workers."""
    return engine.model("pocket-chat")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def use(model) -> list[Any]:
    """Something of every kind that a sweep asks of a model."""
    steering = [None, Steering(3, torch.linspace(-1, 1, model.d_model), 0.1)]
    texts = generate(model, ["Write about rain.", "Write about a harbour."], steering=steering, samples=3,
                     max_new_tokens=12, batch_rows=4)  # fmt: skip
    readings = read_texts(model, [text.token_ids for text in texts], 4)
    said = surprisals(model, ["Write about rain."] * len(texts), [text.token_ids for text in texts])
    pairs = collect_activations(model, FEW[:8], layers=[2, 5], cache=False)
    return [[(text.text, text.token_ids, text.seed) for text in texts], readings.means, said, pairs.creative]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.cell")}


def with_store(model, engine, place):
    return replace(model, engine=engine.keeping(CellStore(open_storage(place)), ROOM, print))


def test_the_process_that_plans_holds_no_weights(far, chat):
    assert far.bridge is None
    assert far.shape == chat.shape
    assert far.identity == chat.identity
    assert far.spec == chat.spec
    assert far.tokenizer.get_vocab() == chat.tokenizer.get_vocab()
    assert far.encode_prompt("Hello") == chat.encode_prompt("Hello")
    with pytest.raises(InputError, match="its weights are on the workers"):
        _ = far.embeddings


def test_the_same_bytes_as_in_this_process(far, engine, chat, tmp_path, one_thread):
    use(with_store(chat, Local(), tmp_path / "here"))
    use(with_store(far, engine, tmp_path / "there"))
    here = files(tmp_path / "here")
    assert len(here) > 4
    assert files(tmp_path / "there") == here


def test_what_is_kept_is_not_done_again(far, engine, chat, tmp_path, one_thread, monkeypatch):
    first = use(with_store(chat, Local(), tmp_path))
    monkeypatch.setattr(engine.roster, "run", lambda jobs: pytest.fail("sent out"))
    again = use(with_store(far, engine, tmp_path))
    assert again[0] == first[0]
    assert all(torch.equal(a, b) for a, b in zip(again[1:], first[1:], strict=True))


def test_a_second_model_comes_to_the_same_workers(engine, base, one_thread):
    before = engine.places
    other = engine.model("pocket-base")
    texts = base.encode_texts(["The tide came in like a rumour.", "It rained."])
    assert torch.equal(read_texts(other, texts, 2).means, read_texts(base, texts, 2).means)
    assert engine.places == before


def test_at_a_url_workers_write_themselves(far, engine, chat, bucket, tmp_path, one_thread, monkeypatch):
    use(with_store(chat, Local(), tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(CellStore, "write", lambda *_: pytest.fail("written here"))
        use(with_store(far, engine, f"{bucket}/run"))
    store = open_storage(f"{bucket}/run")
    assert {name: store.read(name) for name in store.names()} == files(tmp_path)


def test_a_killed_worker_is_replaced_and_nothing_changes(far, engine, one_thread):
    works = [Work(numbers, 7, tuple(range(start, start + 4)), 1) for start in range(0, 80, 4)]
    host, victim = engine.places[0]
    results = engine.run(far, works)
    number, first = next(results)
    os.kill(victim, signal.SIGKILL)
    with pytest.warns(UserWarning, match=r"a worker was lost \(its process ended\)"):
        others = dict(results)
    got = {place: result.arrays["squares"].tolist() for place, result in {number: first, **others}.items()}
    assert got == {number: [7 * row * row for row in work.rows] for number, work in enumerate(works)}
    engine.roster.ready()
    assert (host, victim) not in engine.places


def test_a_work_that_always_kills_its_worker_is_named(far, engine, monkeypatch):
    monkeypatch.setattr(fan_out, "LOSSES", 2)
    with pytest.warns(UserWarning, match="lost"), pytest.raises(InputError) as refusal:
        list(engine.run(far, [Work(die, None, (1, 2, 3), 5)]))
    assert str(refusal.value).startswith("die of 3 rows: lost its worker 2 times (its process ended)")


def test_what_a_verb_refuses_comes_as_its_line(far, engine):
    with pytest.raises(InputError, match=r"^rows: expected fewer, got 2\.$"):
        list(engine.run(far, [Work(refuse, None, (1, 2), 1)]))
    assert dict(engine.run(far, [Work(numbers, 1, (3,), 1)]))[0].arrays["squares"].tolist() == [9]


def test_a_fault_in_a_verb_comes_as_itself(far, engine):
    with pytest.raises(ZeroDivisionError):
        list(engine.run(far, [Work(fault, None, (1,), 1)]))


def test_results_may_be_written_to(far, engine):
    """Ray's own arrays may not, and torch would warn of them."""
    (_, result) = next(engine.run(far, [Work(large, None, (1,) * 50_000, 1)]))
    result.arrays["ones"][0] = 2
    assert torch.from_numpy(result.arrays["ones"]).sum() == 50_001


def test_a_model_that_workers_cannot_load(engine, far):
    with pytest.raises(InputError, match=r"A worker on .* says so") as refusal:
        engine.model("/no/such/folder")
    assert "\n" not in str(refusal.value)
    assert dict(engine.run(far, [Work(numbers, 1, (2,), 1)]))[0].arrays["squares"].tolist() == [4]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpus_per_worker": 2}, "gpus-per-worker: expected GPUs for 2 a worker, the cluster has none"),
        ({"workers": 99, "threads": 1}, "99 workers need 99 processors (1 each, on one node), the cluster has 2"),
        ({"address": "10.0.0.9:6379"}, "this process is connected to the Ray at 127.0.0.1"),
    ],
)
def test_more_than_there_is_leaves_a_running_ray_as_it_is(engine, options, said):
    import ray

    from creativity_lens.cluster.ray import ray_engine

    with pytest.raises(InputError) as refusal:
        ray_engine(**options)
    assert said in str(refusal.value)
    assert ray.is_initialized()


def test_our_own_ray_listens_on_the_loopback_alone(engine):
    folder = engine.link.folder
    ours = [
        process for process in psutil.process_iter(["cmdline"]) if folder in " ".join(process.info["cmdline"] or [])
    ]
    workers = [psutil.Process(pid) for _, pid in engine.places]
    sockets = [one for process in (*ours, *workers) for one in process.net_connections("inet")]
    listening = {one.laddr.ip.removeprefix("::ffff:") for one in sockets if one.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_a_port_that_is_no_ray(monkeypatch):
    monkeypatch.setattr(ray_link, "ANSWER_SECONDS", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=f"no Ray of this version answers at '{address}'"):
            ray_link._join(address)


SCRIPT = """
from creativity_lens.cluster.ray import ray_engine
engine = ray_engine(workers=1, threads=1)
engine.roster.ready()
print(engine.link.folder, engine.places[0][1], flush=True)
engine.model("pocket-chat")
input()
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_nothing_of_our_own_ray_outlives_its_process(ending):
    """Ctrl-C goes to the whole group, as a terminal sends it."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        folder, worker = process.stdout.readline().split()
        time.sleep(0.5)  # it waits for the model
        os.killpg(process.pid, ending) if ending == signal.SIGINT else process.kill()
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    deadline = time.monotonic() + 30
    while left := [each.pid for each in psutil.process_iter(["cmdline"])
                   if folder in " ".join(each.info["cmdline"] or []) or each.pid == int(worker)]:  # fmt: skip
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    if ending == signal.SIGINT:
        assert "KeyboardInterrupt" in err
        assert not Path(folder).exists()
    shutil.rmtree(folder, ignore_errors=True)  # nobody is left to do it after SIGKILL


# verbs, which workers import from this file


def numbers(model: Any, settings: int, rows: Sequence[int]) -> dict[str, np.ndarray]:
    time.sleep(0.05)
    return {"squares": np.array([settings * row * row for row in rows])}


def large(model: Any, settings: None, rows: Sequence[int]) -> dict[str, np.ndarray]:
    return {"ones": np.array(rows)}


def die(model: Any, settings: None, rows: Sequence[int]) -> dict[str, np.ndarray]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def refuse(model: Any, settings: None, rows: Sequence[int]) -> dict[str, np.ndarray]:
    raise InputError(f"rows: expected fewer, got {len(rows)}.")


def fault(model: Any, settings: None, rows: Sequence[int]) -> dict[str, np.ndarray]:
    return {"quotients": np.array([row // 0 for row in rows])}
