"""A live source: records that are forecast as they come, and the batches that they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from ...core.base.copies import Copies
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel

__all__ = ["Arrivals", "Arrived", "LateTruths", "LiveSource", "Truths"]


class Truths(NamedTuple):
    """What came true with each of n records, of an earlier one of its key.

    - ``pos`` ``(n,)``: how many of its key came before each; ``values`` ``(n, F)``: see `Labelled.truth`.
    - ``origin`` ``(n, F)``: which of these records its truth is about; −1 where it is one that came before them.
    """

    pos: Array
    values: Array
    origin: Array


class LateTruths(NamedTuple):
    """What came true of records that wait in slots.

    - ``slots`` ``(n,)``: of the n records that came.
    - Of the m labels that came among them: the slot (``of``) and the row of the key (``rows``) of the record that each
      is about, each ``(m,)``, its ``values`` ``(m, F)``, and ``at`` ``(m,)``: how many of the records came before it.
    """

    slots: Array
    of: Array
    rows: Array
    values: Array
    at: Array


class Arrived(NamedTuple):
    """`n` records that came one behind the other, from the record `number` on, in that order.

    - ``rows`` ``(n,)``: of their keys in the table, or ``~row`` for the first of a key.
    - ``times`` ``(n,)`` and ``ids``: theirs, if any.
    - ``compact``, ``centre``, ``scale``, ``naive``: see `recurrio.pipeline.lanes.labels.Labelled`.
    - ``classes`` ``(n,)``: of a label, how many classes there were before each.
    - ``truths``: what came true meanwhile.
    """

    number: int
    rows: Array
    times: Array | None
    ids: Sequence[str] | None
    compact: Array
    centre: Array
    scale: Array
    naive: Array
    classes: Array | None
    truths: Truths | LateTruths


class Arrivals(NamedTuple):
    """The records from `start` to before `stop` of those that have `arrived`: forecasts are to be made of them.

    Of `LateTruths`, the first `labels` are to be scored by then.
    """

    arrived: Arrived
    start: int
    stop: int
    labels: int = 0


class LiveSource(ABC, AsyncIterator[SequenceBatch | Arrivals]):
    """What a run asks of records, and tells them; `recurrio.pipeline.lanes.records.Records` are one."""

    copies: list[Copies]
    """What `dump` copies of a table of theirs, as far as it is much; from `begin` on."""

    @property
    @abstractmethod
    def largest(self) -> tuple[int, int]:
        """The steps T and the lanes B of the largest batch."""

    @property
    @abstractmethod
    def keys(self) -> tuple[int, int]:
        """How many rows the table of states has; and how many of them, the last ones, always begin from zeros."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows of the table of keys were ever in use, the first ones."""

    @abstractmethod
    def begin(self, model: SequenceModel, shards: int, number: int = 0) -> None:
        """A run of `model`, with so many `shards`, is to begin with the batch `number`; the trainer says so.

        Raises ArgumentError.
        """

    @abstractmethod
    def ready(self) -> SequenceBatch | Arrivals | None:
        """The next item, where nothing has to be waited for; None where others are to have a turn, or at the end."""

    @abstractmethod
    def key_of(self, row: int) -> str | None:
        """The key in this row of the table; None of what is learned from again."""

    @property
    @abstractmethod
    def rests(self) -> bool:
        """Whether what it has is that of the records so far, and of no others."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether nothing is left of what has come: behind a whole block."""

    @abstractmethod
    def rest_at(self, number: int | None) -> None:
        """Rest before the batch of this number, with the record that makes the one before; None: anywhere."""

    @abstractmethod
    def dump(self) -> Part:
        """A copy of what it has, as if all batches that were given had been applied; where it rests."""

    @abstractmethod
    def load(self, part: Part) -> None:
        """Take up what `dump` gave, behind `begin`. Raises ArgumentError, SourceError where it cannot go back."""

    @abstractmethod
    def forecast(self, arrivals: Arrivals, version: int, parameters: Array) -> None:
        """Make the forecasts of `arrivals` with the `parameters` of `version`."""

    @abstractmethod
    def applied(self, now: float | None = None) -> None:
        """The next of the batches has been applied, `now` by trio's clock; the trainer says so."""

    @abstractmethod
    def end(self) -> None:
        """The run is at its end; the trainer says so. Batches that it has not applied are dropped."""

    @abstractmethod
    def latency(self) -> dict[str, float] | None:
        """How long it takes from a label to the weights, see `Latency.report`."""

    @abstractmethod
    def report(self, *, settled: bool = False) -> dict[str, Any]:
        """What has become of the records so far; or, where `settled`, as if all batches given had been applied."""
