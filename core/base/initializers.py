"""torch's initial parameters, number for number.

The generator is the Mersenne Twister that torch uses on a CPU, read the way torch reads it, so a layer made here from
a seed has the parameters that torch gives the same layer after ``torch.manual_seed(seed)``: uniform numbers to the
last bit, normal ones to rounding, because torch computes their logarithm and cosine its own way.
"""

from __future__ import annotations

import math
import secrets

import numpy as np

from .checks import check_count
from .parameters import Array

__all__ = ["TorchRandom", "check_seed", "fresh_seed"]

BLOCK = 16  # torch turns uniform numbers into normal ones by blocks of this size
LARGEST_SEED = (1 << 32) - 1


def check_seed(seed: int) -> int:
    """`seed` as Python's int. Raises ArgumentError unless it is a whole number in 0 … 2³²−1."""
    return check_count("seed", seed, 0, LARGEST_SEED)


def fresh_seed() -> int:
    """A seed from the operating system's entropy. No global generator has a part in it."""
    return secrets.randbelow(LARGEST_SEED + 1)


class TorchRandom:
    """A stream of random numbers from `seed`, a whole number in 0 … 2³²−1, as ``torch.manual_seed`` starts it."""

    def __init__(self, seed: int) -> None:
        self._words = np.random.RandomState(check_seed(seed))

    def uniform(self, shape: tuple[int, ...], bound: float, dtype: np.dtype) -> Array:
        """Numbers in ``[−bound, bound)``, as ``torch.nn.init.uniform_``."""
        unit = self._unit(math.prod(shape), dtype)
        low, high = dtype.type(-bound), dtype.type(bound)
        # In a wider type than the result, because torch's processors round the product and the sum only once.
        wide = unit.astype(np.longdouble) * np.longdouble(high - low) + np.longdouble(low)
        return wide.astype(dtype).reshape(shape)

    def normal(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Numbers from N(0, 1) by the Box-Muller transform, as ``torch.nn.init.normal_``."""
        count = math.prod(shape)
        if count < BLOCK:  # pair by pair, in double precision
            pairs = self._unit(2 * -(-count // 2), np.dtype(np.float64)).reshape(-1, 2)
            radius, angle = np.sqrt(-2 * np.log1p(-pairs[:, 1])), 2 * math.pi * pairs[:, 0]
            values = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).ravel().astype(dtype)
            return values[:count].reshape(shape)
        values = self._unit(count, dtype)
        whole = count // BLOCK * BLOCK
        values[:whole] = _box_muller(values[:whole])
        if whole < count:  # the last 16 are drawn again, to be a block of their own
            values[-BLOCK:] = _box_muller(self._unit(BLOCK, dtype))
        return values.reshape(shape)

    def _unit(self, count: int, dtype: np.dtype) -> Array:
        """`count` numbers in [0, 1): the low 24 bits of a word for float32, 53 bits of two for float64."""
        bits, words = (24, 1) if dtype == np.float32 else (53, 2)
        drawn = self._words.randint(0, 1 << 32, size=(count, words), dtype=np.uint32).astype(np.uint64)
        whole = drawn[:, 0] if words == 1 else (drawn[:, 0] << np.uint64(32)) | drawn[:, 1]
        unit: Array = np.multiply(whole & np.uint64((1 << bits) - 1), 2.0**-bits, dtype=np.float64)
        return unit.astype(dtype)


def _box_muller(unit: Array) -> Array:
    """Blocks of 16: eight radii from the first half, eight angles from the second."""
    blocks = unit.reshape(-1, 2, BLOCK // 2)
    radius = np.sqrt(-2 * np.log(1 - blocks[:, 0]))
    angle = unit.dtype.type(2 * math.pi) * blocks[:, 1]
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).reshape(unit.shape)
