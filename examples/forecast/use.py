"""Forecast what comes after the last row of a file, with the model that ``train.py`` has written.

``python examples/forecast/use.py model.safetensors FILE.csv`` reads the rows up to now, with which the model finds its
state and its bounds; it learns nothing from them.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from recurrio.core.online.record_model import RecordModel
from recurrio.pipeline import Predictor


def main() -> None:
    """Print the next values, each with the bounds that nine of ten were within."""
    parser = argparse.ArgumentParser(description="Forecast what comes next.")
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path, help="CSV with the columns that were trained on")
    options = parser.parse_args()
    with options.file.open(encoding="utf-8", newline="") as file:
        last = Predictor(RecordModel.load(options.model)).predict(csv.DictReader(file))[-1]
    one = not isinstance(last.prediction, dict)
    said, lower, upper = ({"next": part} if one else part for part in (last.prediction, last.lower, last.upper))
    for target, value in said.items():
        print(f"{target}: {value:.4g}, from {lower[target]:.4g} to {upper[target]:.4g}")


if __name__ == "__main__":
    main()
