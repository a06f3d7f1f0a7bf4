"""In a notebook, where asyncio's loop runs already: training, how far it is, its curves, and an interrupt."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from support.notebook import Kernel, open_kernel

from recurrio.pipeline import Report
from recurrio.pipeline.observe import notebook
from recurrio.pipeline.observe.notebook import notebook_line

SETUP = """
import itertools, time
import numpy as np
from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.pipeline import Records, Trainer, fit

def rows(count=None, pause=0.0):
    for number in itertools.count() if count is None else range(count):
        time.sleep(pause)
        yield {"k": number % 5, "x": (number // 5) % 7}

given = {"key": "k", "features": "x", "target": "x@+1"}
steps = 0

def count(report):
    global steps
    steps = report.step
    if report.step == 20:
        print("going", flush=True)
"""
LINE = re.compile(r"step +\d+  [\d,]+ records, .* records/s")


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A kernel in which all is imported."""
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    with open_kernel() as kernel:
        assert kernel.run(SETUP).error is None
        yield kernel


@pytest.mark.parametrize("executor", ["inline", "thread", "process", "auto"])
def test_fit_works_where_a_loop_runs(executor: str, kernel: Kernel) -> None:
    cell = kernel.run(f"model = fit(rows(500), executor={executor!r}, **given)\nprint(len(model.history))")
    assert cell.error is None
    assert int(cell.text) > 5
    assert kernel.run("import asyncio; await asyncio.sleep(0.001); asyncio.get_running_loop().is_running()").value


def test_a_run_says_in_one_line_how_far_it_is(kernel: Kernel) -> None:
    train = "model = fit(rows(400, pause=0.004), executor='inline', **given)"
    cell = kernel.run(f"begun = time.monotonic()\n{train}\nprint(time.monotonic() - begun)")
    (display,) = cell.displays
    assert LINE.fullmatch(display["text/plain"])
    assert 2 <= len(cell.updates) <= 4 * float(cell.text)  # which is all that was printed
    last = cell.updates[-1]
    assert last["text/html"] == f"<pre>{last['text/plain']}</pre>"
    assert "  400 records, " in last["text/plain"]


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_an_interrupt_ends_a_run_and_nothing_else(executor: str, kernel: Kernel) -> None:
    code = f"fit(rows(), executor={executor!r}, on_report=count, **given)"
    cell = kernel.run(code, interrupt_at="going")
    assert cell.error == "KeyboardInterrupt"
    cell = kernel.run("import psutil; print(steps, len(psutil.Process().children()))")
    steps, children = map(int, cell.text.split())
    assert steps >= 20
    assert children == 0
    assert kernel.run(f"fit(rows(100), executor={executor!r}, **given)").error is None


def test_a_trainer_can_be_interrupted_and_go_on_in_a_cell_with_trio(kernel: Kernel) -> None:
    kernel.run(
        "%autoawait trio\n"
        "records = Records(rows(), **given)\n"
        "trainer = Trainer(records.model(seed=0), Adam(0.002), executor='inline')\n"
    )
    assert kernel.run("await trainer.run(records, on_report=count)", interrupt_at="going").error == "KeyboardInterrupt"
    code = "before = trainer.step\nprint(await trainer.run(Records(rows(50), **given)), trainer.step - before)"
    cell = kernel.run(code + "\nprint(trainer.history.batch[-1] == trainer.step > 20)")
    assert cell.error is None
    applied, more, whole = cell.text.split()
    assert int(applied) == int(more) > 0
    assert whole == "True"
    assert kernel.run("fit(rows(100), **given)").error is None  # which needs no await, and no loop
    kernel.run("%autoawait asyncio")


def test_models_reports_and_curves_are_shown(kernel: Kernel) -> None:
    kernel.run("model, reports = None, []\nmodel = fit(rows(300), on_report=reports.append, **given)")
    for thing in ("model", "model.model", "reports[-1]"):
        assert kernel.run(thing).value["text/html"].startswith("<table>")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    cell = kernel.run("model.history.plot()")
    assert "image/png" in cell.value
    assert cell.displays == []


def report(step: int) -> Report:
    return Report(step, 0, 0, 0.5, 1.0, 10, 5.0, 1.0, "inline", (), ())


class Shown:
    """A stand-in for IPython, with what it was told."""

    def __init__(self, kernel: object) -> None:
        self.said: list[str] = []
        self.get_ipython = lambda: SimpleNamespace(kernel=kernel)

    def display(self, data: dict[str, str], **_: Any) -> Shown:  # noqa: ANN401 (IPython's)
        self.said.append("new " + data["text/plain"].split()[1])
        return self

    def update(self, data: dict[str, str], **_: Any) -> None:  # noqa: ANN401 (IPython's)
        self.said.append(data["text/plain"].split()[1])


@pytest.mark.parametrize("fails", [False, True])
def test_few_reports_are_shown_and_the_last_one_is(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, now = Shown(kernel=object()), 0.0
    monkeypatch.setitem(sys.modules, "IPython", shown)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr(notebook, "monotonic", lambda: now)
    try:
        with notebook_line() as line:
            assert line is not None
            for step in range(1, 11):
                now = step / 10
                line.report(report(step))
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert shown.said == ["new 5", "8", "10"]


def test_a_short_run_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", shown)
    monkeypatch.setattr(notebook, "monotonic", lambda: 0.0)
    with notebook_line() as line:
        assert line is not None
        line.report(report(1))
    assert shown.said == []


def test_there_is_no_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with notebook_line() as line:
        assert line is None
    assert "IPython" not in sys.modules
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    with notebook_line() as line:
        assert line is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))  # in a terminal
    with notebook_line() as line:
        assert line is None
