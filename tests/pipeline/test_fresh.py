"""Batches of sequences that are new in each epoch: those that ragged batches of that epoch would be, also resumed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from recurrio.core import Adam, ArgumentError, SequenceBatch, SequenceModel
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import run
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Checkpoints, FreshBatches, RaggedBatches, Trainer

Array = np.ndarray
COUNT, LONGEST = 20, 9


def make(epoch: int) -> tuple[list[Array], Array]:
    rng = np.random.default_rng(epoch)
    return [rng.integers(0, 7, rng.integers(0, LONGEST + 1)) for _ in range(COUNT)], rng.integers(0, 3, COUNT)


def make_fresh(epochs: int | None = 3) -> FreshBatches:
    return FreshBatches(make, 6, longest=LONGEST, epochs=epochs, seed=5)


def make_trainer() -> Trainer:
    sizes = {"embedding_size": 4, "hidden_size": 6}
    return Trainer(SequenceModel(7, **sizes, output="last", output_size=3, seed=1), Adam(0.01), delay=1)


def arrays(batches: list[SequenceBatch]) -> list[list[list[int]]]:
    return [[batch.inputs.tolist(), batch.targets.tolist(), batch.lengths.tolist()] for batch in batches]


def test_each_epoch_is_that_of_its_own_sequences() -> None:
    batches = make_fresh()
    assert (batches.per_epoch, batches.epochs, batches.largest) == (4, 3, (9, 6))
    made = [*batches]
    for epoch in range(3):
        alone = RaggedBatches(*make(epoch), 6, epochs=None, seed=5)
        alone.rewind({**alone.position(), "epoch": epoch})
        assert arrays(made[4 * epoch : 4 * epoch + 4]) == arrays([*itertools.islice(alone, 4)])
    assert arrays(made) == arrays([*batches])  # once more, from the first epoch on


def test_it_is_asked_once_for_each_epoch() -> None:
    asked = list[int]()

    def ask(epoch: int) -> tuple[list[Array], Array]:
        asked.append(epoch)
        return make(epoch)

    assert len([*FreshBatches(ask, 6, longest=LONGEST, epochs=3)]) == 12
    assert asked == [0, 1, 2]


async def test_they_train_as_in_the_serial_loop() -> None:
    ours, theirs = make_trainer(), make_trainer()
    state = TrainingState(theirs.model, Updater(Adam(0.01)), delay=1)
    done = [*run(state, make_fresh(), largest=(LONGEST, 6))]
    assert await ours.run(make_fresh()) == len(done) == 12
    assert np.array_equal(ours.model.parameters, theirs.model.parameters)


@pytest.mark.parametrize("cut", [2, 4, 7])
async def test_a_run_goes_on_in_the_middle_of_an_epoch(cut: int, tmp_path: Path) -> None:
    whole, first, second = make_trainer(), make_trainer(), make_trainer()
    await whole.run(make_fresh())
    await first.run(make_fresh(), steps=cut, checkpoints=Checkpoints(tmp_path))
    batches = make_fresh()
    assert second.resume(Checkpoints(tmp_path), batches) is not None
    assert await second.run(batches) == 12 - cut
    assert np.array_equal(second.model.parameters, whole.model.parameters)


def test_what_is_made_is_what_was_said() -> None:
    def more(epoch: int) -> tuple[list[Array], Array]:
        return [np.zeros(1, int)] * (3 + epoch), np.zeros(3 + epoch, int)

    with pytest.raises(ArgumentError, match="make: expected 3 sequences in each epoch, got 4 in that of number 1"):
        [*FreshBatches(more, longest=9, epochs=2)]

    def longer(epoch: int) -> tuple[list[Array], Array]:
        return [np.zeros(3 + epoch, int)], np.zeros(1, int)

    with pytest.raises(ArgumentError, match="make: expected at most 3 steps, as longest says, got 4 in the epoch of"):
        [*FreshBatches(longer, longest=3, epochs=2)]
    with pytest.raises(ArgumentError, match=r"make: expected at most 2 steps, .*, got 3 in the epoch of number 0"):
        FreshBatches(longer, longest=2)
