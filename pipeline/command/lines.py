"""Lines for a terminal, measured in its cells: none is wider, and nothing in them is interpreted. Needs rich."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from rich.cells import cell_len
from rich.text import Text

from ..decoding.values import shown

__all__ = ["Cell", "bar", "columns_of", "curve", "fitted", "flow", "lasted", "rate", "table"]

Cell = str | tuple[str, str]
"""A text, or a text and its style."""

BARS = "▁▂▃▄▅▆▇█"
GAP = 2  # cells between columns
LEAST_NAME = 12  # cells
WIDENS = "\ufe0f"  # in some terminals what stands before it, to an emoji


def fitted(text: str, width: int) -> str:
    """`text` in at most `width` cells, with escapes for what cannot be printed, and without its middle if need be."""
    text = shown(_ends(text, 2 * width), 2 * width + 1)
    if _cells(text) <= width:
        return text
    left, right = width // 2, max(0, (width - 1) // 2)
    return f"{_taken(text, left)}…{_taken(text[::-1], right)[::-1]}" if width > 2 else _taken(text, width)


def _ends(text: str, most: int) -> str:
    """The ends of a `text` that has many more characters than can be shown, which combining ones allow."""
    return text if len(text) <= most else text[: most // 2] + "…" + text[-(most // 2) :]


def _cells(text: str) -> int:
    """How wide `text` is at most: what is joined in one terminal may stand side by side in another."""
    return sum(1 if sign == WIDENS else cell_len(sign) for sign in text)


def _taken(text: str, width: int) -> str:
    """The start of `text`, in at most so many cells."""
    return text[: sum(total <= width for total in accumulate(map(_cells, text)))]


def flow(items: Sequence[Text | str], width: int, gap: int = 3) -> list[Text]:
    """`items` one behind the other, on as many lines as they need; one that is wider than a line is cut."""
    found: list[Text] = []
    for item in items:
        own = Text(item) if isinstance(item, str) else item
        if found and _cells(found[-1].plain) + gap + _cells(own.plain) <= width:
            found[-1].append(" " * gap).append_text(own)
        else:
            found.append(own.copy())
    return [_cut(line, width) for line in found]


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], width: int) -> list[Text]:
    """A line of `heads`, and one for each row; the first column is a name, the others stand on the right.

    Where there is no room, the last columns are left out, and names are shortened.
    """
    plain = [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in rows]
    names = [fitted(row[0], width) for row in plain]
    widths = [max(map(_cells, column)) for column in zip(heads, *plain, strict=True)][1:]
    name = max(map(_cells, [heads[0], *names]))
    while widths and min(name, max(LEAST_NAME, width // 4)) + sum(GAP + own for own in widths) > width:
        widths.pop()
    name = min(name, width - sum(GAP + own for own in widths))
    found = []
    for row in [[(head, "dim") for head in heads], *rows]:
        line = Text()
        for index, (cell, own) in enumerate(zip(row, [name, *widths], strict=False)):
            text, style = (cell, "") if isinstance(cell, str) else cell
            text = text if index else fitted(text, own)
            space = " " * (own - _cells(text))
            line.append(" " * GAP + space if index else "").append(text, style).append("" if index else space)
        found.append(_cut(line, width))
    return found


def _cut(line: Text, width: int) -> Text:
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def bar(share: float, width: int) -> str:
    """A `share` of one, as a bar of so many cells and in percent."""
    drawn = f"{'█' * round(width * min(share, 1)):<{width}} " if width else ""
    return f"{drawn}{share:>4.0%}"


def columns_of(count: int, width: int) -> list[range]:
    """`count` neighbours in at most `width` groups, of about as many each."""
    groups = min(width, count)
    return [range(*ends) for ends in pairwise(count * group // groups for group in range(groups + 1))]


def curve(values: Sequence[float], width: int) -> str:
    """A line of bars: the means of `width` neighbouring groups of `values`."""
    means = [sum(values[index] for index in group) / len(group) for group in columns_of(len(values), width)]
    low, high = min(means), max(means)
    scale = (len(BARS) - 1) / ((high - low) or 1)
    return "".join(BARS[round((mean - low) * scale)] for mean in means)


def lasted(seconds: float) -> str:
    """So many seconds, in the unit that says enough."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:,.0f} d"


def rate(value: float) -> str:
    """So many a second."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
