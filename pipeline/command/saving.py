"""The checkpoints of the command: what a run goes on from, and what is written of it meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ...core.base.state import Part
from ..checkpoint import CheckpointError, Checkpoints, Found
from ..checkpoint.file import read_checkpoint, write_checkpoint
from ..checkpoint.fingerprint import differences, fingerprint
from ..sources.journal import Journals
from ..sources.journaled import entries_in
from ..stages import Batches
from ..training.trainer import Trainer
from .folder import RunFolder
from .outcome import Outcome, Saved
from .settings import Settings

__all__ = ["Saving"]

Say = Callable[[str], None]
FREE = ("executor", "steps", "epochs", "watchdog", "allow_gap")  # what may differ in a run that goes on


class Saving:
    """The checkpoints in the `folder` of a run with these `settings`, and the one that it goes on from, if any.

    Raises CheckpointError where there is none that it can go on from, though it should; ArgumentError.
    """

    def __init__(self, folder: RunFolder, settings: Settings, *, every: float | None, keep: int) -> None:
        self.checkpoints = Checkpoints(folder.states, every=every, keep=keep)
        self._folder, self._settings = folder, settings
        about = json.loads(json.dumps(settings.about))
        self.checkpoints.settings = _without(about, FREE)
        self.found: Found | None = None
        self.checkpoints.store.tidy()
        allow_gap = settings.records is not None and settings.records.allow_gap
        self.journals = Journals(folder.journals, allow_gap=allow_gap)
        self.checkpoints.outputs["journals"] = self.journals
        self.checkpoints.on_saved = self._forget
        self._needed: dict[int, dict[str, int]] = {}  # of each checkpoint the next entries of the journals

    def begin(self) -> None:
        """Begin a new run: what another one has left there goes."""
        self.checkpoints.store.begins = True
        if self.journals.clear():
            self.checkpoints.store.forget(after=-1)  # they would need what is gone

    def _forget(self, step: int, part: Part) -> Callable[[], None]:
        """A checkpoint was written: the journals need not reach back behind the oldest one."""
        self._needed[step] = _entries(part)
        kept = {one: entries for one, entries in self._needed.items() if one in self.checkpoints.store.steps()}
        self._needed = kept
        before = {name: min(entries.get(name, 0) for entries in kept.values()) for name in self._needed.get(step, {})}
        return self.journals.forget(before)

    def find(self, step: int | None = None) -> None:
        """Go on from the newest checkpoint, or from that after so many steps. Raises CheckpointError."""
        store = self.checkpoints.store
        if step is not None and step not in store.steps():
            there = ", ".join(map(str, store.steps())) or "none"
            raise CheckpointError(f"--from-checkpoint {step}: expected one of those that there are, {there}")
        self.found = store.newest(step)
        if self.found is None:
            return
        if step is not None and self.found.step != step:
            raise CheckpointError(self.found.rejected[0])
        if wrong := _differing(self.found.part.about.get("settings"), self.checkpoints.settings):
            raise CheckpointError(f"{self._folder.path}: has a run with other settings: {'; '.join(wrong)}")
        if step is not None:
            store.forget(after=step)
        for one in store.steps():  # the oldest may be damaged; then it needs nothing
            with suppress(CheckpointError, OSError):
                self._needed[one] = _entries(read_checkpoint(store.path(one)))

    @property
    def model(self) -> Path:
        """The file that the model goes to."""
        return self._folder.model

    @property
    def positions(self) -> dict[str, Any]:
        """Where the outputs go on, by their options."""
        if self.found is None:
            return {}
        about = self.found.part.about
        return {**about["outputs"], "reports": about["reports"]}

    @property
    def position(self) -> Any:  # noqa: ANN401 (what JSON has)
        """Where a text goes on; None at its start."""
        return None if self.found is None else self.found.part.part("source").about.get("position")

    def resume(self, trainer: Trainer, source: Batches, say: Say, warn: Say) -> None:
        """Let `trainer` and `source` go on, if there is something to go on from."""
        self.journals.on_full = trainer.ask_for_checkpoint
        if self.found is None:
            return
        trainer.resume(self.checkpoints, source, self.found)
        self.found = self.found._replace(part=Part({}, self.found.part.about))  # which may be much
        with suppress(CheckpointError, ArgumentError, OSError):  # curves that are lost hurt no run
            trainer.history.load(read_checkpoint(self._folder.history))
            trainer.history.cut(self.found.step)
        for line in self.found.rejected:
            warn(f"passed over: {line}")
        say(f"going on from step {self.found.step:,} ({self.found.path})")
        before = self.found.part.about["fingerprint"]
        if other := differences(before, fingerprint(trainer.blas_threads)):
            warn(f"not to the last bit as it would have been: {'; '.join(other)}")

    def write_beside(self, outcome: Outcome, make: Callable[[], Saved], trainer: Trainer) -> None:
        """Let the model be written with each checkpoint, what `make` makes; and the curves of the `trainer`."""

        def beside(parameters: Array) -> Callable[[], object]:
            if not outcome.steps:
                return int  # there is no model yet
            model = partial(make().save, self._folder.model, outcome.about(self._settings), parameters)
            curves = partial(write_checkpoint, self._folder.history, trainer.history.dump())
            return lambda: (model(), curves())

        self.checkpoints.beside = beside

    def rescue(self, folder: Path) -> str | None:
        """Write a state that could not be written to `folder`, and say so; None where there is none. Raises OSError."""
        path = self.checkpoints.rescue(folder / "checkpoints")
        return None if path is None else f"{self.checkpoints.problem}; it is in {path}"


def _without(about: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """`about`, and what is in it, without these."""
    return {
        name: _without(value, names) if isinstance(value, dict) else value
        for name, value in about.items()
        if name not in names
    }


def _entries(part: Part) -> dict[str, int]:
    """The next entries of the journals."""
    about = part.about.get("source", {})
    if "position" in about:
        return entries_in(about["position"])
    where = about.get("pieces", {}).get("where")
    return entries_in(where) | ({"decisions": about["log"]["count"]} if "log" in about else {})


def _differing(before: object, now: Mapping[str, Any], name: str = "") -> list[str]:
    """The settings that are others, each in a few words."""
    if not isinstance(before, Mapping):
        return [f"--{name or 'settings'} was {before!r}, is {now!r}"]
    found = []
    for key in {**before, **now}:
        one, other = before.get(key), now.get(key)
        if one == other:
            continue
        if isinstance(other, Mapping):
            found += _differing(one, other, key)
        else:
            found.append(f"--{key.replace('_', '-')} was {json.dumps(one)}, is {json.dumps(other)}")
    return found
