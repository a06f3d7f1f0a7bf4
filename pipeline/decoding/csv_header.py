"""The names of the columns of CSV: where the declared fields are, and what to do where they are not."""

from __future__ import annotations

from collections.abc import Iterable

from ..sources.source import SourceError
from .values import number_text, shown

__all__ = ["check_columns", "places_of"]

DELIMITERS = {";": "';'", "\t": "$'\\t' (or --format tsv)", "|": "'|'", ",": ","}
MOST_NAMED = 20


def places_of(names: list[str], fields: Iterable[str]) -> dict[str, int]:
    """The places of those of `fields` that are among `names`, spaces around a name or not.

    Raises SourceError where one of them is there twice; others may be.
    """
    places: dict[str, int] = {}
    stripped = [name.strip() for name in names]
    for field in fields:
        there = names if field in names else stripped
        if there.count(field) > 1:
            raise SourceError(f"column {shown(field)} appears twice")
        if field in there:
            places[field] = there.index(field)
    return places


def check_columns(names: list[str], needed: Iterable[str], places: dict[str, int], delimiter: str) -> None:
    """Raise SourceError, with the way out, unless each of the fields `needed` is in `places`."""
    absent = [field for field in dict.fromkeys(needed) if field not in places]
    if not absent:
        return
    some = [shown(name) for name in names[:MOST_NAMED]]
    columns = ", ".join(some) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    what = "no column " + " and no column ".join(map(shown, absent))
    raise SourceError(f"{what}; the columns are: {columns} ({_way_out(names, delimiter, absent)})")


def _way_out(names: list[str], delimiter: str, absent: list[str]) -> str:
    first = names[0].strip()
    if first.startswith("sep=") and len(names) <= 2:
        mark = first[4:5] or delimiter
        return f"the first line is for spreadsheets: --skip-lines 1 --delimiter {DELIMITERS.get(mark, mark)}"
    if any("\r" in name for name in names):
        return "lines end with a carriage return alone: tr '\\r' '\\n' <FILE | recurrio train -"
    if len(names) == 1:
        for mark, written in DELIMITERS.items():
            if mark != delimiter and mark in first and set(absent) & {part.strip() for part in first.split(mark)}:
                return f"--delimiter {written} splits them"
    if any(number_text(name.strip()) is not None for name in names):
        return "these look like values: where no line names the columns, --columns a,b,c does"
    for mark, written in DELIMITERS.items():
        if len(names) == 1 and mark != delimiter and mark in first:
            return f"--delimiter {written} splits them; --skip-lines N skips lines above them"
    return "where other lines stand above their names, --skip-lines N skips these"
