"""The schema of records: which of their fields a model reads, and what it is to say of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..base.checks import ArgumentError, check_count

__all__ = ["MOST_AHEAD", "Feature", "Schema", "Target"]

CATEGORY = ":category"
AHEAD = re.compile(r"(?s)(.+)@\+([0-9]+)")
MOST_AHEAD = 100_000  # steps; each key keeps as many records
LARGEST = 10_000  # values of a table; each is an input or an output of the model


class Feature(NamedTuple):
    """An input: the number, or with `category` the text, in the field `name`."""

    name: str
    category: bool = False

    def __str__(self) -> str:
        return self.name + CATEGORY * self.category


class Target(NamedTuple):
    """A number to forecast: that in the field `name`, `horizon` records of the same key ahead; 0 is the same record."""

    name: str
    horizon: int = 0

    def __str__(self) -> str:
        return f"{self.name}@+{self.horizon}" if self.horizon else self.name


@dataclass(frozen=True)
class Schema:
    """What of a record is used: `features` in, `targets` or one `label` (a class) out.

    `key` names the field that says which stream a record is of, None where all are of one. `time` names that of its
    time. A category has up to `max_categories` values, a label up to `max_classes`, each with one more for all others.
    Raises ArgumentError, also where the answer is among the inputs.
    """

    features: tuple[Feature, ...]
    targets: tuple[Target, ...] = ()
    label: str | None = None
    key: str | None = None
    time: str | None = None
    max_categories: int = 32
    max_classes: int = 64

    @classmethod
    def of(
        cls,
        features: str | Iterable[str],
        target: str | Iterable[str] = (),
        label: str | None = None,
        key: str | None = None,
        time: str | None = None,
        **bounds: int,
    ) -> Schema:
        """The schema that is written so: features ``"a,b,c:category"``, targets ``"x@+1,y"``, or lists of these."""
        return cls(
            tuple([_feature(text) for text in _names("features", features)]),
            tuple([_target(text) for text in _names("target", target)]),
            label,
            key,
            time,
            **bounds,
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_categories", check_count("max_categories", self.max_categories, 1, LARGEST))
        object.__setattr__(self, "max_classes", check_count("max_classes", self.max_classes, 2, LARGEST))
        for argument in ("key", "label", "time"):
            if getattr(self, argument) == "":
                raise ArgumentError(argument, "the name of a field", repr(""))
        if not self.features:
            raise ArgumentError("features", "at least one field", "none")
        if bool(self.targets) == (self.label is not None):
            raise ArgumentError("target", "either a target or a label", "both" if self.targets else "neither")
        for argument, parts in (("features", [f.name for f in self.features]), ("target", [*map(str, self.targets)])):
            if twice := [part for part in parts if parts.count(part) > 1]:
                raise ArgumentError(argument, "each field once", twice[0])
        ahead = {target.name for target in self.targets if target.horizon}
        if both := [target.name for target in self.targets if not target.horizon and target.name in ahead]:
            expected = f"either {both[0]} of the same record, or of later ones, for which it is known"
            raise ArgumentError("target", expected, "both")
        inputs = {feature.name: feature for feature in self.features}
        for target in self.targets:
            if not target.horizon and target.name in inputs:
                expected = f"a field that is not among the features (or {target.name}@+1, its next value)"
                raise ArgumentError("target", expected, target.name)
            if target.name in inputs and inputs[target.name].category:
                raise ArgumentError("target", "a number", f"{target.name}{CATEGORY}")
        if self.label in inputs:
            raise ArgumentError("label", "a field that is not among the features", self.label)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The fields that are numbers: features first, then those that are targets alone."""
        names = [feature.name for feature in self.features if not feature.category]
        return tuple(dict.fromkeys([*names, *(target.name for target in self.targets)]))

    @property
    def categories(self) -> tuple[str, ...]:
        """The features that are categories."""
        return tuple([feature.name for feature in self.features if feature.category])

    @property
    def horizon(self) -> int:
        """How many records of its key later the last target of a record is known."""
        return max((target.horizon for target in self.targets), default=0)

    @property
    def config(self) -> dict[str, Any]:
        """The schema as plain JSON, the arguments of `of`."""
        return {
            "features": [f.name + CATEGORY * f.category for f in self.features],
            "target": [str(target) for target in self.targets],
            "label": self.label,
            "key": self.key,
            "time": self.time,
            "max_categories": self.max_categories,
            "max_classes": self.max_classes,
        }


def _names(argument: str, given: str | Iterable[str]) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else list(given)
    if not all(isinstance(part, str) and part for part in parts):
        raise ArgumentError(argument, "names of fields, with a comma between", repr(given))
    return parts


def _feature(text: str) -> Feature:
    if text.endswith(CATEGORY) and text != CATEGORY:
        return Feature(text.removesuffix(CATEGORY), True)
    return Feature(text)


def _target(text: str) -> Target:
    found = AHEAD.fullmatch(text)
    if found is None:
        return Target(text)
    return Target(found[1], check_count("target", int(found[2]), 1, MOST_AHEAD))
