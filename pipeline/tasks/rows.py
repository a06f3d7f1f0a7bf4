"""The rows that a task is about: from a file, or from standard input."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import trio

from ..decoding.block import Reject
from ..decoding.formats import format_of
from ..decoding.table import DELIMITERS, Column, Table, TableReader
from ..sources import SourceError, open_transport, path_of

__all__ = ["ask_rows", "read_rows"]

Rows = list[tuple[str, ...]]


async def read_rows(source: str, columns: Sequence[Column], form: str | None) -> tuple[Rows, list[Reject]]:
    """The rows of the table in `source`, with these `columns`, and what cannot be used; see `TableReader`.

    Standard input is TSV where `form` does not say otherwise. Raises SourceError.
    """
    rows, rejects = Rows(), list[Reject]()
    async with aclosing(_tables(source, columns, form)) as tables:
        async for table in tables:
            rows += table.rows
            rejects += table.rejects
    return rows, rejects


def ask_rows(kept: Any, source: str, columns: Sequence[Column], form: str | None) -> AsyncGenerator[Table, None]:  # noqa: ANN401
    """The same as they come, for the model `kept`: of the first column alone, and where there is one, of that one."""
    return _tables(source, columns[:1], form, alone=True)


async def _tables(
    source: str, columns: Sequence[Column], form: str | None, *, alone: bool = False
) -> AsyncGenerator[Table, None]:
    form = form or ("tsv" if source == "-" else format_of(source))
    if form not in DELIMITERS or (source != "-" and path_of(source) != source):
        if path_of(source) == source:
            await trio.Path(source).stat()  # what is not there is another mistake
        what = "a table: a file whose name ends with .tsv or .csv, or --format tsv or csv"
        raise SourceError(f"{source}: expected {what}")
    reader = TableReader(columns, form, source, alone=alone)
    async with open_transport(source) as transport:
        while True:
            try:
                chunk = await transport.receive()
            except trio.EndOfChannel:
                break
            yield reader.feed(chunk.data)
        yield reader.finish()
