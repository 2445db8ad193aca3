"""Stores and files as operators name them: ``URL#PREFIX``, or a path.

A Redis URL has no fragment, so that what follows ``#`` is the prefix. Either part may be left out: it is then that of
the settings.
"""

from __future__ import annotations

from typing import NamedTuple

from replog.errors import SettingsError
from replog.settings import StoreSettings, load, mask_url


class NamedStore(NamedTuple):
    """A store: a Redis and the prefix of its keys."""

    redis_url: str
    prefix: str

    @property
    def shown(self) -> str:
        """The store in messages, without secrets."""
        return f"{mask_url(self.redis_url)}#{self.prefix}"

    @property
    def settings(self) -> StoreSettings:
        """The settings that lead to it. Raises SettingsError."""
        return load(StoreSettings, redis_url=self.redis_url, redis_prefix=self.prefix)


def is_store(text: str) -> bool:
    """Whether ``text`` names a store; otherwise it is the path of a file."""
    return "://" in text or text.startswith("#")


def store_of(text: str, default: StoreSettings) -> NamedStore:
    """The store that ``text`` names; empty: that of the settings.

    Raises:
        SettingsError: the URL or the prefix cannot be used; the message names it, and what is allowed.
    """
    url, sharp, prefix = text.partition("#")
    if sharp and not prefix:
        raise SettingsError(f"{mask_url(url)}# is wrong: no prefix follows; allowed: URL#PREFIX, URL, #PREFIX")
    store = NamedStore(url or default.redis_url, prefix or default.redis_prefix)
    return NamedStore(store.settings.redis_url, store.settings.redis_prefix)
