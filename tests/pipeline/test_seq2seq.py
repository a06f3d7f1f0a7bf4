"""An encoder–decoder through the pipeline: the same bits as the serial loop, whatever computes where."""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_process import run_here
from support.pairs import random_pairs

from recurrio.core import Adam, ArgumentError, EncoderDecoder, SequenceBatch
from recurrio.core.cells.table import CELLS
from recurrio.core.model.padding import pad
from recurrio.core.optim.updater import Updater
from recurrio.core.seq2seq import greedy
from recurrio.core.seq2seq.scores import SCORES
from recurrio.core.serial import Step, run, train
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Checkpoints, Records, Trainer
from recurrio.pipeline.flow.worker_process import obstacle
from recurrio.pipeline.lanes.ragged import RaggedBatches
from recurrio.pipeline.training.epochs import train_epochs

T, S, B, COUNT = 6, 8, 5, 9  # targets longer than sources

ROWS: dict[str, dict[str, Any]] = {
    **{cell: {"cell": cell} for cell in CELLS},
    **{score: {"attention": score} for score in SCORES},
    "deep": {"cell": "lstm", "num_layers": 2, "dropout": 0.3, "attention": "general"},
    "fed": {"attention": "dot", "input_feeding": True, "num_layers": 2, "dropout": 0.3},
    "both ways": {"cell": "lstm", "bidirectional": True, "attention": "additive"},
    "float64": {"dtype": "float64"},
}


def make_model(row: str) -> EncoderDecoder:
    return EncoderDecoder(9, 7, start=5, end=6, embedding_size=4, hidden_size=8, seed=1, **ROWS[row])


@cache
def make_batches(row: str) -> list[SequenceBatch]:
    batches = random_pairs(make_model(row), COUNT, T, S, B, least=0)
    batches[4] = batches[4].lanes(slice(0, 2))  # so that a shard has none
    return batches


@cache
def run_serial(row: str, **options: int) -> tuple[np.ndarray, list[Step]]:
    model = make_model(row)
    steps = list(train(model, Adam(0.01), make_batches(row), clip=0.5, **options))
    assert not np.array_equal(model.parameters, make_model(row).parameters)
    return model.parameters, steps


async def check_same_bits(row: str, executor: str, **options: int) -> None:
    model, steps = make_model(row), list[Step]()
    trainer = Trainer(model, Adam(0.01), clip=0.5, executor=executor, **options)
    await trainer.run(
        make_batches(row),
        on_report=lambda report: steps.append(Step(report.step, report.version, report.loss, report.grad_norm)),
    )
    parameters, expected = run_serial(row, **options)
    assert steps == expected
    assert len(steps) == COUNT
    assert model.parameters.tobytes() == parameters.tobytes()


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize(("shards", "delay"), [(1, 0), (2, 1), (B, 2)])
@pytest.mark.parametrize("row", ROWS)
async def test_same_bits_as_the_serial_loop(row: str, shards: int, delay: int, executor: str) -> None:
    await check_same_bits(row, executor, shards=shards, delay=delay)


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
@pytest.mark.parametrize("row", ["gru", "deep", "both ways", "fed"])
async def test_same_bits_in_processes(row: str) -> None:
    await check_same_bits(row, "process", shards=2, delay=1, seed=5)


async def test_the_dropout_is_a_function_of_the_seed() -> None:
    assert not np.array_equal(run_serial("deep", seed=1)[0], run_serial("deep", seed=2)[0])
    await check_same_bits("deep", "inline", seed=2)


async def test_a_run_that_was_cut_short_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    class Source:
        """The batches, from a position on."""

        number = 0

        def __iter__(self) -> Any:  # noqa: ANN401
            return self

        def __next__(self) -> SequenceBatch:
            if self.number == COUNT:
                raise StopIteration
            self.number += 1
            return make_batches("deep")[self.number - 1]

        def position(self) -> dict[str, int]:
            return {"number": self.number}

        def rewind(self, position: dict[str, int]) -> None:
            self.number = position["number"]

    expected, _ = run_serial("deep", delay=1)
    for taken in (5, COUNT):
        model = make_model("deep")
        trainer = Trainer(model, Adam(0.01), clip=0.5, delay=1, executor="inline")
        checkpoints = Checkpoints(tmp_path, every=2)
        source = Source()
        assert (trainer.resume(checkpoints, source) is None) == (taken < COUNT)
        await trainer.run(source, steps=taken - trainer.step, checkpoints=checkpoints)
    assert model.parameters.tobytes() == expected.tobytes()


async def test_it_has_one_rank_and_is_not_for_records() -> None:
    model = make_model("gru")
    with pytest.raises(ArgumentError, match="ranks: expected at most 1 for this model, got 2"):
        Trainer(model, Adam(0.01), ranks=2)
    trainer = Trainer(model, Adam(0.01))
    assert trainer.ranks == 1
    with pytest.raises(ArgumentError, match="model: expected a SequenceModel, for records, got EncoderDecoder"):
        await trainer.run(Records([{"x": 1.0}], features="x", target="x@+1"))


def test_a_file_of_it_can_be_inspected(tmp_path: Path) -> None:
    make_model("fed").save(tmp_path / "model.safetensors", {"steps": 3})
    shown = run_here("inspect", tmp_path)
    assert (shown.code, shown.errors) == (0, "")
    assert re.search(r"^format: +recurrio-encoder-decoder-1$", shown.output, re.MULTILINE)
    assert re.search(r"^model: +gru 2×8, \d,\d+ parameters, loss cross_entropy$", shown.output, re.MULTILINE)
    assert re.search(r"^trained: +steps 3$", shown.output, re.MULTILINE)
    assert "encoder.rnn.weight_ih_l1 float32[24, 8]" in shown.output


async def test_ragged_pairs_are_learned_epoch_after_epoch() -> None:
    rng = np.random.default_rng(0)
    sources = [rng.integers(0, 5, rng.integers(1, 7)) for _ in range(640)]
    targets = [np.append(source[::-1], 6) for source in sources]
    batches = RaggedBatches(sources, targets, 32, epochs=20)

    def make() -> EncoderDecoder:
        return EncoderDecoder(5, 7, start=5, end=6, embedding_size=16, hidden_size=48, attention="dot", seed=0)

    def score(model: EncoderDecoder) -> float:
        inputs, lengths = pad(sources[:50], 0), np.array([len(source) for source in sources[:50]])
        found = greedy(model, inputs, lengths, limit=8)
        return np.mean([each.symbols == source[::-1].tolist() for each, source in zip(found, sources, strict=False)])

    model, by_hand = make(), make()
    best = await train_epochs(Trainer(model, Adam(0.005), clip=1.0, delay=1), batches, score)
    assert best.scores[0] < 0.5
    assert best.score > 0.9
    last = batches.per_epoch * best.epoch
    state = TrainingState(by_hand, Updater(Adam(0.005), 1.0), delay=1)
    list(run(state, islice(batches, last), largest=batches.largest))
    assert model.parameters.tobytes() == by_hand.parameters.tobytes()
