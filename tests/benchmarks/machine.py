"""What a figure depends on: the machine, the versions, and which core runs what."""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

#: Packages whose versions change the figures.
PACKAGES = ("aiokafka", "fastapi", "hiredis", "msgspec", "orjson", "pydantic", "redis", "uvicorn", "uvloop")

#: Bytes that caches hold, and that they do not; reads at random places in them.
_NEAR, _FAR, _READS = 1 << 14, 1 << 29, 500_000
#: Bytes that are written to for the first time: about what the Redis of a million details and its children take.
_FRESH = 1 << 32


def description() -> str:
    """One line on machine and versions."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores of {model}; Python {platform.python_version()}, {versions}"


class Memory(NamedTuple):
    """What most of an index of a million entries costs: reads at random places (mean), first writes to pages (longest).

    Where machines are virtual and shared these change from hour to hour, and figures with them: what a host has to
    find first, because it took back what was free, stands as milliseconds inside of whatever call writes there.
    """

    read_ns: float
    first_write_ms: float

    def __str__(self) -> str:
        """For people."""
        return f"a read at a random place {self.read_ns:.0f} ns, the longest first write {self.first_write_ms:.1f} ms"


def memory() -> Memory:
    """Measured now: reads in 512 MiB, first writes to 4 GiB."""
    return Memory((_walked_s(_FAR) - _walked_s(_NEAR)) / _READS * 1e9, _longest_first_write_s(_FRESH) * 1e3)


def _longest_first_write_s(size: int) -> float:
    longest = 0.0
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE) as cells:
        # In small pages, as Redis asks for them.
        cells.madvise(mmap.MADV_NOHUGEPAGE)
        last = time.perf_counter()
        for at in range(0, size, mmap.PAGESIZE):
            cells[at] = 1
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    return longest


def _walked_s(size: int) -> float:
    # Written to, for pages that never were are all the same one.
    cells, at, mask = bytearray(b"\x01") * size, 0, size - 1
    begun = time.perf_counter()
    for _ in range(_READS):
        # Each place depends on what stood in the one before, so that none can be fetched early.
        at = (at * 1_664_525 + 1_013_904_222 + cells[at]) & mask
    return time.perf_counter() - begun


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end between the listing and the call.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {core})
