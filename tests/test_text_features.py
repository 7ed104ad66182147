"""Features counted by hand."""

import math
import sys

import pytest

from creativity_lens import text_features as module
from creativity_lens.errors import InputError
from creativity_lens.text_features import FEATURES, known_share, text_features, words_of


def test_words_keep_apostrophes_and_hyphens_inside_and_drop_the_rest():
    assert words_of('"Don’t," said the well-known fox - twice_over!') == [
        *("don't", "said", "the", "well-known", "fox", "twice", "over"),
    ]  # fmt: skip


def test_features_counted_by_hand():
    found = text_features("I never saw the old dog, and my cat did not see a dog.")
    assert tuple(found) == FEATURES
    assert found["length"] == 14
    assert found["word length"] == pytest.approx((1 + 5 + 3 + 3 + 3 + 3 + 3 + 2 + 3 + 3 + 3 + 3 + 1 + 3) / 14)
    assert found["type-token ratio"] == 13 / 14  # "dog" twice
    assert found["adjectives"] == 1 / 14  # old
    assert found["adverbs"] == 2 / 14  # never, not
    assert found["punctuation"] == 2 / 14
    assert found["first person"] == 2 / 14  # I, my
    assert found["negation"] == 2 / 14


def test_short_forms_count_as_first_person_and_as_negation():
    found = text_features("We've seen it and I'm glad; they don't and can't.")
    assert found["first person"] == 2 / 10
    assert found["negation"] == 2 / 10


def test_sentiment_has_the_right_sign():
    glad, sad = (text_features(text)["sentiment"] for text in ("A happy, lovely day.", "A terrible, sad day."))
    assert glad > 0.3 > -0.3 > sad


def test_known_share_tells_english_from_other_languages_and_from_keys_hit_at_random():
    assert known_share("The baker opened the window and put the bread on the sill to cool.") == 1
    assert known_share("Der Bäcker öffnete das Fenster und stellte die Brote zum Kühlen hin.") < 0.6
    assert known_share("sdfkj qwoeiu zxmcnv laksdj woeiru") < 0.2
    assert math.isnan(known_share("12, 13!"))


def test_without_textblob_one_line_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("textblob")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textblob", None)
    module._textblob.cache_clear()
    with pytest.raises(InputError, match=r"textblob: not installed.*pip install 'creativity-lens\[lint\]'"):
        text_features("A text.")
    module._textblob.cache_clear()
