"""What is done with the update of a batch where the data have changed, by the numbers of batches."""

from __future__ import annotations

from collections.abc import Iterable

from ..base.checks import ArgumentError, check_count

__all__ = [
    *("ACTIONS", "LENGTH", "RAISED", "RAISE_LR", "REPLAY_RECENT", "RESET_OPTIMIZER", "RESTART_HEAD"),
    *("Actions", "check_actions"),
]

RAISE_LR, RESET_OPTIMIZER, RESTART_HEAD = "raise-lr", "reset-optimizer", "restart-head"
REPLAY_RECENT = "replay-recent"  # is done where batches are made
ACTIONS = (RAISE_LR, RESET_OPTIMIZER, RESTART_HEAD, REPLAY_RECENT)
RAISED, LENGTH = 3.0, 200  # so many times the learning rate, for so many batches


def check_actions(names: str | Iterable[str]) -> tuple[str, ...]:
    """The `names`, or what a text with commas between them says. Raises ArgumentError for others."""
    found = tuple(filter(None, names.split(",")) if isinstance(names, str) else names)
    for name in found:
        if name not in ACTIONS:
            raise ArgumentError("on_drift", f"some of {', '.join(ACTIONS)}", repr(name))
    return found


class Actions:
    """What is planned for the updates of batches, and what of it still goes on.

    RAISE_LR: from this batch on, 200 batches have three times the learning rate. RESET_OPTIMIZER: before the update,
    the optimizer forgets all but its options. RESTART_HEAD: behind the update the head has new initial parameters.
    """

    def __init__(self) -> None:
        self._planned: dict[int, tuple[str, ...]] = {}
        self.until = 0  # the batch with which the learning rate is what it was

    def plan(self, batch_number: int, actions: tuple[str, ...]) -> None:
        """These belong to the update of this batch."""
        self._planned[batch_number] = actions

    def take(self, batch_number: int) -> tuple[str, ...]:
        """What belongs to the update of this batch, which is about to be made."""
        found = self._planned.pop(batch_number, ())
        if RAISE_LR in found:
            self.until = batch_number + LENGTH
        return found

    def rate(self, batch_number: int) -> float:
        """How many times its learning rate this batch has."""
        return RAISED if batch_number < self.until else 1.0

    def reset(self) -> None:
        """Begin anew."""
        self._planned.clear()
        self.until = 0

    def load(self, until: object) -> None:
        """Take up what ``until`` was. Raises ArgumentError."""
        self.until = check_count("until", until, 0)
