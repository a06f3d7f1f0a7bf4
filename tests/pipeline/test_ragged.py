"""Ragged batches: what is in them, in which order, and that they train as in the serial loop, also when resumed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core import Adam, ArgumentError, CTCLoss, SequenceBatch, SequenceModel
from recurrio.core.model.padding import PADDING, by_length, pad
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import run
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Checkpoints, SourceError, Trainer
from recurrio.pipeline.executors import EXECUTORS
from recurrio.pipeline.flow.worker_process import obstacle
from recurrio.pipeline.lanes.ragged import RaggedBatches, few_lengths

Array = np.ndarray
COMPUTED = [
    pytest.param(name, marks=pytest.mark.skipif(name == "process" and obstacle() is not None, reason="no workers"))
    for name in EXECUTORS
]


def make_indices(count: int, most: int = 9, seed: int = 0) -> list[Array]:
    """Sequences of indices, some without any; the first of each says its number."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 7, rng.integers(0, most + 1)) for _ in range(count)]


def of_classes(count: int = 50, batch_size: int = 6, epochs: int | None = 2, seed: int = 5) -> RaggedBatches:
    classes = np.arange(count) % 3
    return RaggedBatches(make_indices(count), classes, batch_size, epochs=epochs, seed=seed)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=70), st.integers(1, 5), st.integers(0, 3))
