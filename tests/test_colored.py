"""The coloured page holds the texts, trusts nothing in them, and says without colour what it says with it."""

import base64
import hashlib
import math
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_pairs import refusal
from full_disk import full_disk
from yardsticks import by_hand, of_chat

from creativity_lens.colored import colored_tokens, write_colored
from creativity_lens.colored.page import DARK, LIGHT, begun, signed
from creativity_lens.colored.words import LEVELS, Word, levelled, words_of
from creativity_lens.sides import Sides
from creativity_lens.text_scores import TextScore, TextScores, TokenValues, score_texts

HOSTILE = [
    "<script>alert(1)</script> & <img src=x onerror=alert(2)> \"quoted\" 'words'",
    "</p></article></style><script>document.title='changed'</script>",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd, \u202eand this\u202c.",
    "A cat \U0001f408\u200d\u2b1b on \u65e5\u672c\u8a9e\u306e text.\n\n  Indented\tand {{ 7 * 7 }} {% raw %}",
    "",
]


def row(pieces: list[str], values: list[float], text: str | None = None) -> TextScore:
    known = TokenValues(tuple(pieces), np.array(values, dtype=np.float32), np.ones(len(values), dtype=np.float32))
    whole = "".join(pieces) if text is None else text
    return TextScore(whole, 0.5, 75.0, 25.0, 3.25, 0.125, len(values), (), known)


def scored(*rows: TextScore) -> TextScores:
    return TextScores(rows, by_hand())


def cut(pieces: list[str], values: list[float]) -> list[tuple[str, str, float]]:
    return [(w.lead, w.text, round(w.value, 3)) for w in words_of(row(pieces, values))]


# ---- words ----


def test_a_word_has_the_mean_of_its_tokens():
    found = cut(["The", " light", "house", ",", " dark"], [0.5, 1.0, -0.4, 0.0, -1.0])
    assert found == [("", "The", 0.5), (" ", "lighthouse,", 0.2), (" ", "dark", -1.0)]


def test_blanks_belong_to_the_word_after_them():
    assert cut(["a", "\n\n", "b"], [1.0, 9.0, 3.0]) == [("", "a", 1.0), ("\n\n", "b", 6.0)]
    assert cut(["a b", " c"], [1.0, 2.0]) == [("", "a", 1.0), (" ", "b", 1.0), (" ", "c", 2.0)]
    last = words_of(row(["a", " "], [1.0, 2.0]))[-1]
    assert (last.lead, last.text) == (" ", "")
    assert math.isnan(last.value), "a blank alone is no word"


