"""The best of some epochs is kept, also where the run was cut short between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recurrio.core import Adam, ArgumentError, SequenceBatch, SequenceModel
from recurrio.core.model.padding import by_length
from recurrio.pipeline import Checkpoints, Report, Trainer
from recurrio.pipeline.lanes.ragged import RaggedBatches
from recurrio.pipeline.training.epochs import BestEpoch, train_epochs

RNG = np.random.default_rng(0)
INPUTS = [RNG.integers(0, 9, RNG.integers(1, 8)) for _ in range(60)]
CLASSES = np.array([int((one == 3).any()) for one in INPUTS])


def make_batches(epochs: int = 5) -> RaggedBatches:
    return RaggedBatches(INPUTS[10:], CLASSES[10:], 8, epochs=epochs)


def make_trainer(delay: int = 0) -> Trainer:
    model = SequenceModel(9, embedding_size=4, hidden_size=6, output="mean", output_size=2, seed=1)
    return Trainer(model, Adam(0.05), delay=delay)


def accuracy(model: SequenceModel) -> float:
    right = 0
    for rows, inputs, lengths in by_length(INPUTS[:10], 4):
        outputs, _ = model(inputs, None, lengths, True)
        right += int((outputs[0].argmax(axis=1) == CLASSES[rows]).sum())
    return right / 10


class Watched(RaggedBatches):
    """Calls `do` before it makes the batch of the number `at`, from 1."""

    do: Callable[[], object]
    at: int

    def batch(self, rows: np.ndarray) -> SequenceBatch:
        if self._next == self.at:
            self.do()
        return super().batch(rows)


def make_watched(at: int, do: Callable[[], object]) -> Watched:
    batches = Watched(INPUTS[10:], CLASSES[10:], 8, epochs=5)
    batches.at, batches.do = at, do
    return batches


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.5, 0.2, 0.5, 0.3], 2),
        ([0.4, 0.3, 0.2, 0.1, 0.0], 1),
        ([math.nan, -math.inf, 0.2, math.nan, 0.3], 5),
        ([math.nan] * 5, 5),
    ],
)
@pytest.mark.parametrize("delay", [0, 1])
async def test_the_first_of_the_best_is_kept(scores: list[float], best: int, delay: int) -> None:
    asked, said, trainer = list[np.ndarray](), list[int](), make_trainer(delay)

    def score(model: SequenceModel) -> float:
        assert model is not trainer.model
        asked.append(model.parameters.copy())
        return scores[len(asked) - 1]

    def say(report: Report, best: BestEpoch) -> None:
        said.append(report.step)

    found = await train_epochs(trainer, make_batches(), score, on_epoch=say)
    assert found.epoch == best
    assert np.array_equal(found.scores, scores, equal_nan=True)
    assert said == [7, 14, 21, 28, 35]
    assert np.array_equal(trainer.model.parameters, asked[best - 1])
    for epoch, parameters in enumerate(asked, 1):
        alone = make_trainer(delay)
        await alone.run(make_batches(epoch))
        assert np.array_equal(alone.model.parameters, parameters)


async def test_an_epoch_that_is_learned_well_scores_well() -> None:
    found = await train_epochs(make_trainer(), make_batches(30), accuracy)
    assert found.score == max(found.scores) == 1
    assert found.score > found.scores[0]


@pytest.mark.parametrize("cut", [7, 10, 14, 30, 35])
async def test_a_run_that_was_cut_short_finds_the_same(cut: int, tmp_path: Path) -> None:
    kept, trainer, batches = list[BestEpoch](), make_trainer(delay=1), make_batches()
    whole = await train_epochs(make_trainer(delay=1), make_batches(), accuracy)

    def stop(report: Report, best: BestEpoch) -> None:
        kept.append(best)
        if report.step == cut:
            raise KeyError("killed behind an epoch")

    def kill() -> None:
        raise KeyError("killed in an epoch")

    given, checkpoints = make_watched(cut + 1, kill), Checkpoints(tmp_path, every=3)
    with pytest.raises(KeyError, match="killed"):
        await train_epochs(trainer, given, accuracy, on_epoch=stop, checkpoints=checkpoints)
    trainer = make_trainer(delay=1)
    trainer.resume(Checkpoints(tmp_path, every=3), batches)
    again = await train_epochs(trainer, batches, accuracy, before=kept[-1] if kept else None)
    assert (again.epoch, again.score, again.scores) == (whole.epoch, whole.score, whole.scores)
    assert np.array_equal(again.parameters, whole.parameters)
    assert np.array_equal(trainer.model.parameters, whole.parameters)


@pytest.mark.parametrize(("stopped", "epochs"), [(3, 1), (9, 1), (15, 2)])
async def test_a_part_of_an_epoch_counts_where_there_is_no_whole_one(stopped: int, epochs: int) -> None:
    trainer = make_trainer()
    found = await train_epochs(trainer, make_watched(stopped, trainer.stop), accuracy)
    assert len(found.scores) == epochs
    assert trainer.step == stopped


async def test_a_trainer_that_has_begun_with_something_else() -> None:
    trainer = make_trainer()
    await trainer.run(make_batches(), steps=3)
    with pytest.raises(ArgumentError, match="trainer: expected whole epochs of 7 batches before, got 3 more"):
        await train_epochs(trainer, make_batches(), accuracy)
    await trainer.run(make_batches(), steps=4)
    assert (await train_epochs(trainer, make_batches(2), accuracy)).epoch in (2, 3)


async def test_no_epoch_at_all() -> None:
    with pytest.raises(ArgumentError, match="batches: expected at least one epoch, got none"):
        await train_epochs(make_trainer(), make_batches(0), accuracy)
