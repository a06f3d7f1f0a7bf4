"""The watch for drift: it finds what is planted, and nothing else; what is done then is the same in every run."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.live_records import Run, run
from support.streams import as_jsonl, open_bytes, train, train_serially

from recurrio.core.base.checks import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.online.drift import DETECTORS
from recurrio.core.optim.actions import ACTIONS, REPLAY_RECENT
from recurrio.pipeline import Records
from recurrio.pipeline.lanes.decisions import DRIFT
from recurrio.pipeline.lanes.drift_watch import DriftWatch

every_detector = pytest.mark.parametrize("name", DETECTORS)
NONE = np.zeros(0, bool)


def follow(watch: DriftWatch, errors: Array, cuts: list[int] = [], keys: int = 1) -> list[int]:  # noqa: B006
    """Each truth comes with its record."""
    found, fresh = [], np.arange(len(errors)) < keys
    for start, stop in pairwise([0, *cuts, len(errors)]):
        again = DriftWatch(watch.name)
        again.load(watch.dump())
        watch = again
        found += watch.follow(errors[start:stop], np.arange(stop - start), fresh[start:stop], start)
    return found


@every_detector
def test_a_rise_is_found_and_a_fall_is_none(name: str) -> None:
    for seed in range(20):
        errors = np.abs(np.random.default_rng(seed).standard_normal(6000))
        errors[:1000] *= 3  # as of a model that learns
        errors[4000:] *= 2
        found = follow(DriftWatch(name), errors)
        assert found, seed
        assert 4000 < found[0] < 4600


@every_detector
def test_where_nothing_changes_there_is_none(name: str) -> None:
    quiet = [not follow(DriftWatch(name), np.abs(np.random.default_rng(n).standard_normal(40_000))) for n in range(20)]
    assert sum(quiet) >= 19


@every_detector
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 3000), max_size=8), keys=st.sampled_from([1, 9, 700]))
def test_it_does_not_depend_on_how_records_are_divided(name: str, seed: int, cuts: list[int], keys: int) -> None:
    rng = np.random.default_rng(seed)
    errors = np.abs(rng.standard_normal(3000)) * np.where(np.arange(3000) > 1500, 4, 1)
    errors[rng.random(3000) < 0.1] = np.nan
    found = follow(DriftWatch(name), errors, sorted(cuts), keys)
    assert found == follow(DriftWatch(name), errors, [], keys)
    assert found or keys == 700


def shifted(count: int, at: int, seed: int = 0) -> list[dict[str, Any]]:
    """Three keys, whose values swing, and from the record `at` on much less regularly."""
    rng, rows, level = np.random.default_rng(seed), [], np.zeros(3)
    for n in range(count):
        key = n % 3
        level[key] = (0.9 if n < at else -0.9) * level[key] + rng.standard_normal() * (0.3 if n < at else 3.0)
        rows.append({"k": key, "x": round(level[key], 4), "y": "up" if level[key] > 0 else "down"})
    return rows


async def watched(**given: Any) -> Run:  # noqa: ANN401
    return await run(shifted(4000, 3000), drift="adwin", **given)


async def test_it_is_said_and_noted_with_the_number_of_the_record() -> None:
    records = Records(shifted(4000, 3000), features="x", target="x@+1", key="k", drift="adwin", on_drift="raise-lr")
    said: list[str] = []
    records.on_warning = said.append
    await train(records)
    notes = [decision for decision in records.log.kept if decision.kind == DRIFT]
    drift = records.report()["drift"]
    assert drift == {"count": len(notes), "last": notes[-1].number}
    assert all(3000 < note.number < 3700 for note in notes)
    assert said[0] == f"record {notes[0].number:,}: forecasts have become worse (adwin): raise-lr"
    json.dumps(drift)


async def test_without_a_shift_nothing_is_said() -> None:
    done = await run(shifted(4000, 5000), drift="adwin", on_drift="restart-head,reset-optimizer")
    assert done.report["drift"] == {"count": 0, "last": None}


@pytest.mark.parametrize("given", [{}, {"interval": 0.8}, {"label": "y", "target": ()}, {"per_key": True}], ids=str)
@pytest.mark.parametrize("actions", ["", "raise-lr", ",".join(ACTIONS)])
async def test_what_is_done_is_the_same_in_every_run(actions: str, given: dict[str, Any]) -> None:
    """With the drift planted so that it must be found; and it does something."""
    given = {"replay": 2, **given} if REPLAY_RECENT in actions else given
    options = {"features": "x", "max_keys": 8, "batch_size": 3, "drift": "page-hinkley", "seq_len": 4, **given}
    data = as_jsonl(shifted(900, 500))
    pieces = [data[at : at + 777] for at in range(0, len(data), 777)]
    expected = train_serially(open_bytes([data], **options, on_drift=actions), delay=1)
    for executor in ("inline", "thread"):
        found = await train(open_bytes(pieces, **options, on_drift=actions), delay=1, executor=executor)
        assert found == expected
    without = train_serially(open_bytes([data], **options), delay=1)
    if expected.counts["drift"]["count"] and "label" not in given:
        assert (found.state == without.state) is (not actions)
    assert expected.counts["drift"]["count"] or "label" in given


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"drift": "eyes"}, "drift"),
        ({"on_drift": "raise-lr"}, "on_drift"),
        ({"drift": "adwin", "on_drift": "dance"}, "on_drift"),
        ({"drift": "adwin", "on_drift": "replay-recent"}, "on_drift"),
        ({"drift": "adwin", "forecasts": False}, "drift"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{named}: expected"):
        Records([], features="x", target="x@+1", **given)
