"""What `check_leaks` changes: all that comes after a record, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.training.changed import changed_after

N = 200
NUMBERS = Schema.of("x,big,zero,c:category", "x@+2,y", key="k", time="t")
CLASSES = Schema.of("x,big,zero,y,c:category", label="s", key="k", time="t")


def make_block(*, ids: bool = False) -> Block:
    rng = np.random.default_rng(0)
    numbers = np.stack(
        [rng.normal(20, 3, N), rng.choice([-1.7e308, 1.7e308, 5.0], N), np.zeros(N), rng.normal(0, 1, N)]
    )
    numbers[:, ::7] = np.nan
    texts = [None if n % 5 == 0 else "abc"[n % 3] for n in range(N)]
    keys, times = [str(n % 4) for n in range(N)], np.arange(N) * 60.0
    more = {"ids": [str(n) for n in range(N)], "answer": np.zeros(N, bool)} if ids else {}
    return Block(N, numbers.T.copy(), [texts], [*texts], keys, times, [], **more)


@pytest.mark.parametrize("place", [0, 13, 14, N - 1])
@pytest.mark.parametrize("seed", range(5))
def test_all_that_comes_after_is_another(place: int, seed: int) -> None:
    for schema in (NUMBERS, CLASSES):
        block, random = make_block(), np.random.default_rng(seed)
        other = changed_after(block, place, schema, random)
        end = place + 1
        same, tail = other.numbers[:end] == block.numbers[:end], np.isnan(block.numbers[:end])
        own = schema.targets and not np.isnan(block.numbers[place, 3])
        assert np.argwhere(~(same | tail)).tolist() == ([[place, 3]] if own else [])
        missing = np.isnan(block.numbers[end:]), np.isnan(other.numbers[end:])
        assert not (other.numbers[end:] == block.numbers[end:]).any()
        assert place == N - 1 or ((missing[0] & ~missing[1]).any() and (~missing[0] & missing[1]).any())
        assert np.isfinite(other.numbers[~np.isnan(other.numbers)]).all()
        assert other.categories[0][:end] == block.categories[0][:end]
        assert other.labels is not None
        assert block.labels is not None
        assert other.labels[:place] == block.labels[:place]
        pairs = [*zip(block.categories[0][end:], other.categories[0][end:], strict=True)]
        pairs += zip(block.labels[place:], other.labels[place:], strict=True)
        assert all(before is None or before != after for before, after in pairs)
        assert (other.keys, other.size) == (block.keys, N)
        assert other.times is block.times


def test_it_depends_on_the_seed_alone() -> None:
    one, same, other = (changed_after(make_block(), 9, NUMBERS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.numbers.tobytes() == same.numbers.tobytes() != other.numbers.tobytes()
    assert one.categories == same.categories


def test_where_labels_come_later_what_is_missing_stays_so() -> None:
    block = make_block(ids=True)
    other = changed_after(block, 9, CLASSES, np.random.default_rng(0))
    assert np.array_equal(np.isnan(other.numbers), np.isnan(block.numbers))
    for before, after in ((block.categories[0], other.categories[0]), (block.labels, other.labels)):
        assert before is not None
        assert after is not None
        assert [text is None for text in before] == [text is None for text in after]
    assert (other.ids, other.answer is block.answer) == (block.ids, True)
