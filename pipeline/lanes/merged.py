"""Several sources as one: a block of each in its turn, in an order that is noted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import trio

from ..decoding.block import Block
from ..decoding.columns import part_of, select
from ..flow.group import Group
from .blocks import DecodedBlocks, Place, further
from .decisions import TURN, Decision
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


class _Feed:
    """The blocks of a source that wait, and what becomes of them where they are too many."""

    def __init__(self, source: DecodedBlocks, policy: str) -> None:
        self.source, self._policy = source, policy
        self.blocks: deque[Block] = deque()
        self.waiting = self.dropped = 0
        self.ended = False
        self.error: BaseException | None = None
        self._held: Block | None = None  # it waits for room
        self._room = trio.Event()

    async def put(self, block: Block) -> None:
        """Let `block` wait; where the source can wait, it does until there is room."""
        self._held = block
        policy = BLOCK if self.source.replays else self._policy
        while policy == BLOCK and self.blocks:
            self._room = trio.Event()
            await self._room.wait()
        self._held = None
        self.blocks.append(block)
        self.waiting += _size(block)
        if policy != BLOCK and self.waiting > MOST:
            before = self.waiting
            if policy == SAMPLE:
                self.blocks = deque(map(_every_other, self.blocks))
            while (waiting := sum(map(_size, self.blocks))) > MOST and len(self.blocks) > 1:
                self.blocks.popleft()
            self.waiting = waiting
            self.dropped += before - waiting

    def where(self) -> Any:  # noqa: ANN401 (see `BlockSource`)
        """Where the source is before all that waits."""
        first = self.blocks[0] if self.blocks else self._held
        return self.source.where() if first is None else first.place

    def take(self, most: int | None) -> Block:
        """The first block, or its first `most` records."""
        block = self.blocks.popleft()
        if most is not None and block.size > most:
            self.blocks.appendleft(part_of(block, most, block.size))
            place = None if block.place is None else further(block.place, most, len(block.rejects))
            self.blocks[0] = self.blocks[0]._replace(place=place)
            block = part_of(block, 0, most)._replace(rejects=block.rejects, place=block.place)
        self.waiting -= _size(block)
        self._room.set()
        return block


class MergedBlocks:
    """The records of `sources`, of each in its own order. A `BlockSource`; `group` is for the tasks that read them.

    `policies` say of each what is done where more come than can be learned: ``block`` lets it wait, ``drop-oldest``
    drops those that have waited for longest, and ``sample`` every other one of all that wait; of the two latter at most
    65,536 wait, and one block. Dropped ones have no number, as if they had not come.

    `turns` are those of another run, as its log has them: then the order is theirs. The last of the sources may bring
    `labels` alone: see `balance`.
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
        self.came_from = 0
        self._feeds = [_Feed(source, policy) for source, policy in zip(sources, policies, strict=True)]
        self._number = 0
        self.brings_labels = labels
        self._waiting: Waiting | None = None
        self._always = True
        self._turns = None if turns is None else deque([Decision(0, TURN, 0), *turns])
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
                block = self._feeds[index].take(most)
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
        return {"sources": found, "turn": self.came_from}

    def rewind(self, where: Any) -> None:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        for feed, place in zip(self._feeds, where["sources"], strict=True):
            feed.source.rewind(place)
        self.came_from = where["turn"]

    def repeat(self, turns: Sequence[Decision], number: int) -> None:
        """Behind `number` records take these turns as they were, and then as it comes."""
        if turns:
            self._number, self._always = number, False
            self._turns = deque([Decision(number, TURN, self.came_from), *turns])

    def _next(self) -> tuple[int | None, int | None]:
        """Which source has a block whose turn it is, and how many records of it, if that is known."""
        if (turns := self._turns) is not None:
            while len(turns) > 1 and turns[1].number <= self._number:
                turns.popleft()
            if len(turns) == 1 and not self._always:
                self._turns = None
            index = turns[0].before
            most = turns[1].number - self._number if len(turns) > 1 else None
            if self._feeds[index].blocks:
                return index, most
            return next(
                (i for i, feed in enumerate(self._feeds) if feed.blocks and not feed.blocks[0].size), None
            ), None
        count, waiting = len(self._feeds), self._waiting
        lead, most = (
            (0, None) if waiting is None else (waiting.lead, min(MOST_LABELS, LEAST_LABELS + waiting.most // SHARE))
        )
        for step in range(1, count + 1):
            index = (self.came_from + step) % count
            if self._feeds[index].blocks and not (lead and self._is_ahead(index, lead)):
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


def _every_other(block: Block) -> Block:
    kept = slice(None, None, 2)
    rejects = [reject._replace(before=(reject.before + 1) // 2) for reject in block.rejects[kept]]
    return select(block, kept)._replace(rejects=rejects)
