"""A disk that is full, that cannot sync, that may not be written, or whose folder is gone: training goes on."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.base.state import Part
from recurrio.pipeline import CheckpointError, Trainer
from recurrio.pipeline.checkpoint import Checkpoints

OPERATIONS = ["open", "fsync", "replace", "mkdir"]


def batches(count: int) -> Iterator[SequenceBatch]:
    for number in range(count):
        values = np.random.default_rng(number).random((4, 3, 2), np.float32)
        yield SequenceBatch(values, values[..., :1])


class Source:
    """Batches, and what is done before one of them."""

    def __init__(self, count: int, before: dict[int, Callable[[], object]], checkpoints: Checkpoints) -> None:
        self._count, self._before, self._checkpoints, self._next = count, before, checkpoints, 0

    async def __aiter__(self) -> Any:  # noqa: ANN401
        for number, batch in enumerate(batches(self._count)):
            await trio.sleep(0.002)
            while number in self._before and (self._checkpoints._busy or self._checkpoints._waiting):
                await self._checkpoints._tried.wait()  # what is due is being written
            self._before.get(number, int)()
            self._next += 1
            yield batch

    def position(self) -> int:
        return self._next

    def rewind(self, position: int) -> None:
        raise NotImplementedError


def make_trainer() -> Trainer:
    return Trainer(SequenceModel(input_size=2, output_size=1, hidden_size=4, seed=1), Adam(0.01), executor="inline")


async def train(
    folder: Path, before: dict[int, Callable[[], object]] | None = None, every: int = 5
) -> tuple[Trainer, Checkpoints, list[str]]:
    trainer, said, checkpoints = make_trainer(), list[str](), Checkpoints(folder / "states", every=every)
    checkpoints.on_problem = said.append
    await trainer.run(Source(60, before or {}, checkpoints), checkpoints=checkpoints)
    return trainer, checkpoints, said


class Broken:
    """Lets the n-th operation of a kind fail, and all behind it, until it is mended."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str, error: int) -> None:
        self._patch, self._name, self._error, self._real = patch, name, error, getattr(os, name)

    def begin(self) -> None:
        def fail(*arguments: object, **_: object) -> object:
            writes = self._name != "open" or (len(arguments) > 1 and arguments[1] & os.O_CREAT)  # type: ignore[operator]
            if writes:
                raise OSError(self._error, os.strerror(self._error), "the disk")
            return self._real(*arguments)

        self._patch.setattr(os, self._name, fail)

    def end(self) -> None:
        self._patch.setattr(os, self._name, self._real)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_training_goes_on_and_it_is_tried_again(
    name: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, _ = await train(tmp_path / "whole")
    broken = Broken(monkeypatch, name, error)
    saved: list[Part] = []
    trainer, checkpoints, said = await train(tmp_path / "broken", {12: broken.begin, 41: broken.end})
    assert (trainer.model.parameters == whole.model.parameters).all()
    found = checkpoints.store.newest()
    assert found is not None
    saved.append(found.part)
    assert found.step == 60
    assert checkpoints.problem is None
    if name == "mkdir":
        return  # the folder was there by then
    assert os.strerror(error) in said[0]
    assert said[0].endswith("; it will be tried again")
    assert said[1].startswith("checkpoints are written again, that of step ")
    assert len(said) == 2


@pytest.mark.parametrize("name", OPERATIONS[:3])
async def test_what_was_whole_stays_so(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken(monkeypatch, name, errno.ENOSPC)
    _, checkpoints, said = await train(tmp_path, {12: broken.begin})
    assert checkpoints.problem is not None
    assert len(said) == 1
    broken.end()
    found = checkpoints.store.newest()
    assert found is not None
    assert found.step == 10
    assert found.rejected == []
    assert not [path for path in (tmp_path / "states").iterdir() if path.name.startswith(".")]
    second = checkpoints.rescue(tmp_path / "second")
    assert second is not None
    assert second.name == "step-000000060.safetensors"


async def test_a_folder_that_is_gone_is_made_again(tmp_path: Path) -> None:
    _, checkpoints, said = await train(tmp_path, {22: lambda: shutil.rmtree(tmp_path / "states")})
    found = checkpoints.store.newest()
    assert found is not None
    assert found.step == 60
    assert said == []


async def test_a_checkpoint_can_be_asked_for(tmp_path: Path) -> None:
    trainer, checkpoints = make_trainer(), Checkpoints(tmp_path, every=None)
    steps: list[int] = []

    begun = trio.Event()

    async def ask() -> None:
        await begun.wait()
        for _ in range(3):
            await trio.sleep(0.02)
            await trainer.checkpoint()
            steps.append(checkpoints.store.steps()[-1])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        source = Source(200, {}, checkpoints)
        await trainer.run(source, checkpoints=checkpoints, on_report=lambda _: begun.set())
    assert steps == sorted({*steps})
    assert 0 < steps[0] < steps[-1] < 200
    with pytest.raises(RuntimeError, match="not running"):
        await trainer.checkpoint()


async def test_one_that_is_asked_for_and_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, checkpoints = make_trainer(), Checkpoints(tmp_path, every=None)
    Broken(monkeypatch, "fsync", errno.EIO).begin()

    begun = trio.Event()

    async def ask() -> None:
        await begun.wait()
        with pytest.raises(CheckpointError, match="Input/output error"):
            await trainer.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        source = Source(100, {}, checkpoints)
        await trainer.run(source, checkpoints=checkpoints, on_report=lambda _: begun.set())
