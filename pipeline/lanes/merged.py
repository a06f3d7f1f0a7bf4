"""Several sources as one: a block of each in its turn, in an order that is noted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import trio

from ...core.base.checks import check_count
from ..decoding.block import Block
from ..decoding.columns import part_of
from ..flow.group import Group
from .blocks import DecodedBlocks, Place, Skip, further
from .decisions import DROP, TURN, Decision
from .waiting import Waiting

__all__ = ["BLOCK", "DROP_OLDEST", "WHEN_BEHIND", "MergedBlocks"]

MOST = 1 << 16  # records that wait of a source that cannot
LEAST_LABELS, MOST_LABELS, SHARE = (
    64,
    1 << 12,
    8,
)  # where there are labels so many are taken at once, or a part of all that can wait
BLOCK, DROP_OLDEST, SAMPLE = "block", "drop-oldest", "sample"
WHEN_BEHIND = (BLOCK, DROP_OLDEST, SAMPLE)


class _Gap(NamedTuple):
    """So many records and rejects that were dropped, the first of which stood at ``place``."""

    records: int = 0
    rejects: int = 0
    place: Place | None = None

    @property
    def size(self) -> int:
        return self.records + self.rejects

    def wider(self, block: Block) -> _Gap:
        """With `block`, which stood behind it."""
        place = self.place if self.size else block.place
        return _Gap(self.records + block.size, self.rejects + len(block.rejects), place)

    def joined(self, other: _Gap) -> _Gap:
        """With another one behind it."""
        place = self.place if self.size else other.place
        return _Gap(self.records + other.records, self.rejects + other.rejects, place)


class _Feed:
    """The blocks of a source that wait, and what becomes of them where they are too many.

    While it ``repeats`` what was decided, nothing is dropped but what was then: see `leave_out`.
    """

    def __init__(self, source: DecodedBlocks, policy: str) -> None:
        self.source, self._policy = source, policy
        self.blocks: deque[tuple[_Gap, Block]] = deque()  # and what was dropped before each
        self.waiting = self.dropped = 0
        self.ended = self.repeats = False
        self.error: BaseException | None = None
        self._left = _Gap()  # what was left out since the last block was taken
        self._skip = Skip()
        self._held: Block | None = None  # it waits for room
        self._room = trio.Event()

    async def put(self, block: Block) -> None:
        """Let `block` wait; where the source can wait, it does until there is room."""
        self._held = block
        policy = BLOCK if self.source.replays or self.repeats else self._policy
        while policy == BLOCK and self.blocks:
            self._room = trio.Event()
            await self._room.wait()
        self._held = None
        self.blocks.append((_Gap(), block))
        self.waiting += _size(block)
        if policy == SAMPLE and self.waiting > MOST:
            self._drop(range(0, len(self.blocks) - 1, 2))
        while policy != BLOCK and self.waiting > MOST and len(self.blocks) > 1:
            self._drop(range(1))

    def _drop(self, places: range) -> None:
        """Drop the blocks at these places, none of which is the last."""
        blocks, gap, self.blocks = self.blocks, _Gap(), deque()
        for place, (before, block) in enumerate(blocks):
            gap = gap.joined(before)
            if place in places:
                gap = gap.wider(block)
                self.dropped += _size(block)
                self.waiting -= _size(block)
            else:
                self.blocks.append((gap, block))
                gap = _Gap()

    def leave_out(self, records: int, rejects: int) -> None:
        """Drop so many that come next, as was decided before."""
        self._skip.add(records, rejects)
        self.dropped += records + rejects
        self._left = self._left._replace(records=self._left.records + records, rejects=self._left.rejects + rejects)

    @property
    def ready(self) -> bool:
        """Whether a block waits."""
        while self._skip and self.blocks:
            gap, block = self.blocks.popleft()
            rest = self._skip.rest(block)
            self.waiting -= _size(block) - _size(rest)
            if self._left.place is None:
                self._left = self._left._replace(place=block.place)
            if _size(rest):
                self.blocks.appendleft((gap, rest))
                break
            self._room.set()
        return bool(self.blocks)

    def where(self) -> Any:  # noqa: ANN401 (see `BlockSource`)
        """Where the source is before all that waits, or has been dropped since the last block was taken."""
        gap, block = self.blocks[0] if self.blocks else (_Gap(), self._held)
        gap = self._left.joined(gap)
        if gap.place is not None:
            return gap.place
        return self.source.where() if block is None else block.place

    @property
    def dropped_before(self) -> int:
        """How many had been dropped before that place."""
        return self.dropped - self._left.size - sum(gap.size for gap, _ in self.blocks)

    def take(self, most: int | None) -> tuple[Block, tuple[int, int]]:
        """The first block, or its first `most` records; and how many records and rejects were dropped before it."""
        gap, block = self.blocks.popleft()
        gap, self._left = self._left.joined(gap), _Gap()
        if most is not None and block.size > most:
            rest = part_of(block, most, block.size)
            place = None if block.place is None else further(block.place, most, len(block.rejects))
            self.blocks.appendleft((_Gap(), rest._replace(place=place)))
            block = part_of(block, 0, most)._replace(rejects=block.rejects, place=block.place)
        self.waiting -= _size(block)
        self._room.set()
        return block, (gap.records, gap.rejects)


class MergedBlocks:
    """The records of `sources`, of each in its own order. A `BlockSource`; `group` is for the tasks that read them.

    `policies` say of each what is done where more come than can be learned: ``block`` lets it wait, ``drop-oldest``
    drops those that have waited for longest, and ``sample`` every other block of those that wait; of the two latter at
    most 65,536 wait, and one block. Dropped ones have no number, as if they had not come.

    `turns`, and what was dropped, are those of another run, as its log has them: then the order is theirs. The last of
    the sources may bring `labels` alone: see `balance`.
    """

    def __init__(
        self,
        sources: Sequence[DecodedBlocks],
        policies: Sequence[str],
        group: Group,
        turns: Sequence[Decision] | None = None,
        *,
        labels: bool = False,
    ) -> None:
        self.name = ", ".join(source.name for source in sources)
        self.came_from, self.left_out = 0, (0, 0)
        self._feeds = [_Feed(source, policy) for source, policy in zip(sources, policies, strict=True)]
        self._number = 0
        self.brings_labels = labels
        self._waiting: Waiting | None = None
        self._always = False
        self._turns: deque[Decision] | None = None  # those that are still to come
        self._turn = 0  # whose it is where they are repeated
        if turns is not None:
            self.repeat(turns, 0)
            self._always = True
        self._news = trio.Event()
        self._group: Group | None = group  # until they are read from

    @property
    def seen(self) -> list[str]:
        """See `BlockSource`."""
        return [*dict.fromkeys(name for feed in self._feeds for name in feed.source.seen)]

    @property
    def anybody(self) -> bool:
        """See `BlockSource`."""
        return any(feed.source.anybody for feed in self._feeds)

    @property
    def counts(self) -> list[dict[str, Any]]:
        """See `BlockSource`."""
        return [{**feed.source.counts[0], "dropped": feed.dropped, "waiting": feed.waiting} for feed in self._feeds]

    def balance(self, waiting: Waiting) -> None:
        """Where far more labels than records are `waiting`, or far fewer, leave files that are ahead for a while."""
        if self.brings_labels:
            self._waiting = waiting

    async def receive(self) -> Block:
        """See `BlockSource`."""
        await trio.lowlevel.checkpoint()
        group, self._group = self._group, None
        if group is not None:
            for feed in self._feeds:
                group.start_background(self._fill, feed)
        while True:
            index, most = self._next()
            if index is not None:
                block, self.left_out = self._feeds[index].take(most)
                self.came_from = index
                self._number += block.size
                return block
            for feed in self._feeds:
                if feed.error is not None:
                    raise feed.error
            if all(feed.ended for feed in self._feeds):
                raise trio.EndOfChannel
            self._news = trio.Event()
            await self._news.wait()

    def where(self, place: Place | None = None) -> Any:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        found = []
        for index, feed in enumerate(self._feeds):
            found.append((place if index == self.came_from else None) or feed.where())
        return {"sources": found, "turn": self.came_from, "dropped": [feed.dropped_before for feed in self._feeds]}

    def rewind(self, where: Any) -> None:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        for feed, place in zip(self._feeds, where["sources"], strict=True):
            feed.source.rewind(place)
        for feed, dropped in zip(self._feeds, where["dropped"], strict=True):
            feed.dropped = check_count("dropped", dropped, 0)
        self.came_from = where["turn"]

    def repeat(self, turns: Sequence[Decision], number: int) -> None:
        """Behind `number` records take these turns as they were, drop what was dropped, and then as it comes."""
        if self._always or not turns:
            return
        self._number, self._turn, self._turns = number, self.came_from, deque(turns)
        for feed in self._feeds:
            feed.repeats = True

    def _next(self) -> tuple[int | None, int | None]:
        """Which source has a block whose turn it is, and how many records of it, if that is known."""
        if (turns := self._turns) is not None:
            while turns and turns[0].number <= self._number:
                decision = turns.popleft()
                if decision.kind == TURN:
                    self._turn = decision.before
                else:
                    left_out = (decision.before, 0) if decision.kind == DROP else (0, decision.before)
                    self._feeds[self._turn].leave_out(*left_out)
            ready, comes = self._feeds[self._turn].ready, self._feeds[self._turn].source.replays
            if not turns and not self._always and (ready or not comes):
                self._turns = None
                for feed in self._feeds:
                    feed.repeats = False
            if ready:
                return self._turn, turns[0].number - self._number if turns else None
            return next(
                (i for i, feed in enumerate(self._feeds) if feed.ready and not feed.blocks[0][1].size), None
            ), None
        count, waiting = len(self._feeds), self._waiting
        lead, most = (
            (0, None) if waiting is None else (waiting.lead, min(MOST_LABELS, LEAST_LABELS + waiting.most // SHARE))
        )
        for step in range(1, count + 1):
            index = (self.came_from + step) % count
            if self._feeds[index].ready and not (lead and self._is_ahead(index, lead)):
                return index, most
        return None, None

    def _is_ahead(self, index: int, lead: int) -> bool:
        """Whether this source has to be left for a while: a file on the side that leads, for one on the other."""
        of_labels = index == len(self._feeds) - 1
        others = self._feeds[:-1] if of_labels else self._feeds[-1:]
        leads = lead > 0 if of_labels else lead < 0
        others_come = any(feed.source.can_be_left and not feed.ended for feed in others)
        return leads and self._feeds[index].source.can_be_left and others_come

    async def _fill(self, feed: _Feed) -> None:
        try:
            while True:
                block = await feed.source.receive()
                await feed.put(block)
                self._news.set()
        except trio.EndOfChannel:
            feed.ended = True
        except Exception as error:
            feed.error = error
        self._news.set()


def _size(block: Block) -> int:
    return block.size + len(block.rejects)
