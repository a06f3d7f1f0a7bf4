"""`open_records`: from an address to records."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from ...core.online.schema import Schema
from ..decoding.formats import format_of
from ..decoding.options import RecordOptions
from ..flow.group import open_group
from ..sources import open_transport
from .apart import ApartBlocks
from .records import Records

__all__ = ["open_records"]


@asynccontextmanager
async def open_records(
    name: str | os.PathLike[str],
    *,
    format: str | None = None,
    options: RecordOptions | None = None,
    **arguments: Any,  # noqa: ANN401 (those of Records)
) -> AsyncIterator[Records]:
    """Open the records in `name`, the path of a file or a pipe, or ``"-"`` for standard input, for a `Trainer`.

    `format` is one of `recurrio.pipeline.decoding.formats.FORMATS`, by default that of the suffix, or JSON lines;
    `options` say how records are written there. The other `arguments` are those of `Records`, beginning with
    ``features`` and ``target`` or ``label``.

    Raises SourceError where it cannot be opened, ArgumentError for nonsense arguments.
    """
    address = os.fspath(name)
    async with open_transport(address) as transport:
        with ExitStack() as stack:  # outside of the group, whose tasks end before the process does
            async with open_group() as group:

                def decoded(schema: Schema) -> ApartBlocks:
                    blocks = ApartBlocks(transport, format or format_of(address), schema, options, group)
                    stack.callback(blocks.close)
                    return blocks

                yield Records((), **arguments, _source=decoded)
