"""The encoder: from the fields of records to what a model reads, and from its outputs to the units of the targets."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_array, check_number
from ..base.copies import owned
from ..base.parameters import Array
from ..base.state import Part
from .calendar import COLUMNS, Calendar, calendar
from .categories import MISSING, OTHER, Categories
from .centre import CHOSEN, Centre
from .keyed_standardise import KeyedStandardiser
from .learned import Learned
from .schema import Schema
from .standardise import Standardiser, scaled

__all__ = ["Encoder", "Scales"]


class Scales(NamedTuple):
    """What n records are scaled by: ``mean`` and ``deviation`` ``(n, columns)``, ``weight`` ``(n,)`` of the calendar.

    ``chosen`` ``(n, …, 4)`` is what their centres are, see `recurrio.core.online.centre`.
    """

    mean: Array
    deviation: Array
    weight: Array
    chosen: Array

    def take(self, places: Array) -> Scales:
        """Those of the records at these `places`."""
        return Scales(*[array[places] for array in self])


class Encoder:
    """How the records of `schema` are read: the scales of their numbers, and the tables of categories and classes.

    What it learns it learns as records come, each being scaled by what came before it; where not `learns`, nothing
    changes any more. With `keys` rows of a table the scales are those of each key. A record is kept *compact*
    ``(C,)`` float32: its scaled numbers (NaN where missing), with a time also the scaled logarithm of the seconds since
    the last record of its key, and the calendar; then the number of each category. `expand` makes the ``input_size``
    inputs of it: each scaled number, 0 where it is missing, and whether it is; the calendar; and for each category
    one input a value, which is 1 for its own.

    The *columns* that are scaled ``(n, columns)`` float64 are ``schema.numbers``, the logarithm of the step if there is
    a time, and for each target ahead how far it was from the centre of its forecast, in its unit. ``said`` is which
    column each target is.
    """

    def __init__(self, schema: Schema, keys: int = 0, *, clip: float = 5.0) -> None:
        self.schema, self.keys, self.learns = schema, keys, True
        self._fixed: Scales | None = None  # of one record, where nothing is learned any more
        timed, numbers = schema.time is not None, list(schema.numbers)
        self._inputs = [numbers.index(feature.name) for feature in schema.features if not feature.category]
        self.fields = len(numbers)
        self.ahead = [index for index, target in enumerate(schema.targets) if target.horizon]
        self.columns = len(numbers) + timed + len(self.ahead)
        self._inputs += range(len(numbers), self.columns)
        self.places = [numbers.index(target.name) for target in schema.targets]  # of the targets among the numbers
        self.scaler: Standardiser | KeyedStandardiser = (
            KeyedStandardiser(self.columns, keys, clip=clip) if keys else Standardiser(self.columns, clip=clip)
        )
        self.centre = Centre([schema.targets[index].horizon for index in self.ahead], keys)
        self.categories = [Categories(schema.max_categories) for _ in schema.categories]
        self.classes = Categories(schema.max_classes - 1)
        ahead = self.columns - len(self.ahead)
        self.said = [ahead + self.ahead.index(j) if j in self.ahead else at for j, at in enumerate(self.places)]
        self._calendar = COLUMNS * timed
        self._weight = Calendar([target.horizon for target in schema.targets]) if timed else None
        self.compact_size = len(self._inputs) + self._calendar + len(self.categories)
        self.input_size = 2 * len(self._inputs) + self._calendar + (schema.max_categories + 1) * len(self.categories)
        self.output_size = len(schema.targets) or schema.max_classes

    @property
    def clip(self) -> float:
        """How many deviations a scaled number has at most."""
        return self.scaler.clip

    def take(self, rows: Array) -> Encoder:
        """One that reads records as the next ones are read here; what it learns of them stays with it.

        With scales of each key it is for the keys in these `rows`, in their order, of which −1 is a new one.
        """
        found = copy(self)
        found.learns, found.centre = False, self.centre.take(rows)
        found._weight = None if self._weight is None else owned(self._weight)
        if isinstance(self.scaler, KeyedStandardiser):
            found.keys, found.scaler = max(1, len(rows)), self.scaler.take(rows)
        else:
            found.scaler = owned(self.scaler)
        return found

    def scale(self, values: Array, rows: Array, days: Array | None = None, chosen: Array | None = None) -> Scales:
        """What the `values` ``(n, columns)`` of the records, in the `rows` of their keys, are to be scaled by.

        The weight of the calendar is 1 where `days`, see `days`, are not given. `chosen` is what `centre` gave.
        """
        n, fixed = len(values), self._fixed
        chosen = np.zeros((n, 0, CHOSEN)) if chosen is None else chosen
        if isinstance(self.scaler, KeyedStandardiser):
            mean, deviation = self.scaler.scale(values, rows)
        elif fixed is None:
            mean, deviation = self.scaler.scale(values)
        else:
            mean, deviation = (np.broadcast_to(array, values.shape) for array in fixed[:2])
        if fixed is not None:
            return Scales(mean, deviation, np.broadcast_to(fixed.weight, n), chosen)
        if days is None or self._weight is None:
            return Scales(mean, deviation, np.broadcast_to(1.0, n), chosen)
        said = self.said
        z = scaled(values[:, said], mean[:, said], deviation[:, said], self.clip)
        return Scales(mean, deviation, self._weight.weigh(days, z), chosen)

    def days(self, times: Array | None) -> Array | None:
        """See `recurrio.core.online.calendar`; None where records have no `times`."""
        return None if times is None else calendar(times)

    def compact(self, values: Array, scales: Scales, days: Array | None, categories: list[list[str | None]]) -> Array:
        """What is kept of the records, see the class."""
        n, used = len(values), self._inputs
        found = np.empty((n, self.compact_size), np.float32)
        found[:, : len(used)] = scaled(values, scales.mean, scales.deviation, self.clip)[:, used]
        at = len(used)
        if days is not None:
            np.multiply(days, scales.weight[:, None], found[:, at : at + COLUMNS], casting="unsafe")
            at += COLUMNS
        for table, texts in zip(self.categories, categories, strict=True):
            found[:, at] = table.encode(texts, learns=self.learns)
            at += 1
        return found

    def class_numbers(self, labels: list[str | None]) -> Array:
        """The classes ``(n,)`` float64 of `labels` by the order of first sight, NaN where missing; others the last."""
        numbers = self.classes.encode(labels, learns=self.learns)
        found = np.where(numbers == OTHER, self.schema.max_classes - 1.0, numbers - 1.0)
        found[numbers == MISSING] = np.nan
        return found

    def class_name(self, number: int) -> str:
        """The label of a class; ``other`` of those beyond the table."""
        texts = self.classes.texts
        return texts[number] if number < len(texts) else "other"

    @property
    def known_classes(self) -> int:
        """How many classes there are, the first ones; all, where some were beyond the table."""
        return self.schema.max_classes if self.classes.other else len(self.classes)

    def expand(self, compact: Array, dtype: np.dtype) -> Array:
        """The inputs ``(…, I)`` of compact records ``(…, C)``."""
        numbers, calendar = len(self._inputs), self._calendar
        found = np.zeros((*compact.shape[:-1], self.input_size), dtype)
        given = compact[..., :numbers]
        missing = np.isnan(given)
        np.copyto(found[..., :numbers], given, where=~missing)
        found[..., numbers : 2 * numbers] = missing
        if calendar:
            found[..., 2 * numbers : 2 * numbers + calendar] = compact[..., numbers : numbers + calendar]
        at, width = 2 * numbers + calendar, self.schema.max_categories + 1
        for index in range(len(self.categories)):
            number = compact[..., numbers + calendar + index, None]
            found[..., at : at + width] = number == np.arange(width)
            at += width
        return found

    def texts(self, learned: Learned) -> dict[str, Any]:
        """The tables of categories and classes as they were, as JSON."""
        known = zip(self.categories, learned.known, learned.others, strict=True)
        classes = min(learned.classes, len(self.classes))
        return {
            "categories": [{"texts": table.texts[:count], "others": others} for table, count, others in known],
            "classes": {"texts": self.classes.texts[:classes], "others": learned.classes > classes},
        }

    def fix(self, learned: Learned, tables: Mapping[str, Any]) -> None:
        """Learn no more: scale by what was `learned`, unless each key has scales of its own.

        `tables` are what `texts` gave. Raises ArgumentError where they do not fit.
        """
        self.learns, nothing = False, np.zeros(0)
        mean, deviation = (nothing if part is None else part for part in (learned.mean, learned.deviation))
        if not self.keys:
            for name, array in (("mean", mean), ("deviation", deviation)):
                check_array(name, array, (self.columns,), np.dtype(np.float64))
            assert learned.chosen is not None
            self.centre.fix(learned.chosen)
        weight = np.array(check_number("calendar", learned.weight, 0, 1))
        self._fixed = Scales(mean, deviation, weight, np.zeros((0, CHOSEN)))
        if len(tables["categories"]) != len(self.categories):
            raise ArgumentError("categories", f"{len(self.categories)} tables", len(tables["categories"]))
        for table, state in zip(
            (*self.categories, self.classes), (*tables["categories"], tables["classes"]), strict=True
        ):
            table.load({"most": table.most, "texts": state["texts"], "other": int(state["others"])})

    def dump(self) -> Part:
        """All that has been learned, with what is still to be taken in."""
        tables = {"categories": [table.dump() for table in self.categories], "classes": self.classes.dump()}
        weight = {} if self._weight is None else {"weight": self._weight.dump()}
        return Part.of(tables, scaler=self.scaler.dump(), centre=self.centre.dump(), **weight)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError where it does not fit."""
        about = part.about
        if len(about["categories"]) != len(self.categories):
            raise ArgumentError("categories", f"{len(self.categories)} tables", len(about["categories"]))
        self.scaler.load(part.part("scaler"))
        self.centre.load(part.part("centre"))
        if self._weight is not None:
            self._weight.load(part.part("weight"))
        for table, state in zip(
            (*self.categories, self.classes), (*about["categories"], about["classes"]), strict=True
        ):
            table.load(state)
