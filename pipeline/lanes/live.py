"""A live source: records that are forecast as they come, and the batches that they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel

__all__ = ["Arrivals", "Arrived", "LiveSource"]


class Arrived(NamedTuple):
    """`n` records that came one behind the other, from the record `number` on, in that order.

    - ``rows`` ``(n,)``: of their keys in the table, or ``~row`` for the first of a key; ``times``: theirs, if any.
    - ``pos`` ``(n,)``: how many of its key came before each.
    - ``compact``, ``centre``, ``scale``, ``naive``, ``truth``: see `recurrio.pipeline.lanes.labels.Labelled`.
    - ``origin`` ``(n, F)``: which of these records its truth is about; −1 where it is an earlier one.
    - ``classes`` ``(n,)``: of a label, how many classes there were before each.
    """

    number: int
    rows: Array
    times: Array | None
    pos: Array
    compact: Array
    centre: Array
    scale: Array
    naive: Array
    truth: Array
    origin: Array
    classes: Array | None


class Arrivals(NamedTuple):
    """The records from `start` to before `stop` of those that have `arrived`: forecasts are to be made of them."""

    arrived: Arrived
    start: int
    stop: int


class LiveSource(ABC, AsyncIterator[SequenceBatch | Arrivals]):
    """What a run asks of records, and tells them; `recurrio.pipeline.lanes.records.Records` are one."""

    keys: int
    """Of how many keys there are states."""

    @property
    @abstractmethod
    def largest(self) -> tuple[int, int]:
        """The steps T and the lanes B of the largest batch."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows of the table of keys were ever in use, the first ones."""

    @abstractmethod
    def begin(self, model: SequenceModel, shards: int) -> None:
        """A run of `model`, with so many `shards`, is to begin; the trainer says so. Raises ArgumentError."""

    @abstractmethod
    def ready(self) -> SequenceBatch | Arrivals | None:
        """The next item, where nothing has to be waited for; None where something has, or it is the end."""

    @abstractmethod
    def forecast(self, arrivals: Arrivals, version: int, parameters: Array) -> None:
        """Make the forecasts of `arrivals` with the `parameters` of `version`."""

    @abstractmethod
    def applied(self) -> None:
        """The next of the batches has been applied; the trainer says so."""

    @abstractmethod
    def end(self) -> None:
        """The run is at its end; the trainer says so. Batches that it has not applied are dropped."""

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """What has become of the records so far."""
