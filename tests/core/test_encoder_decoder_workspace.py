"""The memory of an encoder–decoder: any shape in that of the largest, with the same bits, whatever came before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pairs import random_pairs

from recurrio.core import EncoderDecoder, SequenceBatch
from recurrio.core.base.arena import Arena, Arenas, DryArena
from recurrio.core.base.ranks import Rank, lockstep
from recurrio.core.model.batch import BatchBuffer
from recurrio.core.model.workspace import Workspace, shared_bytes

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"dtype": "float64"},
    "dot": {"cell": "lstm", "attention": "dot"},
    "both ways": {"bidirectional": True, "num_layers": 2, "attention": "general", "dropout": 0.5},
    "fed": {"cell": "lstm", "attention": "dot", "input_feeding": True, "num_layers": 2, "dropout": 0.5},
    "additive": {"cell": "rnn", "attention": "additive"},
}
STEPS, LANES = 9, 5


def make_model(options: str) -> EncoderDecoder:
    return EncoderDecoder(7, 6, start=4, end=5, embedding_size=3, hidden_size=4, seed=1, **OPTIONS[options])


def make_workspace(model: EncoderDecoder) -> Workspace:
    """In memory that is full of nonsense."""
    memory = Arena().block(shared_bytes(model, STEPS, LANES, 1, 1))
    memory.fill(255)
    with pytest.MonkeyPatch.context() as patch:
        block = Arena.block

        def nonsense(self: Arena, size: int) -> np.ndarray:
            found = block(self, size)
            found.fill(255)
            return found

        patch.setattr(Arena, "block", nonsense)
        return Workspace(model, STEPS, LANES, np.empty_like(model.parameters), Rank(), Arena(memory))


def run(space: Workspace, model: EncoderDecoder, batch: SequenceBatch) -> tuple[float, np.ndarray]:
    (loss,) = lockstep([space.forward(model.network.blocks(model.parameters), batch, [], np.random.default_rng(3))])
    lockstep([space.backward(0.5)])
    lockstep([space.weight_gradient()])
    return loss, space.gradient.copy()


@pytest.mark.parametrize("options", OPTIONS)
def test_any_shape_after_any_other_has_the_bits_of_a_workspace_of_its_own(options: str) -> None:
    model = make_model(options)
    space = make_workspace(model)
    for number, shape in enumerate([(9, 9, 5), (3, 7, 4), (7, 3, 5), (1, 1, 1), (9, 2, 2), (3, 7, 4), (9, 9, 5)]):
        batches = random_pairs(model, 3, *shape, seed=number, least=0)
        for batch in batches:
            ours, alone = run(space, model, batch), run(make_workspace(model), model, batch)
            assert np.isfinite(ours[0])
            assert np.isfinite(ours[1]).all()
            assert ours[0] == alone[0]
            assert np.array_equal(ours[1], alone[1])


@settings(deadline=None, max_examples=60)
@given(
    largest=st.tuples(st.integers(1, 20), st.integers(1, 60)),
    parts=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1)),
    options=st.sampled_from(sorted(OPTIONS)),
)
def test_no_shape_needs_more_memory_than_the_largest_has(
    largest: tuple[int, int], parts: tuple[float, float, float], options: str
) -> None:
    model, (steps, lanes) = make_model(options), largest
    shape = tuple(max(1, round(size * part)) for size, part in zip((steps, steps, lanes), parts, strict=True))
    arenas = Arenas(DryArena(), DryArena())
    model.open(shape, model.parameters, np.empty(1), Rank(), arenas)
    shared, own = model.room(steps, lanes, 1)
    assert arenas.shared.size <= shared
    assert arenas.own.size <= own


def test_a_batch_goes_through_a_buffer_with_targets_of_another_length() -> None:
    model, memory = make_model("plain"), Arena().block(1 << 16)
    trainer, worker = (BatchBuffer(model.network.spec(STEPS, LANES), Arena(memory)) for _ in range(2))
    for shape in ((9, 9, 5), (3, 7, 4), (7, 3, 5)):
        for batch in random_pairs(model, 3, *shape):
            for one, other in zip(worker.read(*map(float, trainer.write(batch))), batch, strict=True):
                assert type(one) is type(other)
                assert np.array_equal(one, other)
