"""Records that are in memory as a block, so that they can be gone through again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import trio

from ..decoding.block import Block
from ..decoding.columns import concatenate
from ..decoding.fields import Fields
from ..sources import SourceError
from .blocks import BlockSource, Place
from .decoding_worker import LocatedBlock

__all__ = ["KeptBlock", "receive_all"]


class KeptBlock:
    """A `BlockSource` of one `block`; `name` and the names of fields are those of the source that it came from."""

    came_from, anybody, brings_labels, left_out = 0, False, False, (0, 0)

    def __init__(self, block: Block, name: str, seen: Sequence[str]) -> None:
        self.name, self.seen = name, [*seen]
        self._block: Block | None = block

    @property
    def counts(self) -> list[dict[str, Any]]:
        """See `BlockSource`."""
        return [{"source": self.name}]

    async def receive(self) -> Block:
        """See `BlockSource`."""
        await trio.lowlevel.checkpoint()
        block, self._block = self._block, None
        if block is None:
            raise trio.EndOfChannel
        return block

    def where(self, place: Place | None = None) -> Any:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        return place

    def rewind(self, where: Any) -> None:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`; it is for one run from its beginning."""
        raise SourceError(f"{self.name}: what is kept in memory cannot go back")


async def receive_all(source: BlockSource, fields: Fields) -> Block:
    """What `source` brings until its end, as one block of these `fields`. Raises SourceError."""
    blocks = list[Block]()
    while True:
        try:
            block = await source.receive()
        except trio.EndOfChannel:
            break
        blocks.append(_whole(block.block if isinstance(block, LocatedBlock) else block, fields))
    if not blocks:
        raise SourceError(f"{source.name}: there are no records")
    return concatenate(blocks)._replace(place=None)


def _whole(block: Block, fields: Fields) -> Block:
    """`block` with all of the `fields`: it may be of records without their answers, or of answers alone."""
    n, missing = block.size, len(fields.numbers) - block.numbers.shape[1]
    only_answers = block.answer is not None and bool(block.answer.all()) and n > 0
    gap = np.full((n, missing), np.nan)
    numbers = (gap, block.numbers) if only_answers else (block.numbers, gap)  # the inputs come first
    return block._replace(
        numbers=np.concatenate(numbers, axis=1),
        categories=block.categories or [[None] * n for _ in fields.categories],
        labels=[None] * n if block.labels is None and fields.label is not None else block.labels,
        keys=["-"] * n if block.keys is None and fields.key is not None else block.keys,
        times=np.full(n, np.nan) if block.times is None and fields.time is not None else block.times,
    )
