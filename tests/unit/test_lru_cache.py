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


def test_values_of_weight_make_room_for_a_heavy_one() -> None:
    cache: LruCache[str, list[int]] = LruCache(5, weight=len)
    for key, size in (("a", 2), ("b", 2), ("c", 1)):
        cache.put(key, [0] * size)
    assert len(cache) == 3
    cache.put("d", [0] * 3)
    assert [key in cache for key in "abcd"] == [False, False, True, True]


def test_a_value_that_is_too_heavy_is_not_kept() -> None:
    cache: LruCache[str, list[int]] = LruCache(5, weight=len)
    cache.put("a", [0] * 2)
    cache.put("b", [0] * 6)
    assert len(cache) == 0


def test_what_was_replaced_or_dropped_weighs_nothing() -> None:
    cache: LruCache[str, list[int]] = LruCache(5, weight=len)
    for key, size in (("a", 5), ("a", 1), ("b", 3)):
        cache.put(key, [0] * size)
    cache.drop("b")
    cache.put("c", [0] * 4)
    assert [key in cache for key in "abc"] == [True, False, True]
