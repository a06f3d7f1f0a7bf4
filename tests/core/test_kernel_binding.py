"""Binding kernels to arrays: what is refused, what can be in place, and that nothing is kept too long."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

kernels = pytest.importorskip("recurrio.core._kernels", reason="installed without a compiler")
WITH_PRODUCT = [level for level in kernels.INSTRUCTIONS if level != "plain"]
Array = np.ndarray
with_product = pytest.mark.skipif(not WITH_PRODUCT, reason="the processor has no AVX2")


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def unaligned(*shape: int) -> Array:
    return np.zeros(shape, np.dtype({"names": ["x"], "formats": ["<f4"], "offsets": [1], "itemsize": 5}))["x"]


def read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (TypeError, lambda: ()),
        (TypeError, lambda: (3, zeros(2, 2))),
        (LookupError, lambda: ("nothing", zeros(2, 2))),
        (TypeError, lambda: ("transpose", zeros(2, 2))),
        (TypeError, lambda: ("transpose", [[1.0]], zeros(1, 1))),
        (ValueError, lambda: ("transpose", zeros(1, 2, 1), zeros(2, 1))),
        (ValueError, lambda: ("transpose", zeros(2, 3), zeros(2, 3))),
        (ValueError, lambda: ("transpose", zeros(2, 3).astype(float), zeros(3, 2))),
        (ValueError, lambda: ("transpose", zeros(2, 3).astype(">f4"), zeros(3, 2))),
        (ValueError, lambda: ("transpose", zeros(2, 3), read_only(zeros(3, 2)))),
        (ValueError, lambda: ("transpose", zeros(2, 6)[:, ::2], zeros(3, 2))),
        (ValueError, lambda: ("lstm_forward", zeros(8, 3), *[zeros(2, 4)] * 5)),
        (ValueError, lambda: ("lstm_forward", zeros(8, 4), *[zeros(2, 5)[:, :4]] * 5)),
        (ValueError, lambda: ("lstm_backward", zeros(8, 4), *[zeros(2, 4)] * 5, zeros(8, 4), zeros(8, 4))),
        (ValueError, lambda: ("transpose", unaligned(2, 3), zeros(3, 2))),
        (ValueError, lambda: ("transpose", zeros(2, 3), unaligned(3, 2))),
        (ValueError, lambda: ("transpose", np.ma.masked_array(zeros(2, 3)).astype(int), zeros(3, 2))),
    ],
)
def test_what_does_not_fit_is_not_bound(error: type[Exception], arguments: Callable[[], tuple[object, ...]]) -> None:
    with pytest.raises(error):
        kernels.bind(*arguments())


@with_product
@pytest.mark.parametrize("shapes", [((3, 4), (5, 2), (3, 2)), ((3, 4), (4, 2), (2, 2)), ((3, 4), (4, 2), (3, 1))])
def test_a_product_of_other_shapes_is_not_bound(shapes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        kernels.bind("product", *(zeros(*shape) for shape in shapes))
    with pytest.raises(ValueError, match="do not fit"):
        kernels.bind("product", zeros(3, 0), zeros(0, 2), zeros(3, 2))


def test_a_bound_kernel_keeps_its_arrays_and_lets_them_go() -> None:
    values, out = np.eye(3, dtype=np.float32), zeros(3, 3)
    before = sys.getrefcount(values)
    call = kernels.bind("transpose", values, out)
    assert sys.getrefcount(values) > before
    with pytest.raises(TypeError, match="no arguments"):
        call(1)
    call()
    np.testing.assert_array_equal(out, values)
    del call
    assert sys.getrefcount(values) == before
    for _ in range(3):
        with pytest.raises(ValueError, match="fit"):
            kernels.bind("transpose", values, zeros(2, 2))
    assert sys.getrefcount(values) == before
    with pytest.raises(TypeError):
        type(kernels.bind("transpose", values, out))()


MEMORY = np.arange(400, dtype=np.float32)
SQUARE = MEMORY.reshape(20, 20)
OVERLAPS: dict[str, tuple[object, ...]] = {
    "in place": ("transpose", SQUARE, SQUARE),
    "in part": ("transpose", SQUARE[:5, :5], SQUARE[4:9, 4:9]),
    "backwards": ("transpose", SQUARE[8:3:-1, :5], SQUARE[4:9, 4:9]),
    "one row for all": ("transpose", np.zeros((3, 3), np.float32), as_strided(MEMORY, (3, 3), (0, 4))),
    "rows one beside": ("transpose", np.zeros((3, 3), np.float32), as_strided(MEMORY, (3, 3), (4, 4))),
    "rows one beside, backwards": ("transpose", np.zeros((3, 3), np.float32), as_strided(MEMORY[9:], (3, 3), (-4, 4))),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_what_would_be_read_after_it_is_written_is_not_bound(overlap: str) -> None:
    before = MEMORY.copy()
    with pytest.raises(ValueError, match="transpose: an array that is written overlaps itself or another"):
        kernels.bind(*OVERLAPS[overlap])
    assert np.array_equal(MEMORY, before)


@with_product
def test_a_product_into_its_own_factors_is_not_bound() -> None:
    whole = np.zeros((6, 6), np.float32)
    for matrix, x, out in ((whole, zeros(6, 6), whole), (zeros(6, 6), whole, whole), (zeros(3, 6), whole, whole[3:])):
        with pytest.raises(ValueError, match="overlaps"):
            kernels.bind("product", matrix, x, out)
    kernels.bind("product", whole[:3, :3], whole[:3, :3], zeros(3, 3))()  # both factors may be one
    kernels.bind("product", whole[:2], zeros(6, 6), whole[2:4])()  # and `out` beside them


def test_factors_may_repeat_their_elements() -> None:
    values, out = np.broadcast_to(np.float32(3), (4, 1)), zeros(1, 4)
    kernels.bind("transpose", values, out)()
    assert (out == 3).all()
    values = np.arange(8, dtype=np.float32).reshape(2, 4)[::-1]
    out = zeros(4, 2)
    kernels.bind("transpose", values, out)()
    assert np.array_equal(out, values.T)
    backwards = zeros(4, 2)[::-1]
    kernels.bind("transpose", values, backwards)()
    assert np.array_equal(backwards, values.T)


def test_the_stride_of_a_single_row_does_not_matter() -> None:
    one = as_strided(np.arange(3, dtype=np.float32), (1, 3), (6, 4))
    assert one.flags.aligned
    out = zeros(3, 1)
    kernels.bind("transpose", one, out)()
    assert out[:, 0].tolist() == [0, 1, 2]


def test_adam_may_write_where_it_reads_but_not_one_beside() -> None:
    constants = np.array([[0.9, 0.1, 0.99, 0.01, 1, 1e-8, 0.1, 0]], np.float32)

    def read() -> list[Array]:
        """Parameters, gradient, mean and square."""
        return [np.full((1, 9), value, np.float32) for value in (1, 2, 3, 4)]

    expected = [zeros(1, 9) for _ in range(3)]  # the next mean and square, and the parameters
    kernels.bind("adam", *read(), *expected, constants)()
    parameters, gradient, mean, square = given = read()
    kernels.bind("adam", *given, mean, square, parameters, constants)()
    for ours, wanted in zip((mean, square, parameters), expected, strict=True):
        assert np.array_equal(ours, wanted)
    whole, new = zeros(1, 10), [zeros(1, 9) for _ in range(3)]
    for wrong in (
        (whole[:, :9], gradient, mean, square, *new[:2], whole[:, 1:]),
        (parameters, gradient, whole[:, :9], square, whole[:, 1:], *new[:2]),
        (parameters, gradient, mean, square, new[0], new[0], new[1]),
        (parameters, gradient, mean, square, new[0], new[1], new[1]),
    ):
        with pytest.raises(ValueError, match="adam: an array that is written overlaps"):
            kernels.bind("adam", *wrong, constants)


def test_instructions_that_are_not_there_are_refused() -> None:
    with pytest.raises(LookupError, match="ABACUS"):
        kernels.use("ABACUS")
