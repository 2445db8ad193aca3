"""Messages come in English, and in Chinese where the client prefers it; each says the same in both."""

from __future__ import annotations

import pytest

from replog_api.http import messages
from replog_api.http.languages import Text, preferred

EVERY_MESSAGE = [
    messages.missing("p"),
    messages.out_of_range("p", "v", 1, 2),
    messages.none_of("p", "v", ["A", "B"]),
    messages.not_utf8("p"),
    messages.too_long("p", 129, 128),
    messages.control_character("p"),
    messages.unknown_record("r"),
    messages.unknown_url("/u"),
    messages.wrong_method("POST", "GET"),
    messages.misdirected("h"),
    messages.STORE_UNAVAILABLE,
    messages.UNEXPECTED,
]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("ZH-hans-CN", "zh"),
        ("zh-TW, en;q=0.9", "zh"),
        ("en, zh", "en"),
        ("zh;q=0.8, en;q=0.9", "en"),
        ("en;q=0.8 , zh ; q=0.9", "zh"),
        ("en-US,en;q=0.5,zh;q=0.7", "en"),
        ("fr, zh;q=0.1", "zh"),
        ("fr;q=0.9, *;q=0.5", "en"),
        ("zh;q=0.4, *;q=0.5", "en"),
        ("zh;q=0", "en"),
        ("zh;q=0.000", "en"),
        ("zh;q=1.000", "zh"),
        ("zh;q=2", "en"),
        ("zh;q=-1", "en"),
        ("zh;quality=1", "en"),
        ("zho", "en"),
        ("x-zh", "en"),
        (",,;q=1,", "en"),
    ],
)
def test_the_greater_quality_wins(header: str, language: str) -> None:
    """Of equal ones the first; what cannot be read is passed over."""
    assert preferred(header) == language


@pytest.mark.parametrize("text", EVERY_MESSAGE, ids=lambda text: text.english)
def test_a_message_says_the_same_in_both_languages(text: Text) -> None:
    """The Chinese one in Chinese, and with every value that the English one shows."""
    assert any("\u4e00" <= letter <= "\u9fff" for letter in text.chinese)
    for value in ("129", "128", "'v'", "/u", "POST"):
        assert (value in text.english) == (value in text.chinese)


def test_a_long_value_is_cut() -> None:
    """A message stays readable."""
    assert len(messages.out_of_range("p", "9" * 5000, 1, 2).chinese) < 300
