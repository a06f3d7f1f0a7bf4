"""What `make accuracy` prints where there is none of its files, and where there is one."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ACCURACY = Path(__file__).parent.parent / "benchmarks" / "accuracy.py"
FILES = 8


def lines_of(folder: Path, code: int) -> list[str]:
    done = subprocess.run([sys.executable, ACCURACY, folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout.splitlines()


def test_an_empty_folder_says_what_is_to_be_there(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, 1)
    assert len(lines) == FILES
    assert all(line.startswith("not there: ") for line in lines)
    assert any("nab-nyc-taxi.csv with time,value; from https://" in line for line in lines)


def test_a_file_with_other_columns_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "daily-min-temperatures.csv").write_text("day,Temp\n1981-01-01,20.7\n")
    assert len(lines_of(tmp_path, 1)) == FILES


def test_a_series_has_a_line(tmp_path: Path) -> None:
    """A sine, of which the last value is a bad forecast, and the mean a worse one; some are missing."""
    values = [10 + 8 * math.sin(day / 5) for day in range(600)]
    cells = ["NA" if day % 50 == 7 else f"{value:.3f}" for day, value in enumerate(values)]
    days = [f"{1981 + day // 336}-{1 + day // 28 % 12:02}-{1 + day % 28:02}" for day in range(600)]
    text = "\n".join(["Date,Temp", *map(",".join, zip(days, cells, strict=True)), ""])
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "daily-min-temperatures.csv").write_text(text)
    *missing, header, line, _, _, bounds = lines_of(tmp_path, 0)
    assert len(missing) == FILES - 1
    assert header.split()[:3] == ["series", "records", "error"]
    name, records, error, last, mean, *_ = line.split()
    assert (name, records, line.split()[-1]) == ("daily-min-temperatures", "600", "yes")
    assert 0 < float(error) < float(last) < float(mean)
    name, within, below, above, *_ = bounds.split()
    assert name == "daily-min-temperatures"
    assert 0.8 < float(within) < 0.95
    assert math.isclose(float(within) + float(below) + float(above), 1, abs_tol=2e-4)
    steps = [abs(after - before) for before, after in pairwise(values[100:])]
    assert math.isclose(float(last), sum(steps) / len(steps), rel_tol=0.05)
