"""From the blocks of a source to what they bring about, piece by piece, and how far that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import trio

from ...core.base.checks import check_count
from .blocks import BlockSource, Place, further
from .chunks import Packed
from .clock import RecordClock
from .decoding_worker import LocatedBlock
from .ledger import Ledger
from .live import Arrivals
from .reception import Reception
from .record_lanes import Piece, RecordLanes

__all__ = ["Pieces"]

Item = Arrivals | Packed


class Pieces:
    """What the blocks of `source` bring about in `lanes`, the `clock`, and the end of the blocks, in their order.

    The `reception` is told of each piece before its items come. Before there is another one, `on_rest` says whether
    others are to have a turn first.
    """

    def __init__(
        self,
        source: BlockSource,
        lanes: RecordLanes,
        clock: RecordClock,
        reception: Reception,
        ledger: Ledger,
        on_rest: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source, self._lanes, self._clock = source, lanes, clock
        self._reception, self._ledger, self._on_rest = reception, ledger, on_rest
        self._pieces: Iterator[Piece] = iter(())  # of the last block
        self._items: Iterator[Item] = iter(())  # of the last piece
        self._ahead: Piece | None = None  # where it has been looked at which comes next,
        self._next: Item | None = None  # and so with the items
        self._place: Place | None = None  # of what is behind the last piece in its block
        self._turn = False  # of others is due
        self.given = 0  # batches
        self.ended = False
        self._left = 0  # records that had no label at the end

    def ready(self) -> Item | None:
        """The next item, where nothing has to be waited for; None where others are to have a turn, or at the end."""
        while not self._turn:
            item, self._next = self._next or next(self._items, None), None
            if item is not None:
                self.given += isinstance(item, Packed)
                return item
            if self._ahead is None and self._on_rest():
                self._turn = True
                break
            piece, self._ahead = self._ahead or next(self._pieces, None), None
            if piece is None:
                self._place = None
                return None
            if piece.block is not None:
                self._reception.take(piece.block, self._lanes)
                if self._place is not None:
                    self._place = further(self._place, piece.block.size, len(piece.block.rejects))
            self._items = piece.items
        return None

    @property
    def rests(self) -> bool:
        """Whether all items of the last piece have been taken."""
        if self._ahead is None:
            self._next = self._next or next(self._items, None)
        return self._ahead is None and self._next is None

    @property
    def done(self) -> bool:
        """Whether nothing is left of what has come."""
        if self.rests:
            self._ahead = next(self._pieces, None)
        return self._ahead is None and self._next is None

    async def more(self) -> bool:
        """Wait for the turn of others, the next block, or the clock.

        Says whether there is more to be `ready`, as long as there may be.
        """
        if self._turn:
            for _ in range(2):  # whatever the order of tasks is; much of the block may be left, so nothing cancels it
                await trio.lowlevel.cancel_shielded_checkpoint()
            self._turn = False
            return True
        if self.ended:
            return False
        lanes, block = self._lanes, None
        with trio.move_on_at(self._clock.deadline()):
            try:
                block = await self._source.receive()
            except trio.EndOfChannel:
                self.ended = True
                self._pieces = iter([Piece(None, chain(lanes.finish(), self._finish()))])
                return True
        decided = Piece(None, self._clock.decide(lanes))
        if block is None:
            self._pieces = iter([decided])
            return True
        self._ledger.unlabelled, self._left = self._ledger.unlabelled - self._left, 0
        located, block = (block.located, block.block) if isinstance(block, LocatedBlock) else (None, block)
        self._place = block.place
        self._reception.meet(block)
        if any(self._source.left_out):
            lanes.log.drop(lanes.items, self._source.came_from, *self._source.left_out)
        self._pieces = chain(lanes.pieces(block, located), [decided])
        return True

    def _finish(self) -> Iterator[Packed]:
        """After the last batch: what is left has no label."""
        self._left = self._lanes.packer.open_records
        self._ledger.unlabelled += self._left
        self._reception.end(self._lanes)
        yield from ()

    def dump(self) -> dict[str, Any]:
        """How far it is, as JSON; where it rests."""
        return {"where": self._source.where(self._place), "left": self._left}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `dump` gave. Raises ArgumentError, and SourceError where the source cannot go back."""
        self._left = check_count("left", state["left"], 0)
        self._source.rewind(state["where"])
