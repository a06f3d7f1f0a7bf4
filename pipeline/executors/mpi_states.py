"""The hidden states of a shard on their way between its place and the trainer.

They live with the shard: a batch finds them there. What it leaves behind goes back with its loss, so the memory of the
trainer is at every time as if it had computed them itself, and checkpoints are made of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.base.ranks import Rank
from ...core.base.table import rows_of
from ...core.model.batch import SequenceBatch
from ...core.model.run_memory import RunMemory

__all__ = ["ShardStates"]


class ShardStates:
    """Those of shard number `shard` of a run, in its `memory`, on either side."""

    def __init__(self, memory: RunMemory, shard: int) -> None:
        self._memory, self._shard, self._keys = memory, shard, memory.keys
        ranks, self._shards = len(memory.gradients[shard]), len(memory.gradients)
        self._logs = [] if self._keys is None else [self._keys.of_rank(shard, Rank(r, ranks)) for r in range(ranks)]

    def all_before(self, number: int) -> Any:  # noqa: ANN401 (for `put_all`)
        """All that there is before the batch of this number."""
        if self._keys is None:
            return self._memory.state_before(number)[self._shard]
        own = [np.flatnonzero(table.any(axis=1)) for table in self._keys.tables]
        own = [rows[rows % self._shards == self._shard] for rows in own]
        return [(rows, table[rows]) for rows, table in zip(own, self._keys.tables, strict=True)]

    def put_all(self, number: int, states: Any) -> None:  # noqa: ANN401 (of `all_before`)
        """Take it up on the other side."""
        if self._keys is None:
            self._put(number, states)
            return
        for table, (rows, values) in zip(self._keys.tables, states, strict=True):
            table[rows] = values

    def after(self, number: int, batch: SequenceBatch) -> Any:  # noqa: ANN401 (for `put_after`)
        """What the batch of this number has left behind."""
        if self._keys is None:
            return self._memory.state_before(number + 1)[self._shard]
        if batch.rows is None or not len(batch.rows):
            return None
        rows = rows_of(batch.rows)
        return [table[rows] for table in self._keys.tables]

    def put_after(self, number: int, batch: SequenceBatch, states: Any) -> None:  # noqa: ANN401 (of `after`)
        """Take it up on the other side; of keys what was there is logged, as in a forward pass."""
        if self._keys is None:
            self._put(number + 1, states)
        elif states is not None:
            assert batch.rows is not None
            for log, table, values in zip(self._logs, self._keys.tables, states, strict=True):
                log.gather(number, batch.rows)
                table[rows_of(batch.rows)] = values

    def _put(self, number: int, states: Any) -> None:  # noqa: ANN401 (of each rank)
        for mine, theirs in zip(self._memory.state_before(number)[self._shard], states, strict=True):
            for part, other in zip(mine, theirs, strict=True):
                for array, value in zip(part, other, strict=True):
                    np.copyto(array, value)
