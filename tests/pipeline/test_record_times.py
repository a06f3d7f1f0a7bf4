"""The times of records: the forms that are read, those that are refused, and that equal times are equal to the bit."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurrio.pipeline.decoding.times import Times, split_unit
from recurrio.pipeline.decoding.values import Malformed

START = 1704067200  # 2024-01-01
SAME = [
    "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00.500000000Z", "2024-01-01t00:00:00.5z",
    "2024-01-01 05:30:00.5+0530", "2023-12-31T19:00:00.5-05", "2024-01-01 05:30:00.5+05:30", "1704067200.5",
    " 2024-01-01T00:00:00.5", "1704067200.50", "17040672005e-1",
]  # fmt: skip


@pytest.mark.parametrize("text", SAME)
def test_one_instant_is_one_time_in_all_forms(text: str) -> None:
    assert Times("t").seconds(text) == START + 0.5
    assert Times("t").column([text, text], {}).tolist() == [START + 0.5] * 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-01", START),
        ("2024-01-01T01", START + 3600),
        ("2024-01-01 01:02", START + 3720),
        ("2024-01-01T24:00:00Z", START + 86400),
        ("2024-01-01T24:00", START + 86400),
        ("2024-01-01T24:00:00.000", START + 86400),
        ("2016-12-31T23:59:59Z", 1483228799),
        ("2016-12-31T23:59:60Z", 1483228800),
        ("2017-01-01T00:00:00Z", 1483228800),
        ("1970-01-01", 0),
        ("2099-12-31T23:59:59", 4102444799),
        ("2024-02-29", START + 59 * 86400),
    ],
)
def test_the_forms(text: str, seconds: float) -> None:
    assert Times("t").seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "2024-1-1", "20240101T00", "2024-01-01T", "2024-13-01", "2023-02-29", "2024-01-01T25", "2024-01-01T24:01",
        "2024-01-01T24:00:00.1", "2024-01-01T00:60", "2024-01-01T00:00:61", "2024-01-01T00:00:00+24",
        "2024-01-01T00:00:00+00:60", "2024-01-01Z", "2024-01-01T00:00:00.", "2024-01-01T00:00:00 Z", "noon",
        "٢٠٢٤-01-01", "2024-01-01T0000", "2024-W01-1", "1 Jan 2024",
    ],
)  # fmt: skip
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(
        Malformed, match=r't: expected a time, got ".*" \(ISO 8601, or seconds since 1970; --time-format'
    ):
        Times("t").seconds(text)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.7e12, "got 1700000000000, which in seconds is the year 55840 (--time t:ms takes milliseconds)"),
        ("1700000000000000", "(--time t:us takes microseconds)"),
        (1.7e18, "(--time t:ns takes nanoseconds)"),
        (-1.0, "t: expected a time in 1970–2100, got -1"),
        (math.inf, "t: expected a time in 1970–2100, got inf"),
        ("2100-01-01", 't: expected a time in 1970–2100, got "2100-01-01"'),
        ("1969-12-31T23:59:59", "in 1970–2100"),
        ("1970-01-01T00:00+01", "in 1970–2100"),
        (None, "time t is missing"),
        ("", "time t is missing"),
        ("NA", "time t is missing"),
    ],
)
def test_what_is_outside_or_missing_is_refused(value: str | float | None, reason: str) -> None:
    bad = dict[int, str]()
    with pytest.raises(Malformed) as caught:
        Times("t").seconds(value)
    assert reason in str(caught.value)
    assert Times("t").column([1.0, value, "2"], bad).tolist() == [1.0, 0.0, 2.0]
    assert bad == {1: str(caught.value)}


def test_units() -> None:
    assert split_unit("t:ms") == ("t", "ms")
    assert split_unit("a:b") == ("a:b", "s")
    assert split_unit(":ms") == (":ms", "s")
    for name, value in [("t", 1.5e9), ("t:ms", 1.5e12), ("t:us", 1.5e15), ("t:ns", 1.5e18)]:
        assert Times(name).seconds(value) == Times(name).seconds(f"{value:.0f}") == 1.5e9
    assert Times("t:ms").seconds("2024-01-01") == START


def test_small_numbers_are_times_too() -> None:
    values = [4294967.1, 4294967.2, 0.0, -0.0, 0.1]
    times = Times("t").column(values, {})
    assert times.tolist() == [4294967.1, 4294967.2, 0.0, 0.0, 0.1]
    assert math.copysign(1, times[3]) == 1


def test_a_step_of_a_second_is_exactly_one() -> None:
    times = Times("t").column([str(1_700_000_000 + step) for step in range(100)], {})
    assert set(times[1:] - times[:-1]) == {1.0}


def test_ones_own_format() -> None:
    times = Times("t", "%d.%m.%Y %H:%M")
    assert times.as_text
    assert times.seconds("01.01.2024 00:01") == START + 60
    assert Times("t", "%Y%m%d").seconds(20240101) == START
    assert Times("t", "%Y-%m-%d %H:%M:%S%z").seconds("2024-01-01 01:00:00+0100") == START
    with pytest.raises(Malformed, match=r't: expected a time as %d.%m.%Y %H:%M, got "2024-01-01"'):
        times.seconds("2024-01-01")
    with pytest.raises(ValueError, match=r"time_format: expected a format of datetime\.strptime, got '%Q'"):
        Times("t", "%Q")


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)),
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from("Tt "),
)
def test_every_moment_that_python_writes_is_read(moment: datetime, offset: int, between: str) -> None:
    expected = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert Times("t").seconds(moment.isoformat(between)) == expected
    there = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset)))
    assert Times("t").seconds(there.isoformat(between)) == expected
    assert Times("t").seconds(there) == expected


@given(st.lists(st.one_of(st.sampled_from([*SAME, "x", "", "5", "1e999", "-1"]), st.floats(), st.none())))
def test_a_column_is_what_each_of_its_values_is(values: list[str | float | None]) -> None:
    times, bad = Times("t"), dict[int, str]()
    column = times.column(values, bad)
    for index, value in enumerate(values):
        try:
            expected: float | str = times.seconds(value)
        except Malformed as reason:
            expected = str(reason)
        assert bad.get(index, column[index]) == expected
