"""The example of forecasts: a series is learned in one pass, and forecast with bounds from the file of the model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "examples" / "forecast"
NUMBER = r"([-+]?\d+\.?\d*)"


def run(folder: Path, *arguments: object) -> str:
    command = [sys.executable, FOLDER / str(arguments[0]), *map(str, arguments[1:])]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def wave(step: float) -> float:
    return 20 + 5 * float(np.sin(step / 4))


@pytest.mark.parametrize("ahead", [1, 2])
def test_a_series_is_forecast(ahead: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 1, 1500)
    days = np.datetime64("2020-01-01") + np.arange(1500)
    rows = [f"{day},{wave(step) + noise[step]:.2f}\n" for step, day in enumerate(days)]
    (tmp_path / "series.csv").write_text("".join(["date,value\n", *rows[:750], "2022-01-01,?\n", *rows[750:]]))
    said = run(tmp_path, "train.py", "series.csv", "--time", "date", "--ahead", ahead)
    assert said.startswith("1501 rows, of which 1 cannot be used\n")
    names = [f"value@+{number}" for number in range(1, ahead + 1)]
    for name in names:
        pattern = rf"^{re.escape(name)}: MAE {NUMBER}, last value {NUMBER}, skill {NUMBER}, {NUMBER}% within bounds$"
        ((mae, naive, skill, within),) = re.findall(pattern, said, re.MULTILINE)
        assert float(skill) == pytest.approx(1 - float(mae) / float(naive), abs=0.002)
        assert float(skill) > 0.2
        assert float(within) == pytest.approx(90, abs=1)
    said = run(tmp_path, "use.py", "model.safetensors", "series.csv")
    found = re.findall(rf"^(\S+): {NUMBER}, from {NUMBER} to {NUMBER}$", said, re.MULTILINE)
    assert [name for name, *_ in found] == (names if ahead > 1 else ["next"])
    for number, (_, value, lower, upper) in enumerate(found):
        assert float(lower) < float(value) < float(upper)
        assert float(value) == pytest.approx(wave(1500 + number), abs=1.5)
