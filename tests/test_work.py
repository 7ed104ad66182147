"""Works: keys that tell any two contents apart, batches cut where memory does not suffice, results in their order."""

import functools
import gc
import operator
import weakref
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

import creativity_lens.work as module
from creativity_lens.cell_store import CellStore
from creativity_lens.engines import Local
from creativity_lens.errors import InputError
from creativity_lens.storage import open_storage
from creativity_lens.work import Engine, Work, carry_out, do, fingerprint_of, gather, largest_first, work_key

# -- fingerprints --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    x: object
    y: object = None


@dataclass(frozen=True)
class Other:
    x: object
    y: object = None


TURNED = make_dataclass("Point", ["y", "x"], frozen=True)


def one(model, settings, rows):
    return {}


def other(model, settings, rows):
    return {}


FOUR = np.arange(4, dtype=np.float32)
BYTES = torch.arange(8, dtype=torch.uint8)
DIFFERENT = [
    None, True, False, 1, 0, -1, 2, 10**30, 1.0, 0.0, -0.0, 2.0, 0.1, 0.1 + 2**-56, float("nan"), float("inf"),
    -float("inf"), 5e-324, "", "1", "0", "None", "True", "1.0", "a", "A", " a", "ab", "é", "e\u0301", "\ud800", "\0",
    b"", b"1", b"a", b"\0", (), (None,), ((),), ((), ()), (1,), ("1",), (1, 2), (2, 1), (1, 1), (1, 2, 3),
    ((1, 2), 3), (1, (2, 3)), ((1,), (2,), (3,)), ("ab", "c"), ("a", "bc"), ("abc",), {}, {"a": 1}, {"a": "1"},
    {"a": True}, {"b": 1}, {1: "a"}, {"a": {"b": 1}}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, (("a", 1),), ("a", 1),
    Path("a"), Path("a/b"), Point(1), Point(1, 1), Point("1"), Point(None, 1), Other(1), (1, None), Point(Point(1)),
    Point((1,)), Point({}), one, other, max, min, Point, Other, "one", FOUR, FOUR[:3], FOUR.reshape(2, 2),
    FOUR.reshape(1, 4), FOUR.reshape(4, 1), FOUR[::-1], FOUR.astype(np.float64), FOUR.astype(np.int32),
    FOUR.view(np.int32), FOUR.astype(">f4"), -FOUR, np.zeros(0, np.float32), np.zeros(0, np.int64),
    np.zeros((0, 4), np.float32), np.zeros((4, 0), np.float32), np.array([0.0]), np.array([-0.0]), np.array([np.nan]),
    np.array([True]), np.array([1], np.int8), np.array(["ab"]), np.array([b"ab"]), np.array([1], np.uint8),
    np.int64(1), np.float32(1), np.array("1970", "M8[Y]"), torch.from_numpy(FOUR), torch.from_numpy(FOUR)[:3],
    torch.from_numpy(FOUR).reshape(2, 2), torch.zeros(0), torch.zeros(0, 4), torch.tensor(1.0), torch.tensor([1.0]),
    torch.tensor(1), torch.tensor(True), torch.tensor([-0.0]), torch.tensor([0.0]), BYTES, BYTES.view(torch.int16),
    BYTES.view(torch.float16), BYTES.view(torch.bfloat16), BYTES.view(torch.int64), BYTES.view(torch.float64),
    BYTES.view(torch.complex64), torch.float32, torch.bfloat16, torch.device("cpu"), torch.device("cuda"),
    torch.device("cuda", 0), "torch.float32", "cpu", b"cpu",
]  # fmt: skip


def test_no_two_contents_have_one_fingerprint():
    seen: dict[str, object] = {}
    for value in DIFFERENT:
        found = fingerprint_of(value)
        assert len(found) == 64
        assert found not in seen, f"{value!r} ({type(value)}) and {seen[found]!r} ({type(seen[found])})"
        seen[found] = value


