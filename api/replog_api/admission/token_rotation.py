"""Rotation of tokens without a restart: the file that holds them is looked at again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from replog.cancellation import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replog.secret_files import Reloaded
    from replog.tokens import ApiToken

#: Seconds between two looks at the file.
INTERVAL_S = 1.0
#: Seconds in which the task ends.
_ENDS_WITHIN_S = 1.0


class TokenRotation:
    """Calls ``accept`` with the tokens of a file whenever they are others than before.

    A file that cannot be used leaves the tokens as they are (:class:`~replog.secret_files.Reloaded`).
    """

    def __init__(
        self,
        file: Reloaded[tuple[ApiToken, ...]],
        accept: Callable[[Sequence[ApiToken]], None],
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._file = file
        self._accept = accept
        self._interval_s = interval_s
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look at the file; :meth:`close` ends it."""
        self._watching = asyncio.create_task(self._watch(), name="token rotation")

    async def close(self) -> None:
        """Look at it no more."""
        if self._watching is not None:
            await cancel_and_wait([self._watching], timeout_s=_ENDS_WITHIN_S)

    async def _watch(self) -> None:
        accepted = self._file.value
        while True:
            await asyncio.sleep(self._interval_s)
            if self._file.value is not accepted:
                accepted = self._file.value
                self._accept(accepted)
