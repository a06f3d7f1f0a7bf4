"""Categories: numbers in the order of first sight, however the texts are divided, and a table that is never larger."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scales import divisions

from recurrio.core import ArgumentError
from recurrio.core.online.categories import MISSING, OTHER, Categories


def test_the_order_of_first_sight() -> None:
    table = Categories(3)
    numbers = table.encode(["b", None, "a", "b", "", "c", "a", "d", "c"])
    assert numbers.tolist() == [1, MISSING, 2, 1, 3, OTHER, 2, OTHER, OTHER]
    assert numbers.dtype == np.int64
    assert table.texts == ["b", "a", ""]
    assert table.other == 3
    assert len(table) == 3


def test_texts_differ_by_code_point() -> None:
    texts = ["\u00e9", "e\u0301", "A", "a", " a", "\ud800", "\0", "1", "１"]
    assert Categories(20).encode(texts).tolist() == list(range(1, 10))


def test_where_it_does_not_learn_nothing_changes() -> None:
    table = Categories(2)
    table.encode(["a"])
    before = table.dump()
    assert table.encode(["b", "a", None, "c"], learns=False).tolist() == [0, 1, -1, 0]
    assert table.dump() == before
    assert table.encode(["b"]).tolist() == [2]


@given(texts=st.lists(st.none() | st.sampled_from("abcdefgh"), max_size=60), most=st.integers(0, 9), data=st.data())
def test_against_a_plain_loop_and_divided_anyhow(texts: list[str | None], most: int, data: st.DataObject) -> None:
    known, expected, other = list[str](), list[int](), 0
    for text in texts:
        if text is not None and text not in known and len(known) < most:
            known.append(text)
        expected.append(-1 if text is None else known.index(text) + 1 if text in known else 0)
        other += expected[-1] == 0
    table, found = Categories(most), list[int]()
    for cut in data.draw(divisions(len(texts))):
        found += table.encode(texts[cut]).tolist()
        again = Categories(most)
        again.load(json.loads(json.dumps(table.dump())))
        table = again
    assert found == expected
    assert (table.texts, table.other) == (known, other)


def test_nothing_is_an_empty_array() -> None:
    assert Categories(0).encode([]).shape == (0,)
    assert Categories(0).encode(["a", None]).tolist() == [0, -1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"most": 3},
        {"texts": ["a", "a"]},
        {"texts": ["a", "b", "c"]},
        {"texts": ["a", 1]},
        {"texts": "ab"},
        {"other": -1},
        {"more": 1},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    table = Categories(2)
    table.encode(["x", "y", "z"])
    before = table.dump()
    with pytest.raises(ArgumentError):
        table.load(before | wrong)
    assert table.dump() == before
    assert table.encode(["y", "q"]).tolist() == [2, 0]
