"""Tags are compared weakly, and are good until their time has come."""

from __future__ import annotations

import pytest

from replog_api.http.etags import digest_of, names, still_good, tag_of

DIGEST = digest_of(b"question", b"version")
NOW_MS = 1_620_821_948_813
#: What proxies put behind the tag of an answer that they compress.
PROXIES = ("-gzip", "--gzip", ";gzip", "-br", "--br", "-zstd", "-deflate", ":x-gzip", "-gzip-gzip")


def test_a_digest_is_of_question_and_version() -> None:
    """Each of them counts, and where one ends."""
    assert digest_of(b"question", b"version") == DIGEST
    assert (
        len({DIGEST, digest_of(b"question", b""), digest_of(b"questio", b"version"), digest_of(b"", b"version")}) == 4
    )


@pytest.mark.parametrize(("until_ms", "end"), [(None, '-"'), (0x1234, '-1234"')])
def test_a_tag_is_weak(until_ms: int | None, end: str) -> None:
    """It says until when time alone will not change the answer."""
    tag = tag_of(DIGEST, until_ms)
    assert tag == f'W/"{DIGEST}{end}'


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (tag_of(DIGEST, None), tag_of(DIGEST, None)),
        (tag_of(DIGEST, NOW_MS + 1), tag_of(DIGEST, NOW_MS + 1)),
        (tag_of(DIGEST, None).removeprefix("W/"), tag_of(DIGEST, None)),
        (f'"a", W/"b,c" ,, {tag_of(DIGEST, None)}', tag_of(DIGEST, None)),
        (f"{tag_of(DIGEST, NOW_MS)},{tag_of(DIGEST, NOW_MS + 1)}", tag_of(DIGEST, NOW_MS + 1)),
        (tag_of(DIGEST, NOW_MS), None),
        (tag_of(DIGEST, 0), None),
        (tag_of(digest_of(b"question", b"newer"), None), None),
        (f'W/"{DIGEST}"', None),
        (f'W/"{DIGEST}-zz"', None),
        (f'W/"{DIGEST}--1"', None),
        (f'W/"{DIGEST}-{"f" * 17}"', None),
        (f"W/{DIGEST}-", None),
        *((f'W/"{DIGEST}-{end}"', tag_of(DIGEST, None)) for end in PROXIES),
        *((f'"{DIGEST}-{NOW_MS + 1:x}{end}"', tag_of(DIGEST, NOW_MS + 1)) for end in PROXIES),
        *((f'"{DIGEST}-{NOW_MS:x}{end}"', None) for end in PROXIES),
        ("*", None),
        ("", None),
        ('"', None),
    ],
)
def test_a_tag_is_good_while_its_version_and_time_are(header: str, found: str | None) -> None:
    """The first of a list that is."""
    assert still_good(header, DIGEST, NOW_MS) == found


@pytest.mark.parametrize("header", ["*", " * ", 'W/"a"', '"a"', '"b", "a"', '"b",W/"a"'])
def test_a_tag_is_named(header: str) -> None:
    """Alone, among others, or with all that there are."""
    assert names(header, 'W/"a"')


@pytest.mark.parametrize("end", PROXIES)
def test_a_tag_is_named_as_a_proxy_writes_it(end: str) -> None:
    """Weak or strong."""
    tag = tag_of(DIGEST, NOW_MS)
    sent = f'{tag[:-1]}{end}"'
    assert names(sent, tag)
    assert names(sent.removeprefix("W/"), tag)
    assert not names(sent, tag_of(DIGEST, None))


@pytest.mark.parametrize("header", ["", "a", '"A"', '"b"', '"*"', '*, "b"'])
def test_another_tag_is_not(header: str) -> None:
    """Whatever it looks like."""
    assert not names(header, 'W/"a"')
