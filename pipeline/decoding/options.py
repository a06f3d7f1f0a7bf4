"""How records are written: what a decoder of records is told beside the schema."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RecordOptions"]


@dataclass(frozen=True)
class RecordOptions:
    """How the records of a source are written.

    `missing` are tokens that stand for no value, as ``("-9999", "?")``; `decimal` is the sign before decimals.
    `time_format` is that of `datetime.strptime`, None for ISO 8601 and seconds. Of CSV: the `delimiter`, None for the
    format's own; how many lines to skip (`skip_lines`) before the header; the names of the `columns` where there is no
    header; and whether the answers (targets and label) must be among the columns. Of raw blocks: their `dtype`, as
    ``"x:f4,y:f4"``.
    """

    missing: tuple[str, ...] = ()
    decimal: str = "."
    time_format: str | None = None
    delimiter: str | None = None
    skip_lines: int = 0
    columns: tuple[str, ...] = ()
    answers: bool = True
    dtype: str | None = None