def test_each_sequence_is_once_in_an_epoch(lengths: list[int], batch_size: int, seed: int) -> None:
    inputs = [np.full(length, number) for number, length in enumerate(lengths)]
    batches = [*RaggedBatches(inputs, np.arange(len(inputs)), batch_size, epochs=2, seed=seed)]
    assert len(batches) == 2 * -(-len(inputs) // batch_size)
    for epoch in (batches[: len(batches) // 2], batches[len(batches) // 2 :]):
        assert sorted(int(number) for batch in epoch for number in batch.targets[0]) == [*range(len(inputs))]
    for batch in batches:
        assert batch.lengths is not None
        assert batch.reset is True
        assert len(batch.inputs) == max(1, batch.lengths.max())
        for lane, (number, length) in enumerate(zip(batch.targets[0], batch.lengths, strict=True)):
            assert length == lengths[number]
            assert (batch.inputs[:length, lane] == number).all()
            assert (batch.inputs[length:, lane] == 0).all()


def same(ours: list[SequenceBatch], theirs: list[SequenceBatch]) -> bool:
    return len(ours) == len(theirs) and all(
        np.array_equal(one, other)
        for mine, its in zip(ours, theirs, strict=True)
        for one, other in zip(mine, its, strict=True)
        if isinstance(one, Array)
    )


def test_the_order_is_by_seed_and_epoch() -> None:
    assert same([*of_classes()], [*of_classes()])
    assert not same([*of_classes()], [*of_classes(seed=6)])
    batches, half = [*of_classes()], of_classes().per_epoch
    assert not same(batches[:half], batches[half:])
    assert same(batches, [*itertools.islice(of_classes(epochs=None), len(batches))])


def test_those_of_about_one_length_are_together_and_batches_are_in_no_order() -> None:
    inputs = [np.zeros(length, int) for length in np.random.default_rng(0).integers(1, 100, 2000)]
    batches = RaggedBatches(inputs, np.zeros(2000, int), 10)
    made = [batch.lengths for batch in batches]
    assert np.mean([np.ptp(lengths) for lengths in made if lengths is not None]) < 10
    longest = [int(lengths.max()) for lengths in made if lengths is not None]
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.3
    assert sum(map(np.size, (batch.inputs for batch in batches))) < 1.1 * sum(map(len, inputs))


def test_those_of_one_length_are_shuffled() -> None:
    batches = RaggedBatches([np.zeros(1, int)] * 100, np.arange(100), 10)
    spans = [np.ptp(batch.targets) for batch in batches]
    assert min(spans) > 40


def test_targets_can_be_sequences() -> None:
    inputs = [np.ones((length, 2), np.float32) * length for length in (3, 1, 2)]
    targets = [np.array([3, 1, 4, 1]), np.array([], int), np.array([5])]
    batches = RaggedBatches(inputs, targets, 3)
    (batch,) = batches
    assert batch.inputs.shape == (3, 3, 2)
    assert batch.inputs.dtype == np.float32
    assert batches.largest == (4, 3)
    assert batch.targets.shape == (4, 3)
    lanes = {int(length): batch.targets[:, lane].tolist() for lane, length in enumerate(batch.lengths)}
    assert lanes == {3: [3, 1, 4, 1], 1: [PADDING] * 4, 2: [5, *[PADDING] * 3]}
    assert batches.batch(np.array([1])).targets.tolist() == [[PADDING]]


def test_sequences_to_be_asked_about() -> None:
    inputs, seen = make_indices(20), list[int]()
    for rows, padded, lengths in by_length(inputs, 6):
        seen += rows.tolist()
        for lane, row in enumerate(rows):
            assert padded[: lengths[lane], lane].tolist() == inputs[row].tolist()
    assert sorted(seen) == [*range(20)]
    assert [len(inputs[row]) for row in seen] == sorted(map(len, inputs))
    assert [*by_length([])] == []
    assert pad([np.zeros(0, int)], 7).tolist() == [[7]]


@pytest.mark.parametrize(
    ("inputs", "targets", "says"),
    [
        ([], [], "inputs: expected at least one sequence, got none"),
        ([np.zeros(2, int)], np.zeros(2, int), "targets: expected 1, as there are inputs, got 2"),
        ([np.zeros(2, int), np.zeros((2, 3))], np.zeros(2, int), r"inputs: .*, got float64 \(2, 3\) for number 1"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], np.zeros(2, int), r"inputs: .*, got float64 \(2, 4\) for number 1"),
        ([np.zeros(2)], np.zeros(1, int), r"inputs: .*, got float64 \(2,\) for number 0"),
        ([np.zeros(2, int)], [np.zeros((2, 3))], r"targets: expected sequences of indices \(T,\), all of one kind"),
        ([np.zeros(2, int)], np.zeros(1), r"targets: expected sequences of indices"),
    ],
)
def test_what_makes_no_batches(inputs: list[Array], targets: list[Array] | Array, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        RaggedBatches(inputs, targets)


def make_model(output: str = "last") -> SequenceModel:
    sizes = {"embedding_size": 4, "hidden_size": 6, "num_layers": 2}
    return SequenceModel(7, **sizes, dropout=0.3, bidirectional=True, output=output, output_size=3, seed=1)


@pytest.mark.parametrize(("output", "delay"), [("last", 0), ("mean", 1)])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("executor", COMPUTED)
async def test_they_train_as_in_the_serial_loop(executor: str, shards: int, delay: int, output: str) -> None:
    counts = {"shards": shards, "delay": delay, "seed": 3}
    state, batches = TrainingState(make_model(output), Updater(Adam(0.01)), **counts), of_classes()
    first = next(iter(batches))
    assert first.inputs.shape < batches.largest  # so that a later one is larger
    done = [*run(state, batches, largest=batches.largest)]
    trainer = Trainer(make_model(output), Adam(0.01), executor=executor, **counts)
    assert await trainer.run(of_classes()) == len(done) == 2 * batches.per_epoch
    ours, theirs = trainer.state.dump(), state.dump()
    assert ours.arrays.keys() == theirs.arrays.keys()
    assert all(np.array_equal(ours.arrays[name], array) for name, array in theirs.arrays.items())


@pytest.mark.parametrize("executor", COMPUTED)
async def test_labels_without_their_times_train_as_in_the_serial_loop(executor: str) -> None:
    rng = np.random.default_rng(2)
    inputs = [rng.standard_normal((rng.integers(0, 12), 5)).astype(np.float32) for _ in range(40)]
    labels = [rng.integers(1, 4, rng.integers(0, 1 + max(2, len(one) // 2))) for one in inputs]

    def make() -> tuple[SequenceModel, RaggedBatches]:
        model = SequenceModel(input_size=5, hidden_size=6, output_size=4, loss=CTCLoss(), seed=1)
        return model, RaggedBatches(inputs, labels, 6, epochs=2)

    model, batches = make()
    done = [*run(TrainingState(model, Updater(Adam(0.01)), shards=2), batches, largest=batches.largest)]
    again, batches = make()
    assert await Trainer(again, Adam(0.01), shards=2, executor=executor).run(batches) == len(done) == 14
    assert np.array_equal(again.parameters, model.parameters)


async def test_one_target_a_step_is_padded_too() -> None:
    inputs = make_indices(20)
    batches = RaggedBatches(inputs, [one % 3 for one in inputs], 6)
    trainer = Trainer(make_model("steps"), Adam(0.01))
    assert await trainer.run(batches) == 4


@pytest.mark.parametrize("cut", [1, 9, 13, 18])
async def test_a_run_goes_on_in_the_middle_of_an_epoch(cut: int, tmp_path: Path) -> None:
    whole = Trainer(make_model(), Adam(0.01), delay=1)
    await whole.run(of_classes())
    first, checkpoints = Trainer(make_model(), Adam(0.01), delay=1), Checkpoints(tmp_path, every=4)
    await first.run(of_classes(), steps=cut, checkpoints=checkpoints)
    trainer, batches = Trainer(make_model(), Adam(0.01), delay=1), of_classes()
    assert trainer.resume(Checkpoints(tmp_path, every=4), batches) is not None
    assert batches.position()["epoch"] * 9 + batches.position()["batch"] == cut
    assert await trainer.run(batches) == 18 - cut
    assert np.array_equal(trainer.model.parameters, whole.model.parameters)


def test_a_position_is_of_these_sequences() -> None:
    batches = of_classes()
    for _ in itertools.islice(batches, 4):
        pass
    position = batches.position()
    assert position == {"epoch": 0, "batch": 4, "sequences": 50, "batch_size": 6, "seed": 5}
    again = of_classes()
    again.rewind(position)
    assert same([*again], [*of_classes()][4:])
    for other in (of_classes(seed=6), of_classes(count=51), of_classes(batch_size=7)):
        with pytest.raises(SourceError, match="ragged batches: a position of"):
            other.rewind(position)


async def test_what_is_said_to_be_largest_is() -> None:
    batches = of_classes()
    batches.largest = (2, 6)
    with pytest.raises(ArgumentError, match="inputs: expected at most 2 steps of 6 lanes"):
        await Trainer(make_model(), Adam(0.01)).run(batches)


async def test_a_listener_can_be_async_and_training_waits_for_it() -> None:
    trainer, seen = Trainer(make_model(), Adam(0.01), delay=1, executor="thread"), list[tuple[int, bool]]()

    async def listen(report: object) -> None:
        step, before = trainer.step, trainer.model.parameters.copy()
        await trio.sleep(0.002)
        seen.append((step, trainer.step == step and np.array_equal(before, trainer.model.parameters)))

    await trainer.run(of_classes(), on_report=listen, report_every=3)
    assert seen == [(step, True) for step in range(3, 19, 3)]


def test_there_are_few_numbers_of_steps() -> None:
    """So that a workspace knows the shapes of most batches."""
    rounded = [few_lengths(steps) for steps in range(1, 1025)]
    assert rounded[:16] == [*range(1, 17)]
    assert all(steps <= up < steps * 1.125 for steps, up in enumerate(rounded, 1))
    assert len({up for up in rounded if 64 < up <= 128}) == 8
    assert [few_lengths(up) for up in rounded] == rounded
    inputs = [np.zeros(length, int) for length in (3, 17, 33, 45)]
    batches = RaggedBatches(inputs, np.zeros(4, int), 1)
    assert sorted(len(batch.inputs) for batch in batches) == [3, 18, 36, 45]  # and none is longer than the longest
