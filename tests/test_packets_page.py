"""A rater's page in a real browser: answered by keyboard, interrupted, saved, and read back by the package."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from creativity_lens.packets import Item, Packet, collect_answers, make_packet
from creativity_lens.packets.answers import read_answers
from creativity_lens.packets.page import render
from creativity_lens.packets.sealed import canonical, digest_of
from creativity_lens.page_safety import embedded_json

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"
ODD = "caf\u00e9 \u0634\u0639\u0631 \u202e\u05e9\u05dc\u05d5\u05dd \U0001f9ff \u2028 \x7f " + "long" * 80
TEXTS = [HOSTILE, ODD, "Plain text.\n\nWith a second part.", "constructor", "{{ 7 * 7 }} &lt;b&gt;", "Six."]
ITEMS = [Item("", f"t{n}", text, f"g{n // 2}", f"Write {HOSTILE} {n // 2}.", None) for n, text in enumerate(TEXTS)]
CRITERIA = ("creativity", "warmth 2", "été")


@dataclass
class Opened:
    """A page in a tab, with everything it complained about or asked for."""

    tab: Any
    packet: Packet
    place: Path
    events: dict[str, list[str]] = field(default_factory=lambda: {"console": [], "request": [], "error": []})

    def text(self) -> str:
        return str(self.tab.inner_text("main"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def count(self) -> str:
        return str(self.tab.inner_text("h1"))

    def save(self, folder: Path) -> Path:
        with self.tab.expect_download() as caught:
            self.tab.click("button.save")
        file = folder / caught.value.suggested_filename
        caught.value.save_as(file)
        return file


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine: install it to open the page")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def open_page(rater: int = 1, *, width: int = 1280, before: str = "", **options: Any) -> Opened:
        packet = make_packet(ITEMS, **{"criteria": CRITERIA, "raters": 2, "out": tmp_path / "packet", **options})
        context = chromium.new_context(viewport={"width": width, "height": 844}, locale="en-US")
        contexts.append(context)
        if before:
            context.add_init_script(before)
        found = Opened(context.new_page(), packet, tmp_path / "packet" / f"rater-{rater}.html")
        found.tab.on("console", lambda message: found.events["console"].append(message.text))
        found.tab.on("request", lambda request: found.events["request"].append(request.url))
        found.tab.on("pageerror", lambda error: found.events["error"].append(str(error)))
        found.tab.goto(found.place.as_uri())
        return found

    yield open_page
    for context in contexts:
        context.close()


def overflows(page: Opened) -> bool:
    return bool(page.tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def asked(page: Opened, rater: int = 0) -> list[tuple[str, str]]:
    """What each entry of the page shows, in order: its kind, and its text or what the check wants."""
    shown = []
    for entry in page.packet.raters[rater].entries:
        if entry.kind == "check":
            expected = page.packet.check(entry.key).expected
            shown.append(("check", expected if isinstance(expected, str) else str(expected[CRITERIA[0]])))
        else:
            shown.append((entry.kind, page.packet.item(entry.key).text if entry.kind == "item" else entry.key))
    return shown


def begin(page: Opened) -> None:
    page.tab.focus("text=Begin with a practice")
    page.press("Enter")
    assert page.count() == "To practise"


def test_a_page_is_answered_by_keyboard_interrupted_and_saved(opened: Callable[..., Opened], tmp_path: Path) -> None:
    page = opened(checks=1)
    total = len(TEXTS) + 1
    assert "6 texts" in page.text()
    assert "3 questions" in page.text()
    assert "stay on this device" in page.text()
    begin(page)
    page.press("2", "3", "4", "Enter")  # the practice is not counted
    given: list[list[int]] = []
    for place, (kind, text) in enumerate(asked(page)):
        assert page.count() == f"{place + 1} of {total}"
        if kind == "item":
            assert page.tab.text_content("main .text p") == text, "shown literally"
            assert page.tab.text_content(".asked span").startswith(f"Write {HOSTILE}")
            given.append([1 + (place + k) % 7 for k in range(3)])
        else:
            assert f"choose {text} for every question" in page.text()
            given.append([int(text)] * 3)
        page.press(*map(str, given[-1]))
        assert page.tab.evaluate("document.activeElement.textContent") == (
            "Next" if place + 1 < total else "To the end"
        )
        if place == 3:  # half-way: the answer is there, the text is not left
            page.tab.reload()
            assert f"4 of {total} are answered" in page.text()
            page.tab.click(f"text=Go on at 4 of {total}")
            checked = page.tab.eval_on_selector_all("input:checked", "all => all.map(each => Number(each.value))")
            assert checked == given[3]
        page.press("Enter")
    assert page.count() == "All answered. Thank you!"
    file = page.save(tmp_path)

    rater = page.packet.raters[0]
    assert file.name == f"answers-{page.packet.id}-rater-1.json"
    saved = json.loads(file.read_text("utf-8"))
    assert list(saved) == [
        "format", "packet", "rater", "page", "started", "saved", "answers", "complete", "digest",
    ]  # fmt: skip
    assert saved["format"] == "answers 1"
    assert (saved["packet"], saved["rater"], saved["page"]) == (page.packet.id, "rater-1", rater.page_digest)
    assert saved["complete"] is True
    assert saved["started"] <= saved["saved"]
    assert [answer["code"] for answer in saved["answers"]] == [entry.code for entry in rater.entries]
    assert [list(answer["values"].values()) for answer in saved["answers"]] == given
    assert all(tuple(answer["values"]) == CRITERIA for answer in saved["answers"])
    assert all(isinstance(answer["seconds"], int) and 0 <= answer["seconds"] < 60 for answer in saved["answers"])
    assert saved["digest"] == digest_of(saved), "computed in the page and in Python"
    read = read_answers(file, page.packet)
    assert read.missing == 0
    assert read.failed == ()
    collected = collect_answers(tmp_path / "packet", [file])
    items = [entry for entry in rater.entries if entry.kind == "item"]
    assert len(collected.ratings) == len(items) * len(CRITERIA)
    rated = collected.ratings.frame.query("criterion == 'été'").set_index("item")["value"]
    by_code = dict(zip([entry.code for entry in rater.entries], given, strict=True))
    assert {page.packet.item(entry.key).id: by_code[entry.code][2] for entry in items} == rated.to_dict()

    assert page.events == {"console": [], "request": [page.place.as_uri()] * 2, "error": []}


def test_a_telephone_has_no_sideways_scrolling_and_a_mouse_is_enough(
    opened: Callable[..., Opened], tmp_path: Path
) -> None:
    page = opened(width=390, scale=(0, 10), raters=1)
    assert not overflows(page)
    page.tab.click("text=Begin with a practice")
    assert not overflows(page)
    page.tab.click("text=Start")
    for _ in page.packet.raters[0].entries:
        assert not overflows(page)
        sizes = page.tab.eval_on_selector_all(".option", "all => all.map(each => each.getBoundingClientRect().height)")
        assert len(sizes) == 33
        assert min(sizes) >= 44, "large enough for a finger"
        for question in range(3):
            page.tab.check(f"input[name=question-{question}][value='10']")
        page.tab.click("button.next")
    assert not overflows(page)
    assert page.count() == "All answered. Thank you!"
    read = read_answers(page.save(tmp_path), page.packet)
    assert {value for answer in read.answers for value in answer.values.values()} == {10}
    assert not overflows(page)


def test_gaps_are_named_and_may_be_left(opened: Callable[..., Opened], tmp_path: Path) -> None:
    page = opened(checks=0)
    begin(page)
    page.press("Enter", "5", "Enter")
    assert page.count() == "1 of 6", "the first Enter names what is open"
    assert "Still open: warmth 2, été" in page.text()
    page.press("Enter")
    assert page.count() == "2 of 6"
    page.press("Shift+Enter")
    assert page.count() == "1 of 6"
    page.press("6", "7", "Enter", "Enter", "Enter")
    assert page.count() == "3 of 6"
    for _ in range(4):
        page.press("1", "1", "1", "Enter")
    assert page.count() == "Not everything is answered yet"
    assert "5 of 6 are answered" in page.text()
    saved = json.loads(page.save(tmp_path).read_text("utf-8"))
    assert saved["complete"] is False
    assert len(saved["answers"]) == 5
    assert saved["digest"] == digest_of(saved)
    page.tab.click("text=Text 2")
    assert page.count() == "2 of 6"
    page.press("2", "3", "ArrowRight")
    assert page.tab.evaluate("document.activeElement.value") == "2", "arrows move within a question, as radios do"
    values = page.tab.eval_on_selector_all("input:checked", "all => all.map(each => each.value)")
    assert values == ["2", "3", "2"]
    for _ in range(5):
        page.press("Enter")
    assert page.count() == "All answered. Thank you!"


def test_pairs_are_answered_with_letters(opened: Callable[..., Opened], tmp_path: Path) -> None:
    page = opened(pairs=True, checks=1, criteria=("creativity", "quality"))
    begin(page)
    page.press("a", "b", "Enter")
    cards = page.tab.eval_on_selector_all(".text p", "all => all.map(each => each.textContent)")
    given = []
    for kind, what in asked(page):
        if kind == "pair":
            pair, entry = page.packet.pair(what), page.packet.raters[0].entries[len(given)]
            sides = [page.packet.item(pair.first).text, page.packet.item(pair.second).text]
            cards = page.tab.eval_on_selector_all(".text p", "all => all.map(each => each.textContent)")
            assert cards == sides[:: -1 if entry.swapped else 1]
            given.append(["b", "tie"])
            page.press("b", "t", "Enter")
        else:
            given.append([what, what])
            page.press({"a": "1", "b": "3"}[what], what, "Enter")
    saved = json.loads(page.save(tmp_path).read_text("utf-8"))
    assert [list(answer["values"].values()) for answer in saved["answers"]] == given
    assert read_answers(tmp_path / f"answers-{page.packet.id}-rater-1.json", page.packet).failed == ()
    assert page.events["error"] == page.events["console"] == []


def test_starting_over_is_asked_twice(opened: Callable[..., Opened]) -> None:
    page = opened(checks=0)
    begin(page)
    page.press("Enter", "1", "2", "3", "Enter")
    page.tab.reload()
    page.tab.click("text=Start over")
    assert page.tab.evaluate("document.activeElement.textContent") == "Keep my answers"
    page.tab.click("text=Keep my answers")
    page.tab.reload()
    assert "1 of 6 are answered" in page.text()
    page.tab.click("text=Start over")
    page.tab.click("text=Delete all and start over")
    assert "Welcome back" not in page.text()
    page.tab.reload()
    assert "Welcome back" not in page.text()


def test_a_saved_file_is_gone_on_with_elsewhere(opened: Callable[..., Opened], tmp_path: Path) -> None:
    page = opened(checks=0)
    begin(page)
    page.press("Enter", "1", "2", "3", "Enter")
    for _ in range(5):
        page.press("Enter", "Enter")
    file = page.save(tmp_path)
    page.tab.evaluate("localStorage.clear()")
    other = page.tab.context.new_page()
    other.goto(page.place.as_uri())
    assert "Welcome back" not in other.inner_text("main")
    other.click("summary")
    spoilt = tmp_path / "spoilt.json"
    spoilt.write_text(file.read_text("utf-8").replace('"creativity": 1', '"creativity": 7'), "utf-8")
    other.set_input_files("input[type=file]", spoilt)
    other.wait_for_selector("text=This is no answers file of this page")
    other.set_input_files("input[type=file]", file)
    other.wait_for_selector("h1.count")
    assert other.inner_text("h1") == "2 of 6"
    other.keyboard.press("Shift+Enter")
    assert other.eval_on_selector_all("input:checked", "all => all.map(each => each.value)") == ["1", "2", "3"]


def test_two_windows_lose_nothing_of_each_other(opened: Callable[..., Opened]) -> None:
    """Also where a browser does not tell windows that were opened from files of each other."""
    deaf = "window.addEventListener('storage', event => event.stopImmediatePropagation(), true);"
    page = opened(checks=0, before=deaf)
    begin(page)
    page.press("Enter")
    idle, other = page.tab.context.new_page(), page.tab.context.new_page()
    for tab in (idle, other):
        tab.goto(page.place.as_uri())
    other.click("text=Go on at 1 of 6")
    for key in ("Enter", "Enter", "5", "6", "7"):  # the first text is left open, the second answered
        other.keyboard.press(key)
    page.tab.bring_to_front()
    page.press("1", "2", "3", "Enter")
    for tab in (other, idle):  # neither writes down what it knew before
        tab.close(run_before_unload=True)
    fresh = page.tab.context.new_page()
    fresh.goto(page.place.as_uri())
    assert "2 of 6 are answered" in fresh.inner_text("main")


def test_a_window_shows_what_was_answered_in_another(opened: Callable[..., Opened]) -> None:
    page = opened(checks=0)
    begin(page)
    page.press("Enter")
    other = page.tab.context.new_page()
    other.goto(page.place.as_uri())
    page.press("1", "2", "3")
    other.wait_for_selector("text=1 of 6 are answered")


def test_without_storage_the_page_warns_and_still_saves(opened: Callable[..., Opened], tmp_path: Path) -> None:
    page = opened(
        checks=0,
        before="Storage.prototype.setItem = function () { throw new DOMException('full', 'QuotaExceededError'); };",
    )
    assert "cannot keep your answers" in page.tab.inner_text("[role=alert]")
    begin(page)
    page.press("Enter", "1", "2", "3", "Enter")
    for _ in range(5):
        page.press("Enter", "Enter")
    assert len(json.loads(page.save(tmp_path).read_text("utf-8"))["answers"]) == 1


def test_what_a_screen_reader_is_told(opened: Callable[..., Opened]) -> None:
    page = opened(checks=0)
    begin(page)
    page.press("Enter")
    assert page.tab.evaluate("document.activeElement.tagName") == "H1", "what is new is read from its beginning"
    groups = page.tab.eval_on_selector_all("fieldset legend", "all => all.map(each => each.textContent)")
    assert groups == ["How creative is this text?", "How do you rate this text on “warmth 2”?",
                      "How do you rate this text on “été”?"]  # fmt: skip
    assert page.tab.get_by_role("radio", name="1, not at all creative").count() == 1
    assert page.tab.get_by_role("radio", name="7, extremely creative").count() == 1
    assert page.tab.get_by_role("radio").count() == 21
    assert page.tab.get_by_role("progressbar", name="Answered: 0 of 6").count() == 1
    page.press("4")
    assert page.tab.inner_text("[aria-live=polite]") == "creativity: 4"
    page.press("4", "4")
    assert page.tab.get_by_role("progressbar", name="Answered: 1 of 6").count() == 1
    assert page.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"


def test_a_page_that_was_changed_says_so(opened: Callable[..., Opened]) -> None:
    page = opened(checks=0)
    source = page.place.read_text("utf-8")
    spoilt = page.place.with_name("spoilt.html")
    spoilt.write_text(source.replace("Plain text.", "Other text."), "utf-8")
    assert spoilt.read_text("utf-8") != source
    page.tab.goto(spoilt.as_uri())
    assert page.count() == "This page is damaged"
    spoilt.write_text(source.replace("<main", "<script>document.title = 'hacked'</script><main"), "utf-8")
    page.tab.goto(spoilt.as_uri())
    assert page.tab.title() == "Rating texts", "the policy refuses a script that got in"
    assert any("Content Security Policy" in said for said in page.events["console"])


def test_the_page_s_digest_is_python_s(opened: Callable[..., Opened]) -> None:
    """A page starts only where both agree: here for data that end at every edge of a block of 64 bytes."""
    page = opened(checks=0)
    data = json.loads(page.tab.text_content("#page-data"))
    del data["digest"]
    used = len(canonical(data))
    place = page.place.with_name("other.html")
    for end in (0, 1, 54, 55, 56, 57, 63):
        value = {**data, "note": "x" * ((end - used) % 64)}
        assert len(canonical(value)) % 64 == end
        place.write_text(render(value | {"digest": digest_of(value)}), "utf-8")
        page.tab.goto(place.as_uri())
        assert page.count() == "Rating texts"
    assert page.events["error"] == []


def test_canonical_json_is_the_same_in_both(opened: Callable[..., Opened]) -> None:
    """Keys in the order of their UTF-16 units, everything but printable ASCII escaped."""
    page = opened(checks=0)
    block = page.tab.text_content("#page-data")
    data = json.loads(block)
    assert block == embedded_json(data)
    assert "\\u007f" in canonical(data)
    assert render(data) == page.place.read_text("utf-8")
