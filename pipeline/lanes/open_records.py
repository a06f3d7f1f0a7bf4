"""`open_records`: from addresses to records."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from ...core.base.checks import ArgumentError
from ..decoding.fields import Fields
from ..decoding.formats import format_of
from ..decoding.options import RecordOptions
from ..flow.group import open_group
from ..sources import Opening, open_transport, path_of, shown
from ..sources.journal import Journals
from .apart import ApartBlocks
from .blocks import BlockSource, DecodedBlocks
from .decisions import OF_SOURCES, Decision
from .merged import BLOCK, DROP_OLDEST, WHEN_BEHIND, MergedBlocks
from .records import Records

__all__ = ["open_records"]

ID = "id"  # the field, where labels have a source of their own


@asynccontextmanager
async def open_records(
    *addresses: str | os.PathLike[str],
    format: str | None = None,
    options: RecordOptions | None = None,
    label_from: str | os.PathLike[str] | None = None,
    when_behind: str = BLOCK,
    allow_remote: bool = False,
    allow_gap: bool = False,
    send: str | None = None,
    on_notice: Callable[[str], None] = lambda text: None,
    journals: Journals | None = None,
    decisions: Iterable[Decision] | None = None,
    **arguments: Any,  # noqa: ANN401 (those of Records)
) -> AsyncIterator[Records]:
    """Open the records at `addresses`, for a `Trainer`: those of several come in turn.

    An address is the path of a file or a pipe, ``"-"`` for standard input, or begins with one of
    `recurrio.pipeline.sources.SCHEMES`. `format` is one of `recurrio.pipeline.decoding.formats.FORMATS`, by default
    that of the suffix, or JSON lines; `options` say how records are written there. Where labels come from somewhere
    else, by the `id` of their records, by default the field ``id``, `label_from` is that address.

    `when_behind` is one of `recurrio.pipeline.lanes.merged.WHEN_BEHIND`, and datagrams cannot wait. `allow_remote` lets
    sources listen to other machines, `allow_gap` lets one go on whose place in it is gone, `send` is what a WebSocket
    is sent once it is connected, and `on_notice` is told what becomes of connections. What comes from sources that
    cannot go back, and what the clock decides, is written to `journals`. The other `arguments`, and
    `decisions`, are those of `Records`, beginning with ``features`` and ``target`` or ``label``.

    Raises SourceError where one cannot be opened, ArgumentError for nonsense arguments.
    """
    names = [os.fspath(address) for address in addresses]
    if not names:
        raise ArgumentError("addresses", "one at least", "none")
    if label_from is not None:
        arguments["id"] = arguments.get("id") or ID
        names.append(os.fspath(label_from))
    if twice := [name for name in names if names.count(name) > 1 and not name.endswith(":0")]:
        raise ArgumentError("addresses", "each once", shown(twice[0]))
    if when_behind not in WHEN_BEHIND:
        raise ArgumentError("when_behind", f"one of {', '.join(WHEN_BEHIND)}", repr(when_behind))
    given = None if decisions is None else [Decision(*decision) for decision in decisions]
    async with AsyncExitStack() as stack:
        transports = []
        for index, name in enumerate(names):
            notice = on_notice if index < len(addresses) else _of_labels(on_notice)
            how: dict[str, Any] = {
                "allow_remote": allow_remote,
                "allow_gap": allow_gap,
                "greeting": send,
                "notice": notice,
            }
            if journals is not None:
                how |= {"journal": journals.of(index), "only_journal": journals.only, "on_full": journals.full}
            opening = Opening(name, **how)
            transports.append(await stack.enter_async_context(open_transport(opening)))
        policies = [
            DROP_OLDEST if when_behind == BLOCK and not transport.waits else when_behind for transport in transports
        ]
        forms = [format or format_of(path_of(name) or "") for name in names]
        if any(transport.messages and form == "raw" for transport, form in zip(transports, forms, strict=True)):
            raise ArgumentError("format", "one of lines, where messages are what comes", "'raw'")
        if label_from is not None and transports[-1].messages and forms[-1] != "jsonl":
            raise ArgumentError("label_from", "JSON lines, where labels come in messages", forms[-1])
        closing = stack.enter_context(ExitStack())  # outside of the group, whose tasks end before the process does
        group = await stack.enter_async_context(open_group())

        def decoded(fields: Fields) -> BlockSource:
            if policies == [BLOCK] and fields.id is None:
                blocks = ApartBlocks(transports[0], forms[0], fields, options, group)
                closing.callback(blocks.close)
                return blocks
            parts, written = [fields] * len(names), [options or RecordOptions()] * len(names)
            if label_from is not None:
                parts = [fields.without_answers()] * (len(names) - 1) + [fields.answers_alone()]
                written[-1] = replace(written[-1], columns=(), skip_lines=0)  # those of the others
            sources = [DecodedBlocks(*each) for each in zip(transports, forms, parts, written, strict=True)]
            turns = None if given is None else [decision for decision in given if decision.kind in OF_SOURCES]
            return MergedBlocks(sources, policies, group, turns, labels=label_from is not None)

        yield Records((), **arguments, decisions=given, _source=decoded, _journals=journals)


def _of_labels(notice: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: notice(f"{text} (labels)")
