"""A model of records as a graph: fields of records in their own units in, forecasts in those of the targets out.

The equations are those of `Encoder`, `Centre` and `Labeller`, for scales that stay as they are. What these remember of
a key, its last time and the last values of its targets, are states of the graph, as those of the layers are.
Letters: N numbers of a record, F targets, A of them ahead, H the horizon of the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.base.parameters import Array
from ...core.losses import IntervalLoss
from ...core.online.calendar import COLUMNS, DAILY, DAY, MONDAY, WEEK
from ...core.online.centre import WIDE
from ...core.online.encoder import Encoder
from ...core.online.learned import Learned
from ...core.online.record_model import RecordModel
from ..lanes.time_steps import LONGEST
from .error import ExportError
from .graph import Graph
from .network import add_network

if TYPE_CHECKING:
    import onnx

__all__ = ["records_graph"]

ABOUT = """A model of records, trained by Recurrio.

Of B keys T records each go in, in their order, in their own units, and a forecast for each comes out. What is known of
a key is in its states: each output NAME_next is the input NAME of the next call; a new key begins with what the
metadata `states` say. NaN is a number that is missing. The other metadata have the names of columns and the tables of
categories and classes."""
NUMBERS = "{}; NaN is missing"
CATEGORIES = "{}: the place in its table in the metadata, from 1; 0 is any other text, and -1 is missing"
TIME = "{}: seconds since 1970"


def records_graph(trained: RecordModel) -> onnx.ModelProto:
    """The graph of `trained`. Raises ExportError."""
    encoder, learned = trained.encoder, trained.learned
    if encoder.keys:
        raise ExportError("--per-key: cannot be exported, as the scales of keys are not in the model's file")
    if learned is None:
        raise ExportError("the scales: cannot be exported, as nothing was learned of any record")
    if encoder.schema.label is not None and not learned.classes:
        raise ExportError("the label: cannot be exported, as no class was seen")
    return _RecordGraph(trained, encoder, learned).build()


class _Moves(NamedTuple):
    """How last values become centres and units: vectors, see `recurrio.core.online.centre`."""

    pull: Array
    origin: Array
    level: Array
    power: Array


class _RecordGraph:
    """The parts of the graph of one model, in the order in which a record goes through them."""

    def __init__(self, trained: RecordModel, encoder: Encoder, learned: Learned) -> None:
        assert learned.mean is not None
        assert learned.deviation is not None
        assert learned.chosen is not None
        self._graph, self._model, self._encoder, self._learned = Graph(), trained.model, encoder, learned
        self._mean, self._deviation, self._chosen = learned.mean, learned.deviation, learned.chosen
        self._schema = encoder.schema
        self._targets = self._schema.targets
        self._ahead = [self._targets[j] for j in encoder.ahead]
        answers = {target.name for target in self._targets if not target.horizon}
        self._numbers = [name for name in self._schema.numbers if name not in answers]

    def build(self) -> onnx.ModelProto:
        """All of it."""
        graph, schema = self._graph, self._schema
        numbers = ""
        if self._numbers:
            shape = "B", "T", len(self._numbers)
            numbers = graph.input("numbers", np.float64, shape, NUMBERS.format(", ".join(self._numbers)))
        inputs, scaled = list[str](), list[str]()
        if count := sum(not feature.category for feature in schema.features):
            scaled.append(graph.pick(numbers, range(count)))
        if schema.time is not None:
            time = graph.input("time", np.float64, ("B", "T"), TIME.format(schema.time))
            scaled.append(self._step(time))
            inputs.append(self._calendar(time))
        known = ""
        if self._ahead:
            known, distance = self._history(numbers)
            scaled.append(distance)
        if scaled:
            columns = [*range(count), *range(self._encoder.fields, self._encoder.columns)]
            inputs = [*self._scaled(scaled, columns), *inputs]
        if schema.categories:
            inputs.append(self._categories())
        outputs = add_network(graph, self._model, graph("Concat", *inputs, axis=2))
        self._say(graph.cast(outputs, np.float64), known)
        tables = self._encoder.texts(self._learned)
        names = zip(schema.categories, tables["categories"], strict=True)
        metadata = {
            "schema": schema.config,
            "numbers": self._numbers,
            "categories": {name: table["texts"] for name, table in names},
            "targets": [str(target) for target in self._targets],
            "classes": [self._encoder.class_name(number) for number in range(self._learned.classes)],
        }
        return graph.model(ABOUT, metadata)

    def _step(self, time: str) -> str:
        """The logarithm of the seconds since the last record of the key ``(B, T, 1)``."""
        graph, name = self._graph, "last_time"
        about = "the time of the last record of the key"
        times = graph("Concat", graph.state(name, np.float64, ("B", 1), "NaN", about), time, axis=1)
        graph.carry(name, graph.cut(times, 1, -1))
        step = graph.limit(graph("Sub", time, graph.cut(times, 1, 0, -1)), 0.0, LONGEST)
        found = graph("Log", graph("Add", step, graph.constant(1.0)))
        return graph("Unsqueeze", found, graph.constant([2], np.int64))

    def _calendar(self, time: str) -> str:
        """The columns ``(B, T, 14)`` of `recurrio.core.online.calendar`, with their weight; cos x is sin(x + π/2)."""
        graph, column = self._graph, np.arange(COLUMNS)
        of_day = column < DAILY
        period = np.where(of_day, DAY, WEEK)
        since = graph("Unsqueeze", time, graph.constant([2], np.int64))
        since = graph("Sub", since, graph.constant(np.where(of_day, 0.0, MONDAY)))
        turns = graph("Div", since, graph.constant(period))
        turns = graph("Sub", turns, graph("Floor", turns))
        often = 2 * np.pi * np.where(of_day, column // 2 + 1, 1)
        angle = graph("Add", graph("Mul", turns, graph.constant(often)), graph.constant(np.pi / 2 * (column % 2)))
        weighted = graph("Mul", graph("Sin", angle), graph.constant(self._learned.weight, np.float64))
        return graph.cast(weighted, np.float32)

    def _history(self, numbers: str) -> tuple[str, str]:
        """The last known values of the targets ahead, and how far these are from the centres of their forecasts.

        Both are ``(B, T, A)``; a distance is missing where the value is, or was when it was forecast.
        """
        graph, most, name = self._graph, self._schema.horizon, "history"
        names = ", ".join(target.name for target in self._ahead)
        about = f"the last known values of {names} with each of the last {most} records of the key"
        past = graph.state(name, np.float64, ("B", most, len(self._ahead)), "NaN", about)
        now = graph.pick(numbers, [self._numbers.index(target.name) for target in self._ahead])
        last = graph("Squeeze", graph.cut(past, 1, -1), graph.constant([1], np.int64))
        known = graph.last_known(now, last)
        course = graph("Concat", past, known, axis=1)
        graph.carry(name, graph.cut(course, 1, -most))
        before = [
            graph.pick(graph.cut(course, 1, most - target.horizon, -target.horizon), [place])
            for place, target in enumerate(self._ahead)
        ]
        centre, unit = self._centre(graph("Concat", *before, axis=2), _Moves(*self._chosen.T))
        return known, graph("Div", graph("Sub", now, centre), unit)

    def _centre(self, values: str, moves: _Moves) -> tuple[str, str]:
        """The centres and units for the last `values`; NaN and 1 where there are none."""
        graph, constant = self._graph, self._graph.constant
        away = graph("Mul", constant(moves.pull), graph("Sub", values, constant(moves.origin)))
        centre = graph("Sub", graph("Add", values, constant(moves.level - moves.origin)), away)
        origin = np.where(moves.origin == 0, np.nan, moves.origin)
        size = graph.limit(graph("Abs", graph("Div", values, constant(origin))), 1 / WIDE, WIDE)
        size = graph("Where", graph("IsNaN", size), constant(1.0), size)
        return centre, graph("Pow", size, constant(moves.power))

    def _scaled(self, parts: list[str], columns: list[int]) -> tuple[str, str]:
        """The scaled numbers, 0 where they are missing, and whether they are, both float32."""
        graph, clip = self._graph, self._encoder.clip
        mean, deviation = self._mean[columns], self._deviation[columns]
        away = graph("Sub", graph("Concat", *parts, axis=2), graph.constant(mean))
        z = graph("Div", away, graph.constant(np.where(deviation > 0, deviation, 1.0)))
        missing = graph("IsNaN", z)
        z = graph("Where", missing, graph.constant(0.0), graph.limit(z, -clip, clip))
        return graph.cast(z, np.float32), graph.cast(missing, np.float32)

    def _categories(self) -> str:
        """For each category one input a value, which is 1 for its own."""
        graph, names, width = self._graph, self._schema.categories, self._schema.max_categories + 1
        shape = "B", "T", len(names)
        numbers = graph.input("categories", np.int64, shape, CATEGORIES.format(", ".join(names)))
        numbers = graph("Unsqueeze", numbers, graph.constant([3], np.int64))
        own = graph.cast(graph("Equal", numbers, graph.constant(np.arange(width), np.int64)), np.float32)
        return graph("Reshape", own, graph.constant([0, 0, len(names) * width], np.int64))

    def _say(self, outputs: str, known: str) -> None:
        """From `outputs` float64 to what the graph says; `known` are the last known values of the targets ahead."""
        graph = self._graph
        if self._schema.label is not None:
            classes = self._learned.classes
            logits = graph.cut(outputs, 2, 0, classes)
            best = graph("ArgMax", logits, axis=2, keepdims=0)
            graph.output("class", best, np.int64, ("B", "T"), f"{self._schema.label}: the place of the likeliest class")
            logs, about = graph("LogSoftmax", logits, axis=2), "ln p of each class"
            graph.output("log_probabilities", logs, np.float64, ("B", "T", classes), about)
            return
        centre, scale = self._scales(known)
        shape, names = ("B", "T", len(self._targets)), ", ".join(map(str, self._targets))

        def part(number: int, shift: float) -> str:
            said = graph.cut(outputs, 2, number * len(self._targets), (number + 1) * len(self._targets))
            return graph("Add", centre, graph("Mul", scale, graph("Add", said, graph.constant(shift))))

        forecast, loss = part(0, 0.0), self._model.network.loss
        graph.output("forecast", forecast, np.float64, shape, names)
        if isinstance(loss, IntervalLoss):
            for number, (name, sign, inner) in enumerate((("lower", -1, "Min"), ("upper", 1, "Max")), 1):
                about = f"the {name} bounds that the model says for {loss.interval:g}, which no truth has corrected"
                bound = graph(inner, forecast, part(number, sign * loss.shift))
                graph.output(name, bound, np.float64, shape, about)

    def _scales(self, known: str) -> tuple[str, str]:
        """The centre and the scale of each forecast: it is centre + scale · output."""
        graph, encoder, constant = self._graph, self._encoder, self._graph.constant
        level, spread = self._mean[encoder.places], self._deviation[encoder.places]
        same = np.array([not target.horizon for target in self._targets])
        level = np.where(same & ~(spread > 0), np.nan, level)  # of a number that never varied only the last is known
        if not self._ahead:
            return constant(level), constant(spread)
        of = [encoder.ahead.index(j) if j in encoder.ahead else 0 for j in range(len(same))]
        last = graph.pick(known, of)
        centre, unit = self._centre(last, _Moves(*self._chosen[of].T))
        none = graph("Or", graph("IsNaN", last), constant(same))
        centre = graph("Add", centre, graph("Mul", unit, constant(self._mean[encoder.said])))
        scale = graph("Mul", unit, constant(self._deviation[encoder.said]))
        return graph("Where", none, constant(level), centre), graph("Where", none, constant(spread), scale)
