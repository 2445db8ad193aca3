"""Tokens are read as operators write them, and shown to nobody."""

from __future__ import annotations

from hashlib import sha256

import pytest

from replog.errors import SettingsError
from replog.settings import ApiSettings, describe, load
from replog.tokens import ApiToken, parse
from replog_api.admission.auth import Rights, Tokens
from replog_api.http.errors import FORBIDDEN, UNAUTHENTICATED, RefusedError

SECRET, OTHER = "correct horse", "battery staple"
DIGEST, OTHERS = sha256(SECRET.encode()), sha256(OTHER.encode())


def test_tokens_are_read() -> None:
    """With and without a prefix, which may hold colons."""
    text = f"grafana:{DIGEST.hexdigest()}, team-a:{OTHERS.hexdigest().upper()}:team:a/"
    assert parse(text) == (ApiToken("grafana", DIGEST.digest()), ApiToken("team-a", OTHERS.digest(), "team:a/"))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("", "name"),
        ("grafana", "hash"),
        (":" + DIGEST.hexdigest(), "name"),
        ("a b:" + DIGEST.hexdigest(), "name"),
        ("grafana:" + SECRET, "hash"),
        ("grafana:" + DIGEST.hexdigest()[1:], "hash"),
        ("grafana:" + DIGEST.hexdigest() + ":", "prefix is empty"),
    ],
)
def test_a_wrong_entry_is_told_by_its_number(entry: str, why: str) -> None:
    """Not by what it says: it may be a token that somebody put there by mistake."""
    with pytest.raises(SettingsError) as refused:
        load(ApiSettings, api_tokens=f"first:{OTHERS.hexdigest()},{entry}")
    message = str(refused.value)
    assert message.startswith("REPLOG_API_TOKENS=*** is wrong: ")
    assert "entry 2" in message
    assert why in message
    assert SECRET not in message
    assert DIGEST.hexdigest()[1:] not in message


def test_settings_do_not_show_tokens() -> None:
    """Nor their hashes."""
    settings = load(ApiSettings, api_tokens=f"grafana:{DIGEST.hexdigest()}")
    assert DIGEST.hexdigest() not in f"{settings!r} {settings} {settings.model_dump_json()} {describe(ApiSettings)}"


@pytest.fixture
def tokens() -> Tokens:
    """Two of them."""
    return Tokens(parse(f"grafana:{DIGEST.hexdigest()},team-a:{OTHERS.hexdigest()}:a"))


@pytest.mark.parametrize(
    ("header", "name"),
    [(f"Bearer {SECRET}", "grafana"), (f"bearer {OTHER}", "team-a"), (f"BEARER  {OTHER} ", "team-a")],
)
def test_a_holder_is_known_by_the_token(tokens: Tokens, header: str, name: str) -> None:
    """Whichever of them it is."""
    assert tokens.holder(header).name == name


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("", 'Bearer realm="replog"'),
        ("Bearer", 'Bearer realm="replog"'),
        ("Bearer ", 'Bearer realm="replog"'),
        (f"Basic {SECRET}", 'Bearer realm="replog"'),
        (SECRET, 'Bearer realm="replog"'),
        (f"Bearer {SECRET}x", 'Bearer realm="replog", error="invalid_token"'),
        (f"Bearer {DIGEST.hexdigest()}", 'Bearer realm="replog", error="invalid_token"'),
        ("Bearer \xff\xfe", 'Bearer realm="replog", error="invalid_token"'),
    ],
)
def test_everybody_else_is_a_stranger(tokens: Tokens, header: str, challenge: str) -> None:
    """Who knows the hash does not know the token."""
    with pytest.raises(RefusedError) as refused:
        tokens.holder(header)
    assert (refused.value.problem, refused.value.headers) == (UNAUTHENTICATED, {"WWW-Authenticate": challenge})


@pytest.mark.parametrize(("one", "other"), [("", ":a/"), (":a/", ""), (":a/", ":a"), (":a/", ":b/")])
def test_a_token_has_one_prefix(one: str, other: str) -> None:
    """Of two, one would silently count for nothing; the message names the entries and shows no hash."""
    digest = DIGEST.hexdigest()
    with pytest.raises(ValueError, match=r"entries 1 \(wide\) and 3 \(narrow\)") as wrong:
        parse(f"wide:{digest}{one},else:{OTHERS.hexdigest()},narrow:{digest.upper()}{other}")
    assert digest not in str(wrong.value).lower()


def test_a_token_may_have_two_names() -> None:
    """Where both say the same of it."""
    digest = DIGEST.hexdigest()
    assert [token.name for token in parse(f"a:{digest}:x/,b:{digest}:x/")] == ["a", "b"]


def test_every_token_is_compared(monkeypatch: pytest.MonkeyPatch, tokens: Tokens) -> None:
    """Whether one matched before or not: how long it takes tells nothing."""
    compared: list[bytes] = []

    def compare(known: bytes, shown: bytes) -> bool:
        compared.append(known)
        return known == shown

    monkeypatch.setattr("replog_api.admission.auth.compare_digest", compare)
    for secret in (SECRET, OTHER, "nobody's"):
        compared.clear()
        try:
            tokens.holder(f"Bearer {secret}")
        except RefusedError:
            assert secret == "nobody's"  # noqa: S105
        assert compared == [DIGEST.digest(), OTHERS.digest()]


@pytest.mark.parametrize(
    ("prefix", "wanted", "readable"),
    [("", "", ""), ("", "a/", "a/"), ("a/", "", "a/"), ("a/", "a", "a/"), ("a/", "a/", "a/"), ("a/", "a/b", "a/b")],
)
def test_of_tasks_under_a_prefix_those_are_read_that_the_token_may(prefix: str, wanted: str, readable: str) -> None:
    """The longer of both."""
    assert Rights.readable(prefix, wanted) == readable


@pytest.mark.parametrize("wanted", ["b", "ab", "A/", "aa/b"])
def test_a_prefix_under_which_the_token_may_read_nothing_is_refused(wanted: str) -> None:
    """And named."""
    with pytest.raises(RefusedError, match=f"prefix is '{wanted}'") as refused:
        Rights.readable("a/", wanted)
    assert refused.value.problem == FORBIDDEN
