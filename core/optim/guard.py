"""The guard: what is done about a batch whose loss or gradient is not finite, or explodes."""

from __future__ import annotations

import numpy as np

from ..base.checks import check_count, check_number
from ..base.parameters import Array
from ..base.state import Part

__all__ = ["Guard"]

FLOAT64 = np.dtype(np.float64)
LEAST = 16  # values, before which no median is known
LEAST_MEDIAN = 0.1  # where all is forecast well, what is a surprise and no more is as many times a smaller one


class _Median:
    """The running median of the last 64 values."""

    def __init__(self) -> None:
        self._last, self.count = np.zeros(64), 0

    def explodes(self, value: float, factor: float, floor: float) -> bool:
        """Whether `value` is above `factor` times the median, and that of at least `floor`; then it is taken in."""
        known = self._last[: min(self.count, len(self._last))]
        found = self.count >= LEAST and value > factor * floor and value > factor * float(np.median(known))
        self._last[self.count % len(self._last)] = value
        self.count += 1
        return found

    def dump(self) -> Part:
        return Part({"last": self._last.copy()}, {"count": self.count})

    def load(self, part: Part) -> None:
        self._last, self.count = part.array("last", (64,), FLOAT64).copy(), check_count("count", part.about["count"], 0)


class Guard:
    """Lets the updates of bad batches be skipped, and takes back what has led to them where they do not end.

    Bad is a batch whose loss, gradient or update is not finite, or whose loss or gradient norm is above `factor` times
    the running median of the last 64 (and of 0.1). Version k + 1 is then version k. After `row` bad ones in a row the
    parameters and the optimizer's slots are those of the last batch that was kept, one in `every`, and the learning
    rate is half of what it was; after `cap` times that the run is at its end. All of that is by the numbers of batches,
    and so the same in any run over them.

    ``skipped`` batches were bad; ``undone`` updates were taken back, in ``rolled`` times. Raises ArgumentError.
    """

    def __init__(self, *, factor: float = 1e4, row: int = 8, every: int = 100, cap: int = 5) -> None:
        self.factor = check_number("factor", factor, 1, open_low=True)
        self.row, self.every, self.cap = (
            check_count(name, value) for name, value in (("row", row), ("every", every), ("cap", cap))
        )
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.skipped = self.undone = self.rolled = self.in_row = self.applied = 0
        self.rate = 1.0  # of the learning rate
        self.reason = ""  # why the last was skipped
        self._losses, self._norms = _Median(), _Median()
        self.kept: tuple[Array, Part] | None = None

    def explodes(self, loss: float, norm: float) -> str | None:
        """What is too large of a finite loss and norm; None where nothing is."""
        found = {"loss": self._losses.explodes(loss, self.factor, LEAST_MEDIAN)}
        found["gradient norm"] = self._norms.explodes(norm, self.factor, LEAST_MEDIAN)
        for name, value in (("loss", loss), ("gradient norm", norm)):
            if found[name]:
                return f"the {name} is {value:.3g}, above {self.factor:g} times its running median"
        return None

    @property
    def keeps(self) -> bool:
        """Whether the parameters before the next batch are to be kept."""
        return self.in_row == 0 and (self.kept is None or self.applied >= self.every)

    def keep(self, parameters: Array, slots: Part) -> None:
        """These are good ones to go back to."""
        self.kept, self.applied = (parameters.copy(), slots), 0

    def good(self) -> None:
        """A batch was applied."""
        self.in_row = 0
        self.applied += 1

    def bad(self, reason: str) -> bool:
        """A batch is skipped; whether there were so many in a row that what was kept is to be gone back to."""
        self.skipped += 1
        self.in_row += 1
        self.reason = reason
        return self.in_row >= self.row

    def go_back(self) -> tuple[Array, Part] | None:
        """What was kept; None where that has been gone back to too often."""
        if self.rolled >= self.cap or self.kept is None:
            return None
        self.rolled += 1
        self.undone += self.applied
        self.in_row = self.applied = 0
        self.rate *= 0.5
        return self.kept

    def dump(self) -> Part:
        """All of it."""
        names = ("skipped", "undone", "rolled", "in_row", "applied")
        about = {name: getattr(self, name) for name in names} | {"rate": self.rate, "reason": self.reason}
        parts = {"losses": self._losses.dump(), "norms": self._norms.dump()}
        if self.kept is not None:
            parts |= {"kept": Part({"parameters": self.kept[0].copy()}, {}), "slots": self.kept[1]}
        return Part.of(about, **parts)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        for name in ("skipped", "undone", "rolled", "in_row", "applied"):
            setattr(self, name, check_count(name, part.about.get(name), 0))
        self.rate, self.reason = check_number("rate", part.about.get("rate"), 0, 1), str(part.about.get("reason"))
        self._losses.load(part.part("losses"))
        self._norms.load(part.part("norms"))
        self.kept = None
        if "kept" in part.about:
            kept = part.part("kept").arrays["parameters"].copy()
            self.kept = kept, part.part("slots")
