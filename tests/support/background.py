"""Work that goes on in threads while a block of a test runs."""

from __future__ import annotations

import threading
from typing import Self

END_S = 60.0


class Background:
    """Runs :meth:`run` in ``threads`` threads while its block runs. The block's end waits for them, up to 60 s."""

    def __init__(self, *, threads: int = 1) -> None:
        #: Set at the end of the block.
        self.over = threading.Event()
        name = type(self).__name__
        self._threads = [threading.Thread(target=self.run, name=name) for _ in range(threads)]

    def run(self) -> None:
        """Do the work until :attr:`over` is set."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(END_S)
        assert not any(thread.is_alive() for thread in self._threads)
