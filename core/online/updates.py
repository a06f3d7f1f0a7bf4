"""When statistics of records are updated: at records 1, 2, 4, … 256, and then at every 256th."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["BLOCK", "pieces"]

BLOCK = 256  # records between two updates, from the 256th record on


def pieces(records: int, count: int) -> Iterator[tuple[int, int, int]]:
    """How `count` records, behind so many `records`, are to be taken in: from where to where, up to each update.

    The third is with how many records an update is due; 0 where the piece ends before.
    """
    start = 0
    while start < count:
        done = records + start
        due = 1 << done.bit_length() if done < BLOCK else (done // BLOCK + 1) * BLOCK
        stop = min(count, due - records)
        yield start, stop, due if records + stop == due else 0
        start = stop
