"""When statistics of records are updated: at records 1, 2, 4, … 256, and then at every 256th."""

from __future__ import annotations

__all__ = ["BLOCK", "due_after"]

BLOCK = 256  # records between two updates, from the 256th record on


def due_after(records: int) -> int:
    """With how many records the next update is due, behind so many."""
    return 1 << records.bit_length() if records < BLOCK else (records // BLOCK + 1) * BLOCK
