"""Calls made of calls: bound kernels that run as one, and calls that are kept for the arrays that take turns."""

from __future__ import annotations

import gc
import sys
import weakref
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from recurrio.core import Adam, HuberLoss, SequenceBatch, SequenceModel
from recurrio.core.base import compiled
from recurrio.core.base.compiled import ByArray, in_turn, nothing
from recurrio.core.cells.table import CELLS
from recurrio.core.serial import train

Array = np.ndarray
with_kernels = pytest.mark.skipif(not compiled.KERNELS, reason="installed without a compiler")


def copy_of(values: Array, out: Array) -> compiled.Call:
    return compiled.bind("scale", values, np.ones((len(values), 1), np.float32), out)


@with_kernels
def test_bound_kernels_that_follow_one_another_are_one_call() -> None:
    rng = np.random.default_rng(0)
    first, second, third, fourth = arrays = [rng.standard_normal((4, 3)).astype(np.float32) for _ in range(4)]
    run = in_turn([copy_of(first, second), nothing, copy_of(second, third), copy_of(third, fourth)])
    assert type(run).__name__ == "Chain"
    run()
    for array in arrays:
        np.testing.assert_array_equal(array, first)
    first += 1
    run()
    np.testing.assert_array_equal(fourth, first)


@with_kernels
def test_other_calls_come_between_in_their_order() -> None:
    said: list[int] = []
    first, second, third = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    run = in_turn(
        [
            partial(said.append, 1),
            copy_of(first, second),
            partial(np.add, second, 1, second),
            copy_of(second, third),
            partial(said.append, 2),
        ]
    )
    run()
    run()
    assert said == [1, 2, 1, 2]
    assert (third == 2).all()


def test_a_single_call_is_itself_and_none_does_nothing() -> None:
    said: list[int] = []
    one = partial(said.append, 1)
    assert in_turn([one]) is one
    in_turn([])()
    in_turn([nothing, nothing])()
    assert said == []


@with_kernels
def test_a_chain_keeps_its_calls_and_lets_them_go() -> None:
    values, out = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    call = copy_of(values, out)
    before = sys.getrefcount(call)
    chain = compiled.chain(call, call)
    assert sys.getrefcount(call) == before + 2
    with pytest.raises(TypeError, match="no arguments"):
        chain(1)
    with pytest.raises(TypeError, match="expected bound kernels, got function"):
        compiled.chain(call, nothing)
    with pytest.raises(TypeError, match="expected bound kernels"):
        compiled.chain(chain)
    with pytest.raises(TypeError):
        type(chain)()
    del chain
    assert sys.getrefcount(call) == before


@with_kernels
def test_a_long_chain_lets_other_threads_run_and_does_all() -> None:
    arrays = [np.full((300, 300), k, np.float32) for k in range(4)]
    compiled.chain(*(copy_of(*pair) for pair in pairwise(arrays)))()
    assert not any(array.any() for array in arrays)


def test_a_call_is_kept_for_a_few_arrays() -> None:
    made: list[Array] = []
    said: list[float] = []

    def bind(array: Array) -> compiled.Call:
        made.append(array)
        return lambda: said.append(float(array[0]))

    by_array = ByArray(bind)
    versions = [np.array([float(k)]) for k in range(ByArray.KEPT)]
    for _ in range(3):
        for version in versions:
            by_array(version)
    assert len(made) == len(versions)
    assert said == [0, 1, 2, 3] * 3
    versions[1][0] = 7
    by_array(versions[1])
    assert said[-1] == 7
    for k in range(50):  # arrays that come and go, often in the same place
        by_array(np.array([100.0 + k]))
        assert said[-1] == 100 + k
    assert len(by_array._calls) <= ByArray.KEPT


@pytest.mark.parametrize("cell", CELLS)
def test_what_has_run_is_freed_without_the_collector(cell: str) -> None:
    """Shared memory can only be closed when no view of it is left."""
    model = SequenceModel(input_size=3, hidden_size=4, output_size=1, cell=cell, loss=HuberLoss(), seed=0)
    workspace = model.workspace(5, 2)
    loop = workspace.passes(5, 2)._stack.kernels[0]
    batch = SequenceBatch(np.ones((5, 2, 3), np.float32), np.ones((5, 2, 1), np.float32))
    list(train(model, Adam(0.01), [batch] * 2))
    gc.collect()
    gc.disable()
    try:
        passes = workspace.passes(5, 2)
        blocks = model.network.blocks(model.parameters)
        for step in (passes.forward(blocks, batch, model.initial_state(2)), passes.backward(1.0)):
            for _ in step:
                pass
        for _ in passes.weight_gradient():
            pass
        gone = weakref.ref(loop), weakref.ref(workspace.gradient)
        del loop, passes, step, workspace
        assert [one() for one in gone] == [None, None]
    finally:
        gc.enable()
