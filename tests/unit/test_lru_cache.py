"""The entry that was used longest ago makes room for a new one."""

from __future__ import annotations

from replog.lru_cache import LruCache


def filled(*keys: str, most: int = 2) -> LruCache[str, str]:
    """A cache to which ``keys`` were added, in this order, each with itself in capitals."""
    cache: LruCache[str, str] = LruCache(most)
    for key in keys:
        cache.put(key, key.upper())
    return cache


def test_the_oldest_entry_is_dropped() -> None:
    cache = filled("a", "b", "c")
    assert [cache.get(key) for key in "abc"] == [None, "B", "C"]
    assert len(cache) == 2


def test_an_entry_that_is_read_is_kept() -> None:
    cache = filled("a", "b")
    assert cache.get("a") == "A"
    cache.put("c", "C")
    assert ["a" in cache, "b" in cache, "c" in cache] == [True, False, True]


def test_a_test_for_an_entry_is_no_use_of_it() -> None:
    cache = filled("a", "b")
    assert "a" in cache
    cache.put("c", "C")
    assert "a" not in cache


def test_an_entry_that_is_replaced_is_as_new() -> None:
    cache = filled("a", "b")
    cache.put("a", "other")
    cache.put("c", "C")
    assert [cache.get(key) for key in "abc"] == ["other", None, "C"]


def test_an_entry_can_be_dropped() -> None:
    cache = filled("a", "b")
    cache.drop("a")
    cache.drop("unknown")
    assert [cache.get(key) for key in "ab"] == [None, "B"]


def test_a_cache_of_no_entries_keeps_none() -> None:
    assert len(filled("a", "b", most=0)) == 0
