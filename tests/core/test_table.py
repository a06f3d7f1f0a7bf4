"""Rows of a table to columns, and back, with the kernels and without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recurrio.core.base import compiled
from recurrio.core.base.table import gather, rows_of, scatter

Array = np.ndarray
WAYS = [(level, "float32") for level in ("plain", "AVX2", "AVX-512", "NumPy")] + [("NumPy", "float64")]


@pytest.fixture(params=WAYS, ids=str)
def dtype(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """With the kernels of each level, and without."""
    level, dtype = request.param
    if level == "NumPy":
        monkeypatch.setattr(compiled, "KERNELS", [])
    elif not compiled.KERNELS or level not in compiled.LEVELS:
        pytest.skip("there are no such kernels here")
    else:
        monkeypatch.setattr(compiled, "KERNELS", compiled.use(level))
    yield dtype
    if compiled.KERNELS:
        compiled.use(compiled.INSTRUCTIONS)


@pytest.mark.parametrize("lanes", [1, 5, 8, 30, 64])
@pytest.mark.parametrize("units", [1, 7, 64])
def test_rows_come_as_columns_and_go_back(dtype: str, lanes: int, units: int) -> None:
    rng = np.random.default_rng(lanes)
    table = rng.standard_normal((100, units)).astype(dtype)
    before, own = table.copy(), rng.permutation(100)[:lanes]
    indices = np.where(rng.random(lanes) < 0.3, ~own, own)
    np.testing.assert_array_equal(rows_of(indices), own)
    rows = np.full((lanes + 2, units), 7, dtype)
    columns = np.full((units, lanes + 3), 7, dtype)
    gather(table, indices, rows[:lanes], columns[:, :lanes])
    np.testing.assert_array_equal(rows[:lanes], table[own])
    np.testing.assert_array_equal(columns[:, :lanes], np.where(indices < 0, 0, table[own].T))
    assert (rows[lanes:] == 7).all()
    assert (columns[:, lanes:] == 7).all()
    np.testing.assert_array_equal(table, before)
    columns[:, :lanes] += 1
    scatter(columns[:, :lanes], indices, rows[:lanes], table)
    before[own] = columns[:, :lanes].T
    np.testing.assert_array_equal(table, before)


@pytest.mark.skipif(not compiled.KERNELS, reason="installed without a compiler")
def test_an_index_beyond_the_table_touches_nothing_else() -> None:
    memory = np.zeros((5, 3), np.float32)
    table, rows, columns = memory[1:4], np.zeros((2, 3), np.float32), np.ones((3, 2), np.float32)
    indices = np.array([2**62, -(2**62)])
    gather(table, indices, rows, columns)
    scatter(columns + 1, indices, rows, table)
    assert not memory[[0, 1, 2, 4]].any()
    with pytest.raises(ValueError, match="do not fit"):
        gather(table[:0], indices, rows, columns)
