"""Learn to forecast a series, in one pass: each value is forecast first, and then learned from.

``python examples/forecast/train.py FILE.csv --value close`` reads a CSV file with a header, whose rows are in the order
of time. It writes ``model.safetensors``, with which ``use.py`` forecasts. Ten thousand rows take a few seconds.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from recurrio.pipeline import Records, fit


def main() -> None:
    """Train, say how good the forecasts were beside the last value, and write the model."""
    parser = argparse.ArgumentParser(description="Learn to forecast a series.")
    parser.add_argument("file", type=Path, help="CSV with a header")
    parser.add_argument("--value", default="value", help="the column to forecast (value)")
    parser.add_argument("--time", help="a column of dates or times, for the time of day and of the week (none)")
    parser.add_argument("--ahead", type=int, default=3, help="rows ahead, up to which to forecast (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (0)")
    options = parser.parse_args()
    targets = [f"{options.value}@+{ahead}" for ahead in range(1, options.ahead + 1)]
    with options.file.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        records = Records(rows, features=options.value, target=targets, time=options.time, interval=0.9)
        model = fit(records, seed=options.seed)
    report = records.report()
    print(f"{report['records']} rows, of which {report['rejected']} cannot be used")
    for target in targets:
        parts = (report["metrics"], report["bounds"])
        score, bound = (part["targets"][target]["all"] if len(targets) > 1 else part["all"] for part in parts)
        mae, naive, skill, within = score["mae"], score["naive_mae"], score["skill"], bound["coverage"]
        print(f"{target}: MAE {mae:.4g}, last value {naive:.4g}, skill {skill:+.3f}, {within:.1%} within bounds")
    model.save("model.safetensors")


if __name__ == "__main__":
    main()
