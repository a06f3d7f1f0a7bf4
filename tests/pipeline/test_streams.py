"""The streams of a source, each through a decoder of its own: what is refused, and where."""

from __future__ import annotations

import pytest
from support.live import SCHEMA, line

from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.columns import concatenate
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.decoding.streams import StreamDecoders
from recurrio.pipeline.sources import Chunk, Streams
from recurrio.pipeline.sources.source import CUT, WHOLE

BAD, GOOD, LONG = b"junk\n", line("a", 1), b'{"k":"' + b"y" * (1 << 20) + b'"}\n'
SENT = {
    "good": GOOD * 3,
    "two strange": BAD * 2 + GOOD + BAD * 5,
    "strange": BAD * 4 + GOOD,
    "long": GOOD + LONG + GOOD,
    "long without end": GOOD + LONG[:-1],
}


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("kind", Streams)
@pytest.mark.parametrize("ends", [WHOLE, CUT])
def test_a_stream_is_refused_at_the_same_place_however_it_is_cut(name: str, kind: Streams, ends: str) -> None:
    def decode(size: int, at: int | None = None) -> tuple[int, list[tuple[int, str]], list[int]]:
        decoders, refused = StreamDecoders("jsonl", Fields.of(SCHEMA), None, kind), list[int]()
        pieces = [SENT[name][start : start + size] for start in range(0, len(SENT[name]), size)]
        blocks = []
        for index, piece in enumerate([*pieces, b""]):
            if index == at:
                state = decoders.dump()
                decoders = StreamDecoders("jsonl", Fields.of(SCHEMA), None, kind)
                decoders.load(state)
            blocks.append(decoders.feed(Chunk(piece, "there", {}, 5, "" if index < len(pieces) else ends)))
            refused += decoders.take_refused()
        block = concatenate(blocks)
        return block.size, [(reject.before, reject.reason) for reject in block.rejects], refused

    sizes = (7, 1000, 1 << 22) if len(SENT[name]) < 10_000 else (99_991, 1 << 22)
    first = decode(sizes[0])
    assert [decode(size) for size in sizes[1:]] == [first] * (len(sizes) - 1)
    assert decode(sizes[0], at=2) == first
    closes = kind in (Streams.CONNECTIONS, Streams.ANYBODY)
    assert first[2] == ([5] if (name == "strange" and kind == Streams.ANYBODY) or ("long" in name and closes) else [])


@pytest.mark.parametrize("kind", Streams)
def test_a_stream_that_is_at_fault_costs_itself_alone_once_one_has_fitted(kind: Streams) -> None:
    decoders = StreamDecoders("csv", Fields.of(SCHEMA), RecordOptions(columns=("k", "x")), kind)
    wrong = Chunk(b"\xff\xfek,x\n", "there", {}, 1)
    if kind == Streams.MESSAGES:
        assert decoders.feed(wrong).rejects
        return
    if kind < Streams.ANYBODY:
        with pytest.raises(SourceError, match="there: this is UTF-16"):
            decoders.feed(wrong)
        decoders = StreamDecoders("csv", Fields.of(SCHEMA), RecordOptions(columns=("k", "x")), kind)
    decoders.feed(Chunk(b"a,1\n", "here", {}, 0))
    if kind == Streams.ONE:
        return
    (reject,) = decoders.feed(wrong).rejects
    assert reject.reason.startswith("this is UTF-16")
    assert decoders.take_refused() == [1]
    assert decoders.feed(Chunk(b"a,1\n", "there", {}, 1)).size == 0
    assert decoders.feed(Chunk(b"a,2\n", "here", {}, 0)).size == 1


def test_messages_have_no_header() -> None:
    with pytest.raises(ArgumentError, match="--columns"):
        StreamDecoders("csv", Fields.of(SCHEMA), None, Streams.MESSAGES)
    decoders = StreamDecoders("csv", Fields.of(SCHEMA), RecordOptions(columns=("k", "x")), Streams.MESSAGES)
    assert decoders.feed(Chunk(b"a,1\n", "there", {})).size == 1
