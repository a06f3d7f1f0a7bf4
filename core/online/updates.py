"""When statistics of records are updated: at records 1, 2, 4, … up to a block of them, and then with each block."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["BLOCK", "pieces"]

BLOCK = 256  # records between two updates, from the 256th record on


def pieces(records: int, count: int, block: int = BLOCK) -> Iterator[tuple[int, int, int]]:
    """How `count` records, behind so many `records`, are to be taken in: from where to where, up to each update.

    There is one with records 1, 2, 4, … up to `block`, a power of 2, and then with each block.

    The third is with how many records an update is due; 0 where the piece ends before.
    """
    start = 0
    while start < count:
        done = records + start
        due = 1 << done.bit_length() if done < block else (done // block + 1) * block
        stop = min(count, due - records)
        yield start, stop, due if records + stop == due else 0
        start = stop