def test_wherever_a_value_stands_its_change_is_seen():
    nests = [lambda v: (v, "end"), lambda v: ("begin", v), lambda v: {"key": v}, Point, lambda v: ((v,),)]
    for nest in nests:
        found = [fingerprint_of(nest(value)) for value in DIFFERENT]
        assert len(set(found)) == len(DIFFERENT)
    with_nest = [fingerprint_of(nest(value)) for nest in nests for value in DIFFERENT]
    assert len(set(with_nest)) == len(nests) * len(DIFFERENT)


def test_a_number_is_no_list_of_one_number():
    for make in (np.ones, torch.ones):
        assert len({fingerprint_of(make(shape)) for shape in [(), (1,), (1, 1)]}) == 3


def test_equal_content_has_one_fingerprint_wherever_it_lies():
    wide, grown = np.arange(24.0).reshape(4, 6), torch.arange(24.0).reshape(4, 6)
    equal = [
        (wide.T, np.ascontiguousarray(wide.T)),
        (wide[::2, ::-3], wide[::2, ::-3].copy()),
        (wide, np.asfortranarray(wide)),
        (grown.T, grown.T.contiguous()),
        (grown[1:3, ::2], grown[1:3, ::2].clone()),
        (grown, grown.clone().requires_grad_()),
        (torch.ones(2), torch.ones(2, 1)[:, 0]),
        ({"a": 1, "b": (2,)}, {"b": (2,), "a": 1}),
        (Point(x=1, y="a"), Point(y="a", x=1)),
        (Path("a") / "b", Path("a/b")),
        (float("1e2"), 100.0),
        ("a" * 3, "".join(["a", "aa"])),
    ]
    for a, b in equal:
        assert fingerprint_of(a) == fingerprint_of(b), (a, b)
        assert fingerprint_of((a, a)) == fingerprint_of((a, b)), "what stands twice is as good as two that are equal"


def test_fields_count_by_their_names():
    assert fingerprint_of(Point(1, 2)) != fingerprint_of(TURNED(1, 2))
    assert fingerprint_of(Point(1, 2)) != fingerprint_of(Point(2, 1))
    assert fingerprint_of(replace(Point(1, 2), y=2)) == fingerprint_of(Point(1, 2))


class Made(Mapping):
    """A mapping that makes its values when asked for them."""

    def __init__(self, **values):
        self.values_ = values

    def __getitem__(self, key):
        return (self.values_[key],)

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


def test_values_that_are_made_on_the_way_are_not_taken_for_others():
    names = "abcdefgh"
    made = Made(**{name: number for number, name in enumerate(names)})
    assert fingerprint_of(made) == fingerprint_of({name: (number,) for number, name in enumerate(names)})