def test_scripts_without_blanks_are_cut_at_their_tokens():
    assert [text for _, text, _ in cut(["\u65e5\u672c", "\u8a9e", "ok", "!"], [1.0, 2.0, 3.0, 3.0])] == [
        "\u65e5\u672c", "\u8a9e", "ok!"
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_words_joined_are_the_text(chat, text):
    found = score_texts(chat, of_chat(chat), [text], tokens=True).rows[0]
    assert "".join(word.lead + word.text for word in words_of(found)) == text


def test_colours_end_at_the_same_projection_for_all_texts():
    texts = [[Word("", "a", value)] for value in (0.0, 0.09, 1.0, -2.0, 2.0, math.nan)]
    texts += [[Word("", "b", 2.0)] for _ in range(100)]
    found, limit = levelled(texts)
    assert limit == pytest.approx(2.0)
    assert [words[0].level for words in found[:6]] == [0, 0, 3, -LEVELS, LEVELS, 0]
    assert levelled([[Word("", "a", 0.02)]])[0][0][0].level == 0, "small differences do not look large"
    assert levelled([])[0] == []


def test_texts_without_tokens_are_refused(chat, tmp_path):
    scores = score_texts(chat, of_chat(chat), ["a"])
    assert "scored with tokens=True" in refusal(write_colored, scores, tmp_path / "a.html")
    assert "scored with tokens=True" in refusal(colored_tokens, scores)
    assert list(tmp_path.iterdir()) == []


# ---- the page ----


class Page(HTMLParser):
    """What a browser's parser makes of the page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, str]] = []  # elements around what is read, with their class
        self.texts: list[str] = []  # the words of each text, numbers left out
        self.numbers: list[str] = []
        self.style = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append((tag, dict(attrs).get("class") or ""))
        if self.open and self.open[-1] == ("p", "words"):
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.style += data
        elif ("p", "words") in self.open:
            if self.open[-1] == ("span", "n"):
                self.numbers.append(data)
            else:
                self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, "elements are nested"


@pytest.fixture(scope="module")
def file(chat, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "texts.html"
    stick = replace(of_chat(chat), sides=Sides("<i>odd</i>", "plain"))
    scores = score_texts(chat, stick, [*HOSTILE, "The tide came in like a rumour."], tokens=True)
    names = ["<b>a</b>", *"bcdef"]
    assert write_colored(scores, path, ids=names, title="<u>title</u>") == 6
    return path


def test_the_page_holds_every_text_and_trusts_none(file):
    page = Page(file.read_text("utf-8"))
    for text in HOSTILE:
        assert text in page.texts
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "i", "u", "iframe", "object", "form"}
    assert not any(name.startswith("on") or name in ("src", "style") for _, a in page.tags for name in a)
    links = [a.get("href", "") for tag, a in page.tags if tag in ("a", "link")]
    assert all(link.startswith(("#", "data:,")) for link in links)


def test_only_its_own_style_is_allowed(file):
    page = Page(file.read_text("utf-8"))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_every_word_can_be_reached_and_has_its_number(file, tmp_path):
    path = tmp_path / "a.html"
    write_colored(scored(row(["Rain", " falls", "."], [0.5, -1.0, 0.2])), path)
    page = Page(path.read_text("utf-8"))
    assert page.numbers == ["+0.50", "\u22120.40"]
    reached = [a for tag, a in page.tags if tag == "span" and (a.get("class") or "").startswith("w ")]
    assert [a.get("tabindex") for a in reached] == ["0", "0"]
    source = path.read_text("utf-8")
    for fact in ("Score +0.50 gaps", "above 75 % of", "25 % of", "3.25 nats/token", "repetition 0.12", "3 tokens"):
        assert fact in source
    assert {"lang": "en"} in [a for tag, a in page.tags if tag == "html"]
    assert [tag for tag, _ in page.tags if tag in ("main", "nav", "header", "h1")] == ["header", "h1", "main", "nav"]


def test_what_was_not_measured_is_said(tmp_path):
    missing = replace(row([], []), score=math.nan, percentile_boring=math.nan, surprisal=math.nan, notes=("no token",))
    write_colored(scored(missing), tmp_path / "a.html")
    source = (tmp_path / "a.html").read_text("utf-8")
    assert "Score not measured</b>" in source
    assert "Note: no token." in source
    assert "nan" not in source.lower().replace("nano", "")


def test_a_page_holds_as_many_texts_as_fit(tmp_path, monkeypatch):
    from creativity_lens.colored import page

    monkeypatch.setattr(page, "MAX_BYTES", 30_000)
    many = scored(*[row([f"word{n}", " x"] * 20, [0.1] * 40) for n in range(50)])
    kept = write_colored(many, tmp_path / "a.html")
    source = (tmp_path / "a.html").read_text("utf-8")
    assert 1 <= kept < 10
    assert source.count("<article") == kept
    assert f"The first {kept} of 50 texts are here" in source
    assert len(source) < 30_000 + 12_000
    huge = scored(row(["x "] * 5000, [0.1] * 5000))
    assert write_colored(huge, tmp_path / "b.html") == 1, "one text is always there"


def test_it_is_written_whole(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("before")
    with full_disk(after=1000):
        assert "could not be written" in refusal(write_colored, scored(row(["a"], [0.1])), path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def luminance(colour: str) -> float:
    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_ink_stands_out_on_every_colour(file):
    """WCAG's 4.5:1, in light and in dark; and the strongest colours stand out from each other in grey too little to
    tell sides, which is why they are underlined differently."""  # fmt: skip
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = Page(file.read_text("utf-8")).style
    light, dark = (re.findall(r"--ink: (#[0-9a-f]{6})", style)[i] for i in (0, 1))
    papers = re.findall(r"--paper: (#[0-9a-f]{3,6})", style)
    assert papers == ["#fff", "#161616"]
    for ramp, ink in ((LIGHT, light), (DARK, dark)):
        for tint in [*ramp["m"], *ramp["p"]]:
            assert contrast(ink, tint) >= 4.5, tint
    for ink, paper in (("#555555", "#ffffff"), ("#b5b5b5", "#161616"), ("#00558a", "#ffffff"), ("#7cc4f2", "#161616")):
        assert contrast(ink, paper) >= 4.5
    for level in (4, 5):
        assert re.search(rf"\.p{level}[^{{]*\{{ text-decoration: underline solid", style)
        assert re.search(rf"\.m{level}[^{{]*\{{ text-decoration: underline dotted", style)


# ---- the fragment ----


def test_the_fragment_is_styled_in_place_and_trusts_no_text(chat):
    stick = replace(of_chat(chat), sides=Sides("<i>odd</i>", "plain"))
    shown = colored_tokens(score_texts(chat, stick, [*HOSTILE, "Rain."], tokens=True))._repr_html_()
    page = Page(shown)
    tags = {tag for tag, _ in page.tags if tag}
    assert tags <= {"div", "p", "span", "b", "bdi"}
    assert not any(name.startswith("on") for _, a in page.tags for name in a)
    assert 'title="' in shown
    assert "{{" in shown, "the text's own braces"
    many = colored_tokens(scored(*[row(["a"], [0.1])] * 30))
    assert "The first 20 of 30 texts." in many
    assert isinstance(many, str)


def test_numbers_and_beginnings():
    assert [signed(v) for v in (-0.5, 0.001, -0.001, 0.25, math.nan)] == [
        "\u22120.50", "0.00", "0.00", "+0.25", "not measured"
    ]  # fmt: skip
    assert begun("  two\nlines  here ") == "two lines here"
    assert begun("x" * 100, 10) == "xxxxxxxxx\u2026"


# ---- in a browser ----


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chromium_numbers_show_on_hover_focus_and_by_the_switch(file, scheme):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: install it to open the page")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(java_script_enabled=True, color_scheme=scheme)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(file.as_uri())
        words = page.locator("#text-6 .w")
        number = words.nth(1).locator(".n")
        assert not number.is_visible()
        words.nth(1).hover()
        assert number.is_visible()
        page.mouse.move(0, 0)
        assert not number.is_visible()
        words.nth(1).focus()
        assert number.is_visible()
        page.keyboard.press("Tab")
        assert words.nth(2).locator(".n").is_visible()
        page.locator("#numbers").check()
        assert all(words.nth(i).locator(".n").is_visible() for i in range(words.count()))
        assert page.title().startswith("<u>title</u>"), "no script of a text has run"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.set_viewport_size({"width": 360, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 22, 22)")
        assert said == []
        browser.close()
