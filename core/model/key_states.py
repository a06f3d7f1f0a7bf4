"""The hidden states of keys: a table, of which each batch gathers the rows that it needs and scatters them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..base.arena import Arena
from ..base.copies import Copies
from ..base.parameters import Array
from ..base.ranks import Rank
from ..base.table import gather, rows_of, scatter
from ..cells.buffers import State
from .trainable import Trainable

__all__ = ["KeyStates", "RankKeys", "state_units"]

INDEX = np.dtype(np.int64)


def state_units(model: Trainable, rank: Rank = Rank()) -> int:  # noqa: B008 (it cannot change)
    """How many numbers the state of one lane has, of the units of `rank`."""
    return sum(len(array) for part in model.initial_state(1, rank) for array in part)


class _Log(NamedTuple):
    """What one batch has found in the table: its number and lanes, which rows, and what stood in them."""

    about: Array  # (2,): the number of the batch + 1, and its lanes
    rows: Array  # (lanes,)
    before: Array  # (lanes, units)


class RankKeys:
    """What one rank of a shard needs of a `KeyStates`: its table ``(keys, units)``, and the logs of its batches.

    `units` are those of each part of the state, over layers and directions. A pass moves the columns ``(units, B)`` on
    between `gather` and `scatter`.
    """

    def __init__(self, table: Array, logs: list[_Log], units: list[list[int]]) -> None:
        self._table, self._logs = table, logs
        self._after = np.empty_like(logs[0].before)
        self._columns = np.empty(self._after.shape[::-1], table.dtype)  # the parts one below the other
        self._views: dict[int, list[State]] = {}  # by lanes
        self._units = units

    def gather(self, batch_number: int, rows: Array) -> list[State]:
        """The states of `rows` before this batch, as columns ``(units, B)``, from the table; and log them."""
        lanes, log = len(rows), self._logs[batch_number % len(self._logs)]
        log.about[0] = 0  # what is overwritten here must not be taken for a log
        log.rows[:lanes] = rows_of(rows)
        gather(self._table, rows, log.before[:lanes], self._columns[:, :lanes])
        log.about[1] = lanes
        log.about[0] = batch_number + 1
        state = self._views.get(lanes)
        if state is None:
            state = self._views[lanes] = list(self._state(lanes))
        return state

    def _state(self, lanes: int) -> Iterator[State]:
        start = 0
        for part in self._units:
            arrays = []
            for count in part:
                arrays.append(self._columns[start : start + count, :lanes])
                start += count
            yield tuple(arrays)

    def scatter(self, batch_number: int) -> None:
        """Put the states after this batch into the table."""
        log = self._logs[batch_number % len(self._logs)]
        lanes = int(log.about[1])
        scatter(self._columns[:, :lanes], log.rows[:lanes], self._after[:lanes], self._table)


class KeyStates:
    """The states of `keys` keys, for the `ranks` of as many shards as there are `widths`, in one table a rank.

    A key is in a batch at most once, and in one shard always. Each shard logs what its batches in flight have
    overwritten, so that those which are not applied can be undone: the table of a run that is cut short is that after
    the last batch applied. `tables` is where the table is already; else it is laid out in `arena`, as the logs are.
    """

    def __init__(
        self,
        model: Trainable,
        keys: int,
        widths: list[int],
        *,
        ranks: int,
        workspaces: int,
        arena: Arena,
        tables: list[Array] | None = None,
    ) -> None:
        units = [state_units(model, Rank(index, ranks)) for index in range(ranks)]
        self.tables = tables or [arena.zeros((keys, count), model.dtype) for count in units]
        self.copies = [Copies(table) for table in self.tables]
        self._model, self._widths = model, widths
        self._logs = [
            [
                [
                    _Log(
                        arena.zeros((2,), INDEX),
                        arena.zeros((width,), INDEX),
                        arena.zeros((width, count), model.dtype),
                    )
                    for _ in range(workspaces + 1)
                ]
                for count in units
            ]
            for width in widths
        ]

    def of_rank(self, shard: int, rank: Rank) -> RankKeys:
        """What this rank of a shard uses."""
        units = [[len(array) for array in part] for part in self._model.initial_state(1, rank)]
        return RankKeys(self.tables[rank.index], self._logs[shard][rank.index], units)

    def undo(self, applied: int) -> None:
        """Take back what batches from number `applied` on have left in the tables, the latest first."""
        for rank, log in self._later(applied):
            lanes = log.about[1]
            self.tables[rank][log.rows[:lanes]] = log.before[:lanes]
            log.about[0] = 0

    def before(self, applied: int, used: int) -> list[Array]:
        """A copy of the first `used` rows of the tables as they are without batches from number `applied` on.

        These can go on meanwhile, in other threads or processes: what they change is logged before.
        """
        tables = [copies.first(used) for copies in self.copies]
        for rank, log in self._later(applied):
            rows, before = log.rows[: log.about[1]], log.before[: log.about[1]]
            tables[rank][rows[rows < used]] = before[rows < used]
        return tables

    def _later(self, applied: int) -> Iterator[tuple[int, _Log]]:
        """The logs of each rank that are of batches from number `applied` on, the latest first."""
        for ranks in self._logs:
            for rank, logs in enumerate(ranks):
                for log in sorted(logs, key=lambda log: -log.about[0]):
                    if log.about[0] > applied:
                        yield rank, log
