"""A workspace serves every shape up to its largest: the bits of a workspace of that shape alone, in the same memory."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.labels import draw_labels
from support.layers import RANKED

from recurrio.core import Adam, BCEWithLogitsLoss, CrossEntropyLoss, CTCLoss, HuberLoss, SequenceBatch, SequenceModel
from recurrio.core.base.arena import Arena
from recurrio.core.base.ranks import Rank, lockstep
from recurrio.core.cells import buffers
from recurrio.core.cells.table import CELLS
from recurrio.core.model.batch import BatchBuffer, shard_lanes
from recurrio.core.model.heads.table import HEADS
from recurrio.core.model.passes import needs, room
from recurrio.core.model.run_memory import RunMemory
from recurrio.core.model.shard import Shard
from recurrio.core.model.workspace import Workspace, kept_shapes, shared_bytes
from recurrio.core.serial import train

T, B = 9, 6
KINDS: dict[str, dict[str, Any]] = {
    "folded or looked up": {"vocabulary_size": 4, "embedding_size": 3},  # folded from 16 tokens on
    "dropped": {"vocabulary_size": 4, "embedding_dropout": 0.3, "output_dropout": 0.4},
    "looked up": {"vocabulary_size": 30, "embedding_size": 3, "output_size": 4},
    "weighted": {"vocabulary_size": 4, "loss": CrossEntropyLoss(weight=(1, 2, 0.5, 3), label_smoothing=0.1)},
    "features": {"input_size": 3, "output_size": 2, "loss": HuberLoss(0.5)},
    "binary": {"input_size": 3, "output_size": 2, "loss": BCEWithLogitsLoss(pos_weight=(2, 3))},
    "ctc": {"input_size": 3, "output_size": 4, "loss": CTCLoss()},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "no bias": {"bias": False},
    "both ways": {"bidirectional": True, "num_layers": 2},
    "dropout": {"num_layers": 2, "dropout": 0.4},
    "float64": {"dtype": "float64"},
    "projection": {"proj_size": 2},
    "zoned out": {"zoneout": 0.3},
    "normalised": {"layer_norm": True, "zoneout": 0.3},
}
SHAPES_IN_TURN = [(9, 6), (4, 6), (9, 6), (1, 1), (9, 2), (3, 5), (5, 3), (4, 6), (9, 6)]


def make_batch(model: SequenceModel, steps: int, lanes: int, rng: np.random.Generator, masked: bool) -> SequenceBatch:
    arrays = {}
    for name, (shape, dtype) in model.network.arrays(steps, lanes).items():
        if dtype.kind == "f":
            arrays[name] = rng.random(shape).astype(dtype)
        elif dtype.kind == "b":
            arrays[name] = rng.random(shape) < 0.2
        else:
            arrays[name] = rng.integers(0, steps + 1 if name == "lengths" else 4, shape)
    if model.network.loss.by_lane:
        arrays["targets"] = draw_labels(rng, int(rng.integers(0, len(arrays["targets"]) + 1)), lanes, 4)
    batch = SequenceBatch(**arrays)
    return batch if masked else batch._replace(reset=False, lengths=None)


def make_workspaces(model: SequenceModel, steps: int, lanes: int, ranks: int) -> list[Workspace]:
    """Those of all ranks, in memory that is full of nonsense."""
    memory = Arena().block(shared_bytes(model, steps, lanes, ranks, 1))
    memory.fill(255)  # not a number, whatever the type
    made = []
    for index in range(ranks):
        gradient = np.empty_like(model.parameters)
        arena = Arena(memory)
        with pytest.MonkeyPatch.context() as patch:
            block = Arena.block

            def nonsense(self: Arena, size: int, block: Any = block) -> np.ndarray:  # noqa: ANN401
                found = block(self, size)
                found.fill(255)
                return found

            patch.setattr(Arena, "block", nonsense)
            made.append(Workspace(model, steps, lanes, gradient, Rank(index, ranks), arena))
    return made


def run(spaces: list[Workspace], model: SequenceModel, batch: SequenceBatch, seed: int) -> list[np.ndarray]:
    ranks, rng = len(spaces), np.random.default_rng(seed)
    states = [model.initial_state(batch.inputs.shape[1], Rank(index, ranks)) for index in range(ranks)]
    for state in states:
        for part in state:
            for array in part:
                array[...] = rng.standard_normal(array.shape)
    draws = [np.random.default_rng((seed, index)) for index in range(ranks)]
    zipped = list(zip(spaces, states, draws, strict=True))
    blocks = model.network.blocks(model.parameters)
    losses = lockstep([space.forward(blocks, batch, state, draw) for space, state, draw in zipped])
    lockstep([space.backward(0.5) for space in spaces])
    lockstep([space.weight_gradient() for space in spaces])
    kept = [array.copy() for state in states for part in state for array in part]
    return [np.array(losses), *(space.gradient.copy() for space in spaces), *kept]


CASES = [
    (cell, kind, options, list(HEADS)[number % len(HEADS)])  # each head with each option and kind, in turn
    for number, (options, kind, cell) in enumerate(product(OPTIONS, KINDS, CELLS))
    if (CELLS[cell].projects or options != "projection") and (CELLS[cell].normalises or options != "normalised")
]


@pytest.mark.parametrize(("cell", "kind", "options", "output"), CASES)
def test_any_shape_after_any_other_has_the_bits_of_a_workspace_of_its_own(
    cell: str, kind: str, options: str, output: str
) -> None:
    model = SequenceModel(**KINDS[kind], cell=cell, hidden_size=5, output=output, **OPTIONS[options], seed=1)
    for ranks in (1, 3) if options not in ("projection", "normalised") and cell in RANKED else (1,):
        spaces = make_workspaces(model, T, B, ranks)
        rng = np.random.default_rng(2)
        for number, (steps, lanes) in enumerate(SHAPES_IN_TURN):
            batch = make_batch(model, steps, lanes, rng, masked=number % 2 == 0)
            ours = run(spaces, model, batch, number)
            alone = run(make_workspaces(model, steps, lanes, ranks), model, batch, number)
            for one, other in zip(ours, alone, strict=True):
                assert np.isfinite(one).all()
                assert np.array_equal(one, other)


@settings(deadline=None, max_examples=150)
@given(
    largest=st.tuples(st.integers(2, 20), st.integers(2, 200)),
    parts=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    cell=st.sampled_from(sorted(CELLS)),
    kind=st.sampled_from(sorted(KINDS)),
    options=st.sampled_from(["one layer", "both ways", "dropout", "float64", "zoned out"]),
    output=st.sampled_from(sorted(HEADS)),
    ranks=st.integers(1, 5),
    cache=st.sampled_from([0, 8, 12, 28, 42, 32, 48]),
)
def test_no_shape_needs_more_memory_than_the_largest_has(
    largest: tuple[int, int],
    parts: tuple[float, float],
    cell: str,
    kind: str,
    options: str,
    output: str,
    ranks: int,
    cache: int,
) -> None:
    model = SequenceModel(**KINDS[kind], cell=cell, hidden_size=5, output=output, **OPTIONS[options])
    steps, lanes = (max(1, round(size * part)) for size, part in zip(largest, parts, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        # With one lane less, two or three steps are in a sweep instead of one or two.
        patch.setattr(buffers, "CACHE_BYTES", cache * 5 * (largest[1] - 1) * model.dtype.itemsize)
        shared, own = room(model.network, *largest, ranks)
        for near in ((steps, lanes), (largest[0], largest[1] - 1), (largest[0] - 1, largest[1])):
            found = needs(model.network, *near, ranks, folded=model.network.folds(*near))
            assert found[0] <= shared
            assert found[1] <= own


def test_memory_is_flat_whatever_shapes_come() -> None:
    model = SequenceModel(8, embedding_size=8, hidden_size=16)
    (space,) = make_workspaces(model, 20, 8, 1)
    rng = np.random.default_rng(0)
    shapes = [tuple(shape) for shape in rng.integers(1, (21, 9), (800, 2)).tolist()]
    batches = {shape: make_batch(model, *shape, rng, masked=False) for shape in shapes}
    peaks = []
    for part in (shapes[:400], shapes[400:]):  # in each of which all that is kept is laid out anew
        tracemalloc.start()
        for shape in part:
            run([space], model, batches[shape], 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(space._kept) == kept_shapes(20) == 64
    assert abs(peaks[1] - peaks[0]) < 0.2 * peaks[0]
    tracemalloc.start()
    held = []
    for _ in range(20):
        for shape in list(space._kept):
            run([space], model, batches[shape], 0)
        gc.collect()  # what Python keeps for new tuples counts as well
        ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*recurrio*")])  # of no other thread
        held.append(sum(trace.size for trace in ours.traces))
    tracemalloc.stop()
    # Nothing is kept that was not there; what Python keeps comes and goes every few rounds.
    assert max(held[-8:]) < max(held[4:-8]) + 10_000


@pytest.mark.parametrize("ranks", [1, 2])
def test_missing_lanes_keep_their_state_and_a_shard_without_lanes_has_no_gradient(ranks: int) -> None:
    model = SequenceModel(5, embedding_size=3, hidden_size=4, cell="gru", seed=1)
    rng, memory = np.random.default_rng(0), RunMemory(model, [4], ranks=ranks, rows=1, workspaces=1, arena=Arena())
    memory.parameters[0] = model.parameters
    shard, gradients = Shard(model, 6, 4, memory, 0, seed=0), memory.gradients[0]
    whole, fewer = (SequenceBatch(*rng.integers(0, 5, (2, *shape))) for shape in ((6, 4), (3, 2)))
    none = whole.lanes(slice(4, 6))

    def units(after: int) -> np.ndarray:
        return np.concatenate([rank[0][0] for rank in memory.state_before(after + 1)[0]])

    shard.forward(0, 0, 0, whole)
    before = units(0)
    shard.forward(0, 0, 1, fewer)
    after = units(1)
    assert np.array_equal(after[:, 2:], before[:, 2:])
    assert not np.array_equal(after[:, :2], before[:, :2])
    shard.forward(0, 0, 2, fewer._replace(reset=True))
    assert np.array_equal(units(2)[:, 2:], before[:, 2:])
    shard.backward(0, 1.0)
    assert gradients.any()
    kept = units(2)
    assert shard.forward(0, 0, 3, none._replace(reset=True)) == 0
    shard.backward(0, 1.0)
    assert not gradients.any()
    assert np.array_equal(units(3), kept)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dropped"])
@pytest.mark.parametrize("shards", [1, 3])
def test_smaller_batches_train_as_a_loop_by_hand(kind: str, shards: int) -> None:
    rng = np.random.default_rng(3)
    ours, by_hand = (SequenceModel(**KINDS[kind], hidden_size=5, dtype="float64", seed=1) for _ in range(2))
    shapes = [(5, 6), (5, 4), (2, 6), (5, 6), (1, 1), (5, 6)]
    batches = [make_batch(ours, *shape, rng, masked=number % 2 == 0) for number, shape in enumerate(shapes)]
    losses = [step.loss for step in train(ours, Adam(0.01), batches, shards=shards)]
    state, optimizer = by_hand.initial_state(6), Adam(0.01)
    for batch, loss in zip(batches, losses, strict=True):
        lanes = batch.inputs.shape[1]
        own = [tuple(array[:, :lanes] for array in part) for part in state]
        expected, gradient, after = by_hand.gradient(batch, own)
        for part, new in zip(own, after, strict=True):
            for array, value in zip(part, new, strict=True):
                array[...] = value
        assert loss == pytest.approx(expected, rel=1e-12)
        optimizer.step(by_hand.parameters.copy(), gradient, by_hand.parameters)
    np.testing.assert_allclose(ours.parameters, by_hand.parameters, rtol=1e-9)


def test_the_shards_of_a_smaller_batch_are_the_first_lanes_of_each() -> None:
    lanes = shard_lanes(7, 3)
    batch = SequenceBatch(*np.arange(2 * 3 * 4).reshape(2, 3, 4), lengths=np.arange(4))
    assert [part.inputs.shape for part in batch.shards(lanes)] == [(3, 3), (3, 1), (3, 0)]
    assert [part.lengths.tolist() for part in batch.shards(lanes)] == [[0, 1, 2], [3], []]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_goes_through_a_buffer_field_by_field(kind: str) -> None:
    model, rng = SequenceModel(**KINDS[kind], output="steps"), np.random.default_rng(0)
    spec = model.network.spec(T, B)
    assert {*spec.arrays(T, B), "rows", "carry", "classes", "actions"} == set(SequenceBatch._fields)
    memory = Arena().block(1 << 16)
    trainer, worker = (BatchBuffer(spec, Arena(memory)) for _ in range(2))
    for steps, lanes in ((9, 6), (4, 5), (9, 6), (2, 0), (1, 1)):
        full = make_batch(model, steps, lanes, rng, masked=True)
        rows = np.arange(lanes)
        others = {"reset": True}, {"reset": False}, {"lengths": None}, {"rows": ~rows, "classes": 2}, {"carry": rows}
        for batch in (full, *(full._replace(**other) for other in others)):
            read = worker.read(*map(float, trainer.write(batch)))
            for one, other in zip(read, batch, strict=True):
                assert type(one) is type(other)
                assert np.array_equal(one, other)