@pytest.mark.parametrize(
    "value",
    [
        {1, 2}, object(), iter(()), SimpleNamespace(a=1), (1, {2}), {"a": object()}, Point(object()), 1j,
        functools.partial(one, 1), np.array([object()]), np.array([("a", 1)], object),
        np.zeros(1, [("a", "i4")]),
        lambda model, settings, rows: {}, operator.attrgetter("a"), Made(a=1).__getitem__,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_has_no_known_content_has_no_fingerprint(value):
    """Two of them could be different and look alike: a lambda, a bound method, the addresses in an array of objects."""
    with pytest.raises(TypeError, match="expected plain values"):
        fingerprint_of(value)


PLAIN = some.none() | some.booleans() | some.integers(-3, 3) | some.floats(width=16) | some.text("ab\x00é", max_size=2)
NESTED = some.recursive(PLAIN | some.binary(max_size=2), lambda each: some.lists(each, max_size=3).map(tuple))


@given(NESTED, NESTED)
def test_fingerprints_are_equal_where_contents_are(a, b):
    assert (fingerprint_of(a) == fingerprint_of(b)) == (repr(a) == repr(b))


@given(some.lists(NESTED, min_size=1, max_size=4), some.data())
def test_any_one_change_is_seen(values, data):
    place = data.draw(some.integers(0, len(values) - 1))
    changed = [*values[:place], data.draw(NESTED), *values[place + 1 :]]
    assert (fingerprint_of(tuple(values)) == fingerprint_of(tuple(changed))) == (repr(values) == repr(changed))


# -- keys ----------------------------------------------------------------------------------------------------------

WORK = Work(one, Point(1, "a"), ("x", "y"), 7)
IDENTITY = {"id": "m", "weights_hash": "sha256:1", "versions": {"torch": "2"}, "threads": 1}


def test_a_key_is_of_the_work_and_of_the_model():
    key = work_key(WORK, IDENTITY)
    changed = [
        (replace(WORK, verb=other), IDENTITY),
        (replace(WORK, settings=Point(1, "b")), IDENTITY),
        (replace(WORK, settings=None), IDENTITY),
        (replace(WORK, rows=("y", "x")), IDENTITY),
        (replace(WORK, rows=("x",)), IDENTITY),
        (replace(WORK, rows=("x", "y", "y")), IDENTITY),
        (replace(WORK, rows=("xy",)), IDENTITY),
        (WORK, IDENTITY | {"weights_hash": "sha256:2"}),
        (WORK, IDENTITY | {"versions": {"torch": "3"}}),
        (WORK, IDENTITY | {"versions": {}}),
        (WORK, IDENTITY | {"threads": 2}),
        (WORK, IDENTITY | {"threads": None}),
        (WORK, {}),
    ]
    keys = [work_key(*each) for each in changed]
    assert len({key, *keys}) == len(changed) + 1
    assert work_key(replace(WORK, cost=9), IDENTITY) == key, "what it costs changes no result"
    assert work_key(replace(WORK, rows=tuple(WORK.rows)), dict(reversed(IDENTITY.items()))) == key


def test_the_key_in_the_example():
    example = [line.strip() for line in str(work_key.__doc__).splitlines()]
    said = example[example.index('>>> work_key(Work(max, None, (1, 2), 2), {"id": "m"})[:8]') + 1]
    assert said == repr(work_key(Work(max, None, (1, 2), 2), {"id": "m"})[:8])


# -- out of memory -------------------------------------------------------------------------------------------------


class OutOfMemoryError(RuntimeError):
    """As PyTorch's is called, of whichever device."""


ERRORS = [
    MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), OutOfMemoryError("MPS"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("cuBLAS error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
]  # fmt: skip


def squares(model, settings, rows):
    """`square [row]` and `ones [row, width]`, as wide as the largest of the rows."""
    model.batches.append(tuple(rows))
    if len(rows) > model.fits:
        raise model.error
    ones = np.full((len(rows), max(rows)), np.nan, np.float32)
    flags = np.zeros((len(rows), max(rows)), bool)
    for line, flag, row in zip(ones, flags, rows, strict=True):
        line[:row] = flag[:row] = 1
    return {"square": np.array([row * row + settings for row in rows]), "ones": ones, "flags": flags}


def model_of(fits, error=None, engine=None):
    return SimpleNamespace(name="made", fits=fits, error=error or MemoryError(), batches=[], engine=engine)


def work_of(*rows, cost=1):
    return Work(squares, 5, rows, cost)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("rows", "fits", "halved"),
    [(8, 8, ()), (8, 4, (4,)), (8, 3, (4, 2, 2)), (5, 2, (2, 1)), (2, 1, (1,)), (1, 1, ()), (7, 1, (3, 1, 1, 2, 1, 1))],
)
def test_a_batch_that_does_not_fit_is_halved(rows, fits, halved, error):
    numbers = [3, 1, 4, 1, 5, 9, 2, 6][:rows]
    told = []
    found = do(model_of(fits, error), work_of(*numbers), told.append)
    assert found.halved == halved
    assert tuple(told) == halved
    whole = squares(model_of(99), 5, numbers)
    assert found.arrays.keys() == whole.keys()
    for name, array in whole.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


def test_each_half_is_tried_whole_first():
    model = model_of(3)
    do(model, work_of(1, 2, 3, 4, 5))
    assert model.batches == [(1, 2, 3, 4, 5), (1, 2), (3, 4, 5)]


def test_one_row_that_does_not_fit_is_refused_in_one_line():
    with pytest.raises(InputError) as caught:
        do(model_of(0), work_of(1, 2))
    assert str(caught.value).startswith("made: ran out of memory on a batch of one row; expected room for it: use a ")


@pytest.mark.parametrize(
    "error", [RuntimeError("shape"), ValueError("out of memory"), KeyError("x"), KeyboardInterrupt()]
)
def test_other_errors_pass_as_they_are(error):
    model = model_of(0, error)
    with pytest.raises(type(error)) as caught:
        do(model, work_of(1, 2))
    assert caught.value is error
    assert len(model.batches) == 1


class Large:
    """What a batch took of the memory."""


def test_what_the_failed_batch_held_is_free_before_the_halves_begin():
    held, alive = [], []

    def hold(model, settings, rows):
        large = Large()
        alive.append(sum(each() is not None for each in held))
        held.append(weakref.ref(large))
        if len(rows) > 1:
            raise MemoryError
        return {"a": np.ones(1)}

    gc.disable()  # what only a collection frees is not free when the next batch begins
    try:
        do(model_of(1), Work(hold, None, (1, 2, 3, 4), 1))
    finally:
        gc.enable()
    assert len(held) == 7
    assert alive == [0] * 7


# -- putting together ----------------------------------------------------------------------------------------------


def test_rows_come_back_in_their_order():
    parts = [np.array([[30, 3], [10, 1]]), np.array([[40, 4], [0, 0], [20, 2]])]
    found = gather(zip([(3, 1), (4, 0, 2)], ({"a": part} for part in parts), strict=True), 5)
    np.testing.assert_array_equal(found["a"], [[0, 0], [10, 1], [20, 2], [30, 3], [40, 4]])
    found = gather(zip([range(2), range(2, 5)], ({"a": part} for part in parts), strict=True), 5)
    np.testing.assert_array_equal(found["a"][:, 0], [30, 10, 40, 0, 20])


def test_one_part_is_the_whole_and_no_view_of_it():
    part = np.array([1.0, 2.0])
    found = gather([((1, 0), {"a": part})], 2)["a"]
    assert found.tolist() == [2.0, 1.0]
    found[0] = 7
    assert part.tolist() == [1.0, 2.0]


FILLS = [(np.float32, np.nan), (np.float64, np.nan), (np.int64, 0), (bool, False), (np.float16, np.nan)]


@pytest.mark.parametrize(("dtype", "fill"), FILLS)
def test_parts_of_differing_width_are_filled_up(dtype, fill):
    parts = [((0, 3), (2, 3, 1)), ((2,), (1, 3, 4)), ((1,), (1, 3, 0))]
    for turned in (parts, parts[::-1]):
        found = gather(((rows, {"a": np.ones(shape, dtype)}) for rows, shape in turned), 5)["a"]
        expected = np.full((5, 3, 4), fill, dtype)
        expected[[0, 3], :, :1] = 1
        expected[2] = 1
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected, "row 4 was in no part")


def test_parts_are_not_kept():
    living = []

    class Part(np.ndarray):
        """An array that a weak set can hold."""

    def parts():
        for row in range(4):
            part = np.ones((1, 2)).view(Part)
            living.append(weakref.ref(part))
            yield (row,), {"a": part}
            del part
            most.append(sum(each() is not None for each in living))

    most = []
    assert gather(parts(), 4)["a"].tolist() == [[1, 1]] * 4
    assert most == [1, 1, 1, 1]


def test_no_parts_are_nothing():
    assert gather([], 3) == {}


def test_parts_that_do_not_fit_together():
    with pytest.raises(ValueError):  # noqa: PT011  numpy's words
        gather([((0,), {"a": np.ones((1, 2, 3))}), ((1,), {"a": np.ones((1, 3, 3))})], 2)
    for rows in (1, 3):
        with pytest.raises(ValueError, match=f"a: expected 2 rows, got {rows}"):
            gather([((0, 1), {"a": np.ones((rows, 2))})], 2)


def test_the_largest_first_and_the_earlier_of_equals():
    works = [work_of(1, cost=cost) for cost in (3, 9, 3, 0, 9, 5)]
    assert largest_first(works) == [1, 4, 5, 0, 2, 3]
    assert largest_first([]) == []


# -- carried out ---------------------------------------------------------------------------------------------------


class Turned(Local):
    """An engine that gives results in some order of its own."""

    def __init__(self, order):
        object.__setattr__(self, "order", order)

    def run(self, model, works):
        for number in self.order:
            yield number, do(model, works[number])


@pytest.fixture
def bars(monkeypatch):
    """What progress bars were told: description, total, steps, and how each was to be drawn."""
    told = []

    @contextmanager
    def track(description, total, *, unit="", quiet=False):
        steps = []
        told.append((description, total, steps, unit, quiet))
        yield steps.append

    monkeypatch.setattr(module, "track", track)
    return told


def test_results_stand_in_the_order_of_the_works(bars):
    works = [work_of(number, cost=10 + number) for number in range(1, 5)]
    engine = Turned([2, 0, 3, 1])
    results = carry_out(model_of(9, engine=engine), works, description="reading")
    assert [result.arrays["square"].item() for result in results] == [6, 9, 14, 21]
    assert bars == [("reading", 11 + 12 + 13 + 14, [13, 11, 14, 12], "tokens", False)]


def test_the_engine_that_is_given_and_a_bar_as_asked(bars):
    model = model_of(9)  # has none of its own
    carry_out(model, [work_of(1)], description="a", unit="texts", quiet=True, engine=Turned([0]))
    assert bars == [("a", 1, [1], "texts", True)]
    assert carry_out(model, [], description="a", engine=Turned([])) == []


def test_an_engine_that_leaves_a_work_out_is_found():
    """Its results would else be taken for those of the works after it."""
    with pytest.raises(RuntimeError, match="reading"):
        carry_out(model_of(9), [work_of(1), work_of(2)], description="reading", engine=Turned([1]))


def test_the_local_engine_is_an_engine():
    assert isinstance(Local(), Engine)
    assert Local().threads == torch.get_num_threads()
    assert Local().room(None) is None


def of_a_model(fits, **engine):
    model = model_of(fits, engine=Local(**engine))
    model.identity, model.is_hooked = {"id": "made"}, False
    return model


def test_the_local_engine_without_a_store_does_everything_each_time():
    model = of_a_model(2)
    works = [work_of(1, 2), work_of(3, cost=9), work_of(1, 2)]
    results = carry_out(model, works, description="reading")
    assert [result.arrays["square"].tolist() for result in results] == [[6, 9], [14], [6, 9]]
    assert model.batches == [(3,), (1, 2), (1, 2)]


def test_the_local_engine_keeps_a_result_before_it_hands_it_out(tmp_path):
    told = []
    store = CellStore(open_storage(tmp_path))
    model = of_a_model(2, store=store, on_halved=told.append)
    works = [work_of(1), work_of(2, 3, 4, 5, cost=3), work_of(6, 7, cost=2)]
    keys = [work_key(work, model.identity | {"threads": model.engine.threads}) for work in works]
    handed = []
    for number, result in model.engine.run(model, works):
        handed.append(number)
        kept = store.read(keys[number])
        assert kept.halved == result.halved
        np.testing.assert_array_equal(kept.arrays["ones"], result.arrays["ones"])
        assert store.names() == sorted(f"{keys[each]}.cell" for each in handed)
    assert handed == [1, 2, 0]
    assert told == [2]
    batches = list(model.batches)
    again = carry_out(model, [*works, work_of(1)], description="reading")
    assert model.batches == batches, "all was read, also what is asked for twice"
    assert [result.arrays["square"].tolist() for result in again] == [[6], [9, 14, 21, 30], [41, 54], [6]]
    assert told == [2, 2]


def test_an_engine_for_one_run_keeps_what_it_was_given(tmp_path):
    store, told = CellStore(open_storage(tmp_path)), []
    plain = Local()
    engine = plain.keeping(store, 123, told.append)
    assert engine.room(None) == 123
    assert engine.store is store
    assert plain.store is None
    engine.on_halved(4)
    assert told == [4]
