"""What a notebook shows of models and reports: a table, in which whatever comes from data is text."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from recurrio.core import ByteVocabulary, SequenceModel, TextModel
from recurrio.core.base.html import html_table
from recurrio.pipeline import Records, Report, fit

EVIL = "<script>alert('\"&')</script>"


def rows_of(shown: Any) -> dict[str, str]:  # noqa: ANN401 (whatever a notebook shows)
    """The rows of its table, which is well formed and has neither attributes nor other elements."""
    html = shown._repr_html_()
    table = ElementTree.fromstring(html)
    assert {element.tag for element in table.iter()} == {"table", "caption", "tbody", "tr", "th", "td"}
    assert not any(element.attrib for element in table.iter())
    assert table.findtext("caption") == type(shown).__name__
    return {row.findtext("th", ""): row.findtext("td", "") for row in table.iter("tr")}


def test_names_values_and_the_caption_are_text() -> None:
    table = ElementTree.fromstring(html_table(EVIL, [(EVIL, EVIL), ("n", 3)]))
    assert "".join(table.itertext()) == f"{EVIL * 3}n3"


def test_a_model() -> None:
    rows = rows_of(SequenceModel(input_size=4, hidden_size=[8, 6], num_layers=2, output_size=1, cell="gru"))
    assert (rows["inputs"], rows["outputs"], rows["layers × units"]) == ("4 features", "1", "2 × [8, 6]")
    model = SequenceModel(256, hidden_size=3, bidirectional=True, output="last", output_size=2)
    rows = rows_of(model)
    assert (rows["inputs"], rows["parameters"]) == ("256 symbols", f"{model.layout.size:,} float32")
    assert rows["cell"].endswith(", bidirectional")


def test_a_model_of_a_text() -> None:
    assert rows_of(TextModel(SequenceModel(256), ByteVocabulary()))["vocabulary"] == "bytes, 256 symbols"


@pytest.mark.parametrize("target", [{"target": f"x@+1,{EVIL}"}, {"label": EVIL}])
def test_a_model_of_records_and_their_report_with_names_and_keys_that_are_html(target: dict[str, str]) -> None:
    data = [{"x": number % 3, EVIL: number % 2, f"<{EVIL}": EVIL} for number in range(300)]
    reports = list[Report]()
    records = Records(data, features=["x", f"<{EVIL}:category"], key=f"<{EVIL}", **target)
    rows = rows_of(fit(records, executor="inline", on_report=reports.append))
    assert rows["features"] == f"x, <{EVIL}:category"
    assert rows["key"] == f"<{EVIL}"
    assert EVIL in rows[next(iter(target))]
    rows = rows_of(reports[-1])
    assert rows["worst keys"] == EVIL
    assert rows["records"].startswith("300 records, ")
    assert "naive" in rows["forecasts"] or "skill" in rows["forecasts"]


def test_a_report_of_a_text() -> None:
    rows = rows_of(Report(1_234, 3, 0, 0.5, 0.25, 100, 5_000.0, 2.0, "inline", (), (), skipped=2, undone=1))
    assert rows == {
        "step": "1,234",
        "loss": "0.5",
        "gradient norm": "0.25",
        "speed": "5,000 tokens/s",
        "seconds": "2.0",
        "executor": "inline",
        "bad batches": "2 skipped, 1 undone",
    }
