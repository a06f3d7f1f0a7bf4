"""The rows that a task is about: from a file, or from standard input."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import trio

from ..decoding.formats import format_of
from ..decoding.table import DELIMITERS, Column, Table, TableReader
from ..sources import SourceError, open_transport, path_of

__all__ = ["all_of", "pieces_of_table"]


async def pieces_of_table(
    source: str, columns: Sequence[Column], form: str | None = None, *, asked: bool = False
) -> AsyncGenerator[Table]:
    """The rows of the table in `source` as they come; see `TableReader`. Standard input is TSV where nobody says.

    Where they are `asked` about, a row has the first of the `columns` alone, and a table of one column is that one.
    Raises SourceError.
    """
    form = form or ("tsv" if source == "-" else format_of(source))
    if form not in DELIMITERS or (source != "-" and path_of(source) != source):
        what = "a table: a file whose name ends with .tsv or .csv, or --format tsv or csv"
        raise SourceError(f"{source}: expected {what}")
    reader = TableReader(columns[:1] if asked else columns, form, source, alone=asked)
    async with open_transport(source) as transport:
        while True:
            try:
                chunk = await transport.receive()
            except trio.EndOfChannel:
                break
            yield reader.feed(chunk.data)
        yield reader.finish()


async def all_of(pieces: AsyncGenerator[Table]) -> Table:
    """One table of `pieces`."""
    whole = Table([], [], [])
    async with aclosing(pieces) as tables:
        async for table in tables:
            whole.rejects.extend(one._replace(before=one.before + len(whole.rows)) for one in table.rejects)
            whole.rows.extend(table.rows)
            whole.lines.extend(table.lines)
    return whole
