"""What is counted, and said, of blocks of records as they come."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from ...core.base.checks import check_count
from ...core.base.state import Part
from ..decoding.block import Block, Reject
from ..decoding.columns import select
from ..decoding.fields import Fields
from ..sources import SourceError
from .blocks import BlockSource
from .ledger import Ledger
from .record_lanes import RecordLanes
from .watch import RecordWatch

__all__ = ["Reception"]

TRIED = 1000  # records, of which one has to fit


class Reception:
    """Counts the blocks of `source` in the `ledger`, tells `on_reject` of what cannot be used, and keeps `watch`."""

    def __init__(
        self,
        source: BlockSource,
        fields: Fields,
        ledger: Ledger,
        on_reject: Callable[[Reject], None],
        warn: Callable[[str], None],
    ) -> None:
        self._source, self._ledger, self._on_reject = source, ledger, on_reject
        self._watch, self._warn = RecordWatch(fields, warn), warn
        self._last: Reject | None = None

    @property
    def missing(self) -> dict[str, float]:
        """See `RecordWatch`."""
        return self._watch.missing

    def meet(self, block: Block) -> None:
        """`block` has come, and will be taken in pieces."""
        labels = 0 if block.answer is None else int(np.count_nonzero(block.answer))
        before = 0 if block.place is None else block.place.get("skip", (0, 0))[0]
        self._watch.meet(self._source.seen, block.size - labels, before)

    def take(self, block: Block, lanes: RecordLanes) -> None:
        """`block` has come, and is for `lanes`. Raises SourceError where nothing has fitted for too long."""
        ledger, source, rejects = self._ledger, self._source.came_from, len(block.rejects)
        if block.size:
            lanes.log.turn(lanes.items, source)
        if block.answer is None or not block.answer.any():
            ledger.receive(block.size + rejects, rejects, source)
        else:
            records = select(block, np.flatnonzero(~block.answer))._replace(rejects=block.rejects)
            ledger.receive(records.size + rejects, rejects, source, block.size - records.size)
            block = records
            if lanes.later is not None and not lanes.later.waiting.counts["matched"]:
                self._watch.labels(lanes.later.waiting.records, lanes.later.waiting.early)
        for reject in block.rejects:
            self._on_reject(reject)
        self._watch.look(block)
        if block.rejects:
            self._last = block.rejects[-1]
            if ledger.rejected >= TRIED and ledger.rejected == ledger.received and not self._source.anybody:
                raise self._none_fits()

    def end(self, lanes: RecordLanes) -> None:
        """There are no more. Raises SourceError where there were none that can be used."""
        self.look_at_keys(lanes)
        if lanes.later is not None and not lanes.later.waiting.counts["matched"]:
            counts = lanes.later.waiting.counts
            if not counts["received"] and self._ledger.received > self._ledger.rejected:
                self._warn("no label has come, of any record: is --label, or --target, the field that they have?")
            self._watch.labels(lanes.later.waiting.gave_up, counts["unmatched"], least=1)
        self._watch.end()
        if not self._ledger.received:
            raise SourceError(f"{self._source.name}: there are no records")
        if self._ledger.rejected == self._ledger.received:
            raise self._none_fits()

    def look_at_keys(self, lanes: RecordLanes) -> None:
        """Say where keys look wrong."""
        self._watch.keys(lanes.seen, lanes.single)

    def dump(self) -> Part:
        """What has been looked at."""
        last = self._last
        return Part.of(
            {"last": None if last is None else [last.origin, last.line, last.reason]}, watch=self._watch.dump()
        )

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self._watch.load(part.part("watch"))
        if (last := part.about["last"]) is not None:
            origin, line, reason = last
            self._last = Reject(0, origin, check_count("line", line), reason, b"")

    def _none_fits(self) -> SourceError:
        seen = ", ".join(json.dumps(name, ensure_ascii=False) for name in self._source.seen) or "none"
        last, count = self._last, self._ledger.received
        assert last is not None
        which = f"none of the first {count:,} records fits" if count > 1 else "the record does not fit"
        of = f"{last.origin} " if len(self._source.counts) > 1 else ""
        return SourceError(
            f"{self._source.name}: {which}; {of}line {last.line}: {last.reason}; the fields that were seen: {seen}"
        )
