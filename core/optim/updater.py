"""The updater: turns the gradients of batch n, and version n of the parameters, into version n + 1.

It is what the serial loop and the update stage of the pipeline have in common, and what an update that is refused
leaves as it was.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from weakref import ref

import numpy as np

from ..base.checks import ArgumentError, check_number
from ..base.parameters import Array
from ..base.state import Part
from .actions import RESET_OPTIMIZER, RESTART_HEAD, Actions
from .ahead import Ahead
from .clipping import clip
from .guard import Guard
from .optimizer import Optimizer, is_finite
from .schedules import Schedule

__all__ = ["NonFiniteError", "Updater", "planned_version"]

# What keeps something from batch to batch, by its `id`, and whose batches they are. A copy belongs to nobody yet.
_owners: dict[int, tuple[ref[object], ref[object]]] = {}


class NonFiniteError(ArithmeticError):
    """A gradient, an updated parameter or a slot is infinite or not a number; nothing was applied."""


def planned_version(batch_number: int, delay: int) -> int:
    """The parameter version that this batch is computed with."""
    return max(0, batch_number - delay)


class Updater:
    """Applies batch after batch with `optimizer`, after `clip` (the largest gradient norm, None: any) and `schedule`.

    An optimizer or a schedule of the user's own may be anything with ``step``, or with ``lr``; what keeps something
    from batch to batch derives from `Optimizer` or `Schedule`. Its state is theirs, and ``loss``, the mean loss of the
    last batch applied, which the schedule looks at. With a `guard` bad batches are skipped. With a delay, the versions
    are ahead of the weights, see `recurrio.core.optim.ahead`. Raises ArgumentError.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        clip: float | None = None,
        schedule: Schedule | None = None,
        guard: Guard | None = None,
    ) -> None:
        if isinstance(optimizer, type) or not hasattr(optimizer, "step"):
            raise ArgumentError("optimizer", "an optimizer, as Adam(0.01)", repr(optimizer))
        if isinstance(schedule, type) or not (schedule is None or hasattr(schedule, "lr")):
            raise ArgumentError("schedule", "a schedule, as ConstantLR(0.01), or None", repr(schedule))
        if clip is not None:
            clip = check_number("clip", clip, 0, open_low=True)
        self._optimizer, self._clip, self._schedule = optimizer, clip, schedule
        self._can_undo = isinstance(optimizer, Optimizer)
        if guard is not None and not self._can_undo:
            raise ArgumentError("guard", "none with an optimizer that cannot take a step back", repr(optimizer))
        self.guard, self.actions = guard, Actions()
        self.ahead: Ahead | None = None  # where versions are ahead of the weights
        self.restart_head: Callable[[Array, int], None] | None = None  # of a vector of parameters, with this number
        self.loss: float | None = None
        self._norm = math.nan  # of the last gradient
        self._sum: Array | None = None

    @np.errstate(over="ignore", invalid="ignore")
    def apply(self, batch_number: int, parameters: Array, parts: list[Array], loss: float, out: Array) -> float:
        """Write the version behind `parameters` into `out`, another vector, and return the gradient norm.

        `parts` are of the gradient and are added in their order, `loss` is the mean loss of the batch. The norm is
        that before clipping; a single part is clipped in place.

        Raises NonFiniteError where the loss, the norm, the new version or a slot is not finite. Only `out` has changed
        then. With a guard such a batch is skipped, and the error means that there is no end of them.
        """
        actions = self.actions.take(batch_number)
        if RESET_OPTIMIZER in actions and isinstance(self._optimizer, Optimizer):
            self._optimizer.reset()
        bad, (own, following) = self._bad, (parameters, out) if self.ahead is None else self.ahead.begin(parameters)
        norm = self._apply_guarded(batch_number, own, parts, loss, following)
        if RESTART_HEAD in actions and self.restart_head is not None:
            self.restart_head(following, batch_number)
        if self.ahead is not None:
            self.ahead.end(out, jumped=self._bad != bad or RESTART_HEAD in actions)
        return norm

    @property
    def lr(self) -> float:
        """The learning rate of the last batch, before what a guard or an action made of it; NaN: there is none."""
        return self._optimizer.lr if isinstance(self._optimizer, Optimizer) else math.nan

    @property
    def _bad(self) -> int:
        return 0 if self.guard is None else self.guard.skipped

    def _apply_guarded(
        self, batch_number: int, parameters: Array, parts: list[Array], loss: float, out: Array
    ) -> float:
        guard = self.guard
        if guard is None:
            return self._apply(batch_number, parameters, parts, loss, out)
        if guard.keeps:
            guard.keep(parameters, self._optimizer.dump())
        self._norm = math.nan
        try:
            norm = self._apply(batch_number, parameters, parts, loss, out)
            guard.good()
            return norm
        except NonFiniteError as error:
            np.copyto(out, parameters)
            if guard.bad(str(error)):
                before = guard.go_back()
                if before is None:
                    what = f"{guard.skipped} batches were bad, and going back did not help"
                    raise NonFiniteError(f"{what}; the last one: {error}") from None
                np.copyto(out, before[0])
                lr = self._optimizer.lr
                self._optimizer.load(before[1])
                self._optimizer.lr = lr
            return self._norm

    def _apply(self, batch_number: int, parameters: Array, parts: list[Array], loss: float, out: Array) -> float:
        if not math.isfinite(loss):
            raise NonFiniteError(f"the loss is {loss}; a smaller learning rate or clipping may help")
        gradient = self._add_up(parts)
        norm = self._norm = clip(gradient, self._clip)
        if not math.isfinite(norm):
            raise NonFiniteError(f"the gradient norm is {norm}; a smaller learning rate or clipping may help")
        if self.guard is not None and (wrong := self.guard.explodes(loss, norm)) is not None:
            raise NonFiniteError(wrong)
        optimizer, schedule, stepped = self._optimizer, self._schedule, False
        lr, before = 0.0 if schedule is None else optimizer.lr, None
        try:
            if schedule is not None:
                before = _dump(schedule) if isinstance(schedule, Schedule) else None
                optimizer.lr = schedule.lr(batch_number, self.loss)
            rate = self.actions.rate(batch_number) * (1.0 if self.guard is None else self.guard.rate)
            if rate != 1:
                self._step_at(rate, parameters, gradient, out)
            else:
                optimizer.step(parameters, gradient, out)
            stepped = True
            if not (optimizer.is_finite(out) if self._can_undo else is_finite(out)):
                raise NonFiniteError("the update made a parameter infinite; a smaller learning rate may help")
        except BaseException:
            if stepped and self._can_undo:
                optimizer.undo()
            if schedule is not None:
                optimizer.lr = lr
            if isinstance(schedule, Schedule) and before is not None:
                schedule.load(before)
            raise
        self.loss = loss
        return norm

    def _step_at(self, rate: float, parameters: Array, gradient: Array, out: Array) -> None:
        """A step with so many times the learning rate."""
        lr = self._optimizer.lr
        self._optimizer.lr = lr * rate
        try:
            self._optimizer.step(parameters, gradient, out)
        finally:
            self._optimizer.lr = lr

    def _add_up(self, parts: list[Array]) -> Array:
        if len(parts) == 1:
            return parts[0]
        if self._sum is None:
            self._sum = np.empty_like(parts[0])
        total = np.add(parts[0], parts[1], self._sum)
        for part in parts[2:]:
            np.add(total, part, total)
        return total

    def claim(self, owner: object) -> None:
        """Say that the batches are for `owner`, a model. Raises ArgumentError where they were for another before."""
        keepers = {name: keeper for name, keeper in self._keepers().items() if _keeps_something(keeper)}
        for name, keeper in keepers.items():
            mine, of = _owners.get(id(keeper), (None, None))
            if mine is not None and of is not None and mine() is keeper and of() is not owner:
                kind = type(keeper).__name__
                raise ArgumentError(name, f"a new {kind} for each model", f"the {kind} that another was trained with")
        for keeper in keepers.values():
            key = id(keeper)
            _owners[key] = ref(keeper, lambda _, key=key: _owners.pop(key, None)), ref(owner)  # type: ignore[misc]

    def reset(self) -> None:
        """Begin anew, as with an optimizer and a schedule that were just made."""
        self.loss = None
        self.actions.reset()
        if self.ahead is not None:
            self.ahead.reset()
        if self.guard is not None:
            self.guard.reset()
        for keeper in self._keepers().values():
            keeper.reset()
            _owners.pop(id(keeper), None)

    def dump(self) -> Part:
        """The state of the optimizer and of the schedule, and the loss."""
        parts = {name: _dump(keeper) for name, keeper in self._keepers().items()}
        about = {"loss": self.loss, "raised": self.actions.until}
        if self.guard is not None:
            parts["guard"] = self.guard.dump()
        if self.ahead is not None:
            parts["ahead"] = self.ahead.dump()
        return Part.of(about, **parts)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it is of other parts."""
        keepers = self._keepers()
        more = {"guard": self.guard, "ahead": self.ahead}
        if {*keepers, "loss", "raised", *[name for name, one in more.items() if one is not None]} != set(part.about):
            raise ArgumentError("state", f"one of {', '.join(keepers) or 'nothing'}", ", ".join(part.about))
        loss = part.about["loss"]
        if loss is not None:
            loss = check_number("loss", loss, -math.inf)
        before = {name: _dump(keeper) for name, keeper in keepers.items()}
        try:
            for name, keeper in keepers.items():
                keeper.load(part.part(name))
        except BaseException:
            for name, keeper in keepers.items():
                keeper.load(before[name])
            raise
        self.loss = loss
        self.actions.load(part.about["raised"])
        if self.guard is not None:
            self.guard.load(part.part("guard"))
        if self.ahead is not None:
            self.ahead.load(part.part("ahead"))

    def _keepers(self) -> dict[str, Optimizer | Schedule]:
        """What keeps something from batch to batch."""
        both = {"optimizer": self._optimizer, "schedule": self._schedule}
        return {name: part for name, part in both.items() if isinstance(part, Optimizer | Schedule)}


def _dump(keeper: Optimizer | Schedule) -> Part:
    """A copy of its state, whatever it makes of `dump`."""
    arrays, about = keeper.dump()
    return Part({name: np.array(array) for name, array in arrays.items()}, copy.deepcopy(about))


def _keeps_something(keeper: Optimizer | Schedule) -> bool:
    return not isinstance(keeper, Schedule) or type(keeper).dump is not Schedule.dump
