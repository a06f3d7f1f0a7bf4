"""Records as a source of a trainer: streams of many keys, one model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ...core.online.encoder import Encoder
from ...core.online.record_model import RecordModel, outputs_of
from ...core.optim.actions import LENGTH, REPLAY_RECENT, check_actions
from ..decoding.block import Block, Reject
from ..decoding.fields import Fields
from ..decoding.options import RecordOptions
from ..sources.journal import Journals
from .apart import ApartBlocks
from .asking import Asking
from .blocks import BlockSource, ItemBlocks
from .challenger import Challenge, Challenger, Promoted, Sizes
from .chunks import Packed
from .clock import RecordClock
from .contest import Contest
from .decisions import DRIFT, LEAD, Decision, DecisionLog
from .forecast import Forecast
from .forecasts import ForecastMaker
from .kept import KeptBlock, receive_all
from .key_table import KeyTable
from .latency import Latency
from .ledger import Ledger
from .live import Arrivals, LiveSource
from .merged import MergedBlocks
from .packer import Packer
from .pieces import Pieces
from .reception import Reception
from .record_lanes import RecordLanes
from .record_plan import RecordPlan
from .record_report import record_report
from .what_if import what_if

__all__ = ["Records"]


class Records(LiveSource):
    """What a `Trainer` learns from record after record, of many keys, each of which is a stream of its own.

    `records` is any iterable, async or not, of dicts, of lists of them, or of frames (dicts of arrays, or those of
    pandas or polars), or one frame. The other arguments are those of `recurrio.pipeline.lanes.record_plan.RecordPlan`,
    beginning with ``features`` and ``target`` or ``label``. `on_forecasts` is told of forecasts, `on_reject` of records
    that cannot be used, and `on_warning` of what looks wrong with the others. `decisions` are those that the clock took
    in another run, in its place. `challengers` are models that learn beside that of the trainer, and whose forecasts
    take the place of its own where they are better: see `recurrio.pipeline.lanes.contest`.

    ``soon`` is whether questions are to be answered within some 45 ms, as once somebody has asked: it costs some speed.
    Iterated over again, it goes on. Raises ArgumentError.
    """

    def __init__(
        self,
        records: object,
        *,
        on_forecasts: Callable[[Forecast], None] | None = None,
        on_reject: Callable[[Reject], None] | None = None,
        on_warning: Callable[[str], None] | None = None,
        decisions: Iterable[Decision] | None = None,
        options: RecordOptions | None = None,
        challengers: Sequence[Challenge] = (),
        _source: Callable[[Fields], BlockSource] | None = None,
        _journals: Journals | None = None,
        **arguments: Any,  # noqa: ANN401 (those of RecordPlan)
    ) -> None:
        self.plan = plan = RecordPlan(**arguments)
        self._challenges = tuple(challengers)
        if self._challenges and not plan.forecasts:
            raise ArgumentError("challengers", "none where there are no forecasts", self._challenges[0].name)
        self._contest: Contest | None = None
        self._latency = Latency()
        self._clock = RecordClock(**plan.waits)
        read = Fields.of(plan.schema, plan.id)
        self._source = ItemBlocks(records, read, options or RecordOptions()) if _source is None else _source(read)
        if self._clock.decides and isinstance(self._source, ItemBlocks) and not self._source.can_wait:
            name, value = next(pair for pair in plan.waits.items() if pair[1] is not None)
            raise ArgumentError(name, "none where records come from an async iterable", value)
        self.encoder = Encoder(plan.schema, plan.keys if plan.per_key else 0)
        self.on_forecasts, self.soon = on_forecasts, False
        self.before_more: Callable[[], Awaitable[object]] | None = None  # is waited for before more is taken in
        self.on_reject, self.on_warning = on_reject, on_warning
        self.log = DecisionLog(decisions, journal=None if _journals is None else _journals.decisions)
        self.ledger = Ledger()
        self._lanes: RecordLanes | None = None
        self._maker: ForecastMaker | None = None
        self._shards = 1
        self._actions: tuple[str, ...] = ()  # that are to be done with the next batch
        self._pieces: Pieces | None = None
        self._asking: Asking | None = None
        self._offset = 0  # batches that its trainer had before those of these records
        self._reception = Reception(self._source, read, self.ledger, self._reject, self._warn)

    @property
    def largest(self) -> tuple[int, int]:
        """The steps T and the lanes B of the largest batch."""
        return self.plan.steps, self.plan.batch_size + self.plan.replay

    @property
    def keys(self) -> tuple[int, int]:
        """See `LiveSource`."""
        return self.plan.keys + self.plan.replay, self.plan.replay

    @property
    def rows(self) -> int:
        """How many rows of the table of keys were ever in use, the first ones."""
        return 0 if self._lanes is None else len(self._lanes.names)

    def model(self, *, hidden_size: int = 32, **options: Any) -> SequenceModel:  # noqa: ANN401 (those of the model)
        """A new `SequenceModel` for these records; `options` are its arguments."""
        given = {"loss": self.plan.loss, "hidden_size": hidden_size, **options}
        outputs = outputs_of(self.encoder, given["loss"])
        return SequenceModel(input_size=self.encoder.input_size, output_size=outputs, **given)

    def trained(self, model: SequenceModel) -> RecordModel:
        """`model` with what was learned of the records that it has been trained on, to be saved.

        Where a challenger leads, it is that one, as it is now.
        """
        if self._contest is not None and self._contest.leader:
            return Promoted(self._contest.challengers[self._contest.leader - 1], self.encoder, self.ledger.learned)
        return RecordModel(model, self.encoder, self.ledger.learned)

    async def receive_all(self) -> Block:
        """What the source brings until its end, for `again`; nothing is learned of it. Raises SourceError."""
        return await receive_all(self._source, Fields.of(self.plan.schema, self.plan.id))

    def again(self, block: Block) -> Records:
        """New records, those of `block`, which are read by the same plan; of them the clock decides nothing."""
        given = {each.name: getattr(self.plan, each.name) for each in fields(self.plan) if each.init}
        kept = KeptBlock(block, self._source.name, self._source.seen)
        return Records((), decisions=(), challengers=self._challenges, _source=lambda _: kept, **given)

    def begin(self, model: SequenceModel, shards: int, number: int = 0) -> None:
        """See `LiveSource`. Raises ArgumentError."""
        plan = self.plan
        if self._lanes is None:
            self.trained(model)  # or an error
            plan.check_loss(model.network.loss)
            sizes = {"seq_len": plan.steps, "batch_size": plan.batch_size, "keys": plan.keys, "shards": shards}
            sizes |= {"replay": plan.replay, "seed": plan.seed}
            stride = plan.stride if model.network.stack.directions == 1 else plan.steps
            packer = Packer(self.encoder, dtype=model.dtype, **sizes, stride=stride)
            self._shards, self.copies = shards, [packer.steps.copies]
            names = ("patience", "max_gap", "season", "forecasts", "waiting")
            how = {name: getattr(plan, name) for name in names} | {"log": self.log, "on_leave": self._leave}
            self._lanes = RecordLanes(self.encoder, KeyTable(plan.keys, shards), packer, **how)
            if isinstance(self._source, ApartBlocks) and not self._clock.lets_go and not self.log.replays:
                self._source.share(self._lanes.table)
            if isinstance(self._source, MergedBlocks) and self._lanes.later is not None:
                self._source.balance(self._lanes.later.waiting)
            if plan.forecasts:
                self._begin_forecasts(model, shards, self._lanes.names)
            self._asking = Asking(self._lanes, lambda: self.soon)
            parts = self._source, self._lanes, self._clock, self._reception, self.ledger
            self._pieces = Pieces(*parts, on_rest=self._asking.answer)
        elif shards != self._shards:
            raise ArgumentError("shards", f"{self._shards}, as in the run before", shards)
        assert self._pieces is not None
        self._offset = number - self._pieces.given

    def _begin_forecasts(self, model: SequenceModel, shards: int, names: list[str]) -> None:
        plan = self.plan
        how: dict[str, Any] = {"encoder": self.encoder, "keys": plan.keys, "names": names, "naive": plan.naive}
        how |= {"later": plan.waiting is not None, "alarm": plan.alarm, "drift": plan.drift}
        make: Callable[..., ForecastMaker] = partial(ForecastMaker, **how)
        self._maker = make(model, hears=lambda: self.on_forecasts, warn=self._warn, on_drift=self._drifted)
        self.copies.append(self._maker.forecaster.copies)
        if self._challenges:
            parts = Sizes(shards, self.largest, self.keys), plan.actions, make
            found = [Challenger(each, self.model(**each.model), *parts) for each in self._challenges]
            self._contest = Contest(self._maker, found, lambda: self.on_forecasts, self._leads)

    def __aiter__(self) -> Records:
        return self

    async def __anext__(self) -> SequenceBatch | Arrivals:
        if self._pieces is None:
            raise RuntimeError("records are for Trainer.run, which says how they are to be divided")
        while (item := self.ready()) is None:
            if self._asking is not None:
                self._asking.answer()
            if self.before_more is not None:
                await self.before_more()
            if not await self._pieces.more():
                raise StopAsyncIteration
        return item

    def ready(self) -> SequenceBatch | Arrivals | None:
        """See `LiveSource`."""
        item = None if self._pieces is None else self._pieces.ready()
        if not isinstance(item, Packed):
            return item
        self.ledger.pack(item)
        if self._contest is not None:
            self._contest.learn(item.batch)
        actions, self._actions = self._actions, ()
        if REPLAY_RECENT in actions and self._lanes is not None and self._pieces is not None:
            self._lanes.packer.replay_recent(self._pieces.given + LENGTH)
        return item.batch._replace(actions=actions) if actions else item.batch

    def key_of(self, row: int) -> str | None:
        """See `LiveSource`."""
        return None if self._lanes is None or row >= len(self._lanes.names) else self._lanes.names[row]

    @property
    def rests(self) -> bool:
        """See `LiveSource`."""
        return self._pieces is not None and self._pieces.rests

    @property
    def done(self) -> bool:
        """See `LiveSource`."""
        return self._pieces is None or self._pieces.done

    def rest_at(self, number: int | None) -> None:
        """See `LiveSource`."""
        assert self._lanes is not None
        self._lanes.due = None if number is None else number - self._offset

    def dump(self) -> Part:
        """See `LiveSource`."""
        lanes, maker, pieces = self._lanes, self._maker, self._pieces
        assert lanes is not None
        assert pieces is not None
        parts = {"lanes": lanes.dump(), "encoder": self.encoder.dump(), "ledger": self.ledger.dump()}
        if maker is not None:
            slots = () if lanes.later is None else lanes.later.waiting.live()
            parts["forecasts"] = maker.dump(len(lanes.names), slots)
        if self._contest is not None:
            slots = [] if lanes.later is None else [*lanes.later.waiting.live()]
            parts["contest"] = self._contest.dump(len(lanes.names), slots)
        parts |= {"reception": self._reception.dump()}
        about = {"pieces": pieces.dump(), "given": pieces.given, "log": self.log.dump(), "actions": [*self._actions]}
        return Part.of(about, **parts)

    def load(self, part: Part) -> None:
        """See `LiveSource`."""
        lanes, maker, pieces = self._lanes, self._maker, self._pieces
        assert lanes is not None
        assert pieces is not None
        lanes.load(part.part("lanes"))
        self.encoder.load(part.part("encoder"))
        self.ledger.load(part.part("ledger"))
        if maker is not None:
            maker.load(part.part("forecasts"), len(lanes.names))
        if self._contest is not None:
            self._contest.load(part.part("contest"), len(lanes.names))
        self._reception.load(part.part("reception"))
        turns = self.log.load(part.about["log"])
        pieces.load(part.about["pieces"])
        if isinstance(self._source, ApartBlocks) and self.log.replays:
            self._source.share(None)  # what was decided comes between the records: their keys are found one by one
        if isinstance(self._source, MergedBlocks):  # from the source whose turn it was then
            self._source.repeat(turns, lanes.items)
        self._actions = check_actions(part.about["actions"])
        pieces.given = check_count("given", part.about["given"], 0)
        if self._asking is not None:
            self._asking.load()

    def forecast(self, arrivals: Arrivals, version: int, parameters: Array) -> None:
        """Make the forecasts of `arrivals` with the `parameters` of `version`."""
        maker = self._contest or self._maker
        assert maker is not None
        maker.forecast(arrivals, version, parameters)
        if self._asking is not None:
            self._asking.forecast(arrivals)

    def ask(self, question: Callable[[], None]) -> None:
        """Call `question` when all records that came have been forecast, where `suppose` can be asked; see `Asking`.

        Raises ArgumentError where no run has begun.
        """
        if self._asking is None:
            raise ArgumentError("records", "those of a run that has begun", "none")
        self.soon = True
        self._asking.ask(question, rests=self.rests)

    def suppose(self, items: Sequence[Mapping[str, Any]], version: int, parameters: Array) -> tuple[Forecast, Block]:
        """See `what_if`, with the newest `version` of the model; it is for where the records rest."""
        return what_if(self.plan, self._lanes, self._maker, self._contest, items, version, parameters)

    def _drifted(self, record: int) -> None:
        """There is a drift with this record; what is to be done is done with the next batch."""
        self.log.note(Decision(record, DRIFT, 0))
        self._actions = self.plan.actions
        done = f": {', '.join(self._actions)}" if self._actions else ""
        self._warn(f"record {record:,}: forecasts have become worse ({self.plan.drift}){done}")

    def _leads(self, record: int, leader: int) -> None:
        """From this record on forecasts are those of another model."""
        assert self._contest is not None
        self.log.note(Decision(record, LEAD, leader))
        self._warn(f"record {record:,}: {self._contest.names[leader]} forecasts better, and leads from here on")

    def _reject(self, reject: Reject) -> None:
        if self.on_reject is not None:
            self.on_reject(reject)

    def _warn(self, text: str) -> None:
        if self.on_warning is not None:
            self.on_warning(text)

    def _leave(self, rows: Array, unlabelled: int) -> None:
        self.ledger.unlabelled += unlabelled
        if self._lanes is not None:
            self._reception.look_at_keys(self._lanes)
        if self._maker is not None:
            self._maker.forget(rows)
        if self._contest is not None:
            self._contest.forget(rows)

    def applied(self, now: float | None = None) -> None:
        """The next of the batches has been applied, `now` by trio's clock; the trainer says so."""
        came = self.ledger.apply()
        if came is not None and now is not None:
            self._latency.add(came, now)

    def latency(self) -> dict[str, float] | None:
        """How long it takes from when a label was read to the weights, in seconds: ``p50``, ``p99`` of the last 8,192.

        None where that means nothing, as of a file.
        """
        return self._latency.report()

    def end(self) -> None:
        """The run is at its end; the trainer says so. Batches that it has not applied are dropped."""
        self.ledger.drop()
        if self._maker is not None:
            self._maker.look_at_scales()

    def report(self, *, settled: bool = False) -> dict[str, Any]:
        """See `record_report`."""
        maker = self._contest or self._maker
        given = self._source, self.ledger, self.encoder, self._reception.missing, self._lanes, maker
        return record_report(*given, settled=settled)
