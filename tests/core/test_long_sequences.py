"""A forward pass alone: in pieces, in little memory, with the bits of one pass; and with one BLAS thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.layers import LAYERS
from support.memory import peak

from recurrio.core import GRU, SequenceBatch, SequenceModel
from recurrio.core.base import blas
from recurrio.core.base.blas import blas_threads, one_blas_thread
from recurrio.core.cells.loop import Loop
from recurrio.core.layers import pieces
from recurrio.core.model import sequence_model
from recurrio.core.model.heads.table import HEADS

T, B, I, H = 23, 5, 3, 6
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "both ways": {"num_layers": 2, "bidirectional": True},
    "widths": {"num_layers": 2, "hidden_size": [6, 4], "bias": False},
    "batch first": {"batch_first": True, "dtype": "float64"},
}


def flat(value: Any) -> list[np.ndarray]:  # noqa: ANN401 (an array, or lists of them)
    return [value] if isinstance(value, np.ndarray) else [array for part in value for array in flat(part)]


@pytest.mark.parametrize("steps", [1, 4, 23, 1000])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_gives_the_bits_of_a_pass_with_a_tape(
    layer: str, options: str, masked: bool, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "STEPS", steps)
    one, rng = LAYERS[layer](I, **{"hidden_size": H, **OPTIONS[options]}, seed=1), np.random.default_rng(0)
    shape = (B, T) if one.batch_first else (T, B)
    x = rng.standard_normal((*shape, I)).astype(one.dtype)
    masks = {"lengths": np.array([23, 0, 9, 4, 22]), "reset": rng.random(shape) < 0.2} if masked else {}
    state = one(x)[1]
    for part in flat(state):
        part[...] = rng.standard_normal(part.shape)
    expected = one.forward(x, state, **masks)[:2]
    for ours, theirs in zip(flat(one(x, state, **masks)), flat(expected), strict=True):
        assert np.array_equal(ours, theirs)
    if not masked:
        ours, whole = one(x[:, 0] if not one.batch_first else x[0]), expected
        assert np.array_equal(ours[0], one.forward(x[:, 0] if not one.batch_first else x[0])[0])
        assert whole[0].shape == (*shape, one.stack.output_size)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", [{"vocabulary_size": 4}, {"vocabulary_size": 40}, {"input_size": 3, "output_size": 2}])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"dtype": "float64", "num_layers": 2}])
@pytest.mark.parametrize("output", HEADS)
def test_a_model_gives_the_bits_of_one_pass(
    output: str, options: dict[str, Any], kind: dict[str, Any], masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rng = (
        SequenceModel(**kind, embedding_size=3, hidden_size=H, output=output, **options, seed=1),
        np.random.default_rng(0),
    )
    inputs = rng.integers(0, 4, (T, B)) if "vocabulary_size" in kind else rng.random((T, B, I)).astype(model.dtype)
    masks = {"lengths": np.array([23, 0, 9, 4, 22]), "reset": rng.random((T, B)) < 0.2} if masked else {}
    state = model(inputs)[1]
    expected = flat(model(inputs, state, **masks))
    for steps in (1, 4, 22):
        monkeypatch.setattr(sequence_model, "STEPS", steps)
        for ours, whole in zip(flat(model(inputs, state, **masks)), expected, strict=True):
            assert np.array_equal(ours, whole)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_memory_of_a_layer_is_that_of_its_output(layer: str) -> None:
    one = LAYERS[layer](8, 16, seed=0)
    for steps in (2_000, 6_000):
        x = np.zeros((steps, 2, 8), np.float32)
        assert peak(lambda x=x: one(x)) < 2 * steps * 2 * one.stack.output_size * 4 + 3_000_000


@pytest.mark.parametrize("output", ["steps", "last"])
def test_the_memory_of_a_model_is_that_of_its_output(output: str) -> None:
    model = SequenceModel(8, embedding_size=8, hidden_size=16, output=output, seed=0)
    if model._piece(1000) == 1000:
        pytest.skip("without a kernel for products the head is not cut up")
    tokens = np.zeros((6_000, 2), int)
    assert peak(lambda: model(tokens)) < 3 * 6_000 * 2 * 8 * 4 + 3_000_000


def numbers() -> list[int]:
    return [library.num_threads for library in blas._libraries()]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[int]]]:
    """The numbers of BLAS threads whenever a loop runs, where they are two otherwise."""
    before, found, forward = numbers(), [], Loop.forward
    if not before or None in before:
        pytest.skip("this BLAS cannot say how many threads it has")
    for library in blas._libraries():
        library.set_num_threads(2)

    def watched(self: Loop, *arguments: Any) -> Any:  # noqa: ANN401
        found.append(numbers())
        return forward(self, *arguments)

    monkeypatch.setattr(Loop, "forward", watched)
    yield found
    for library, number in zip(blas._libraries(), before, strict=True):
        library.set_num_threads(number)


def test_a_plain_loop_has_one_blas_thread_unless_another_number_is_held(seen: list[list[int]]) -> None:
    model, layer = SequenceModel(5, hidden_size=4, seed=0), GRU(3, 4, seed=0)
    x, tokens = np.zeros((4, 2, 3), np.float32), np.zeros((4, 2), int)
    calls = (lambda: model.gradient(SequenceBatch(tokens, tokens)), lambda: model(tokens), lambda: layer(x))
    for call in (*calls, lambda: layer.forward(x)):
        seen.clear()
        call()
        assert set(map(tuple, seen)) == {(1,) * len(numbers())}
        assert set(numbers()) == {2}
        with blas_threads(2):
            seen.clear()
            call()
            assert set(map(tuple, seen)) == {(2,) * len(numbers())}
        with one_blas_thread(), blas_threads(2):  # nobody is in its way
            assert set(numbers()) == {2}
        assert set(numbers()) == {2}
