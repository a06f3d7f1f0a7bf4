"""The fields of records that are read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...core.online.schema import Schema

__all__ = ["Fields"]


@dataclass(frozen=True)
class Fields:
    """The names of the fields of a record that are read, by what they are; None where there is none.

    `inputs` are the features that are numbers, `categories` those that are not; the answers are `targets`, numbers that
    may be among the inputs too, or one `label`. `id` names the field by which an answer that comes later, in a record
    of its own, finds its record.
    """

    inputs: tuple[str, ...]
    categories: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    label: str | None = None
    key: str | None = None
    time: str | None = None
    id: str | None = None

    @classmethod
    def of(cls, schema: Schema, id: str | None = None) -> Fields:
        """Those of `schema`."""
        return cls(
            tuple([feature.name for feature in schema.features if not feature.category]),
            schema.categories,
            tuple([target.name for target in schema.targets]),
            schema.label,
            schema.key,
            schema.time,
            id,
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those that are numbers, in the order of `Schema.numbers`: the inputs first."""
        return tuple(dict.fromkeys((*self.inputs, *self.targets)))

    @property
    def texts(self) -> tuple[str, ...]:
        """Those that are texts, in this order: categories, the label, the key, the id."""
        return (*self.categories, *(name for name in (self.label, self.key, self.id) if name is not None))

    @property
    def identifiers(self) -> dict[str, str]:
        """Those that are texts or whole numbers, and in each record; and what they are called: the key and the id."""
        return {name: what for name, what in ((self.id, "id"), (self.key, "key")) if name is not None}

    @property
    def all(self) -> set[str]:
        """All of them."""
        return {name for name in (*self.numbers, *self.texts, self.time) if name is not None}

    @property
    def declared(self) -> tuple[str, ...]:
        """Those of which a record has one at least: inputs, categories and answers."""
        return tuple(dict.fromkeys((*self.numbers, *self.categories, *([] if self.label is None else [self.label]))))

    @property
    def answers(self) -> tuple[str, ...]:
        """The answers that are no inputs."""
        answers = (*self.targets, *([] if self.label is None else [self.label]))
        return tuple([name for name in dict.fromkeys(answers) if name not in self.inputs])

    @property
    def required(self) -> tuple[str, ...]:
        """Those that a table must have a column for, in any case: all but the answers, and the time."""
        return tuple(dict.fromkeys((*self.inputs, *self.categories, *self.identifiers)))

    def without_answers(self) -> Fields:
        """Those of the records whose answers come from elsewhere."""
        return replace(self, targets=(), label=None)

    def answers_alone(self) -> Fields:
        """Those of the records in which answers come."""
        return replace(self, inputs=(), categories=(), key=None, time=None)
