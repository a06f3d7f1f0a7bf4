"""Training on what a program iterates over: ten simulated devices, forecast before the truth is seen.

A device says its temperature, a wave of its own under noise. The noise is why the last value, which is the naive
forecast, is no good one: what a network can learn is to look at more of the past.

Run it with ``python examples/live_records.py``; it takes a few seconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import numpy as np
import trio

from recurrio.core import Adam
from recurrio.pipeline import Forecast, Records, Trainer, fit

DEVICES = 10
COUNT = 4_000


def readings() -> Iterator[dict[str, str | float]]:
    """What the devices say, in no order."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, DEVICES)
    for device in rng.integers(DEVICES, size=COUNT):
        phase[device] += 0.2
        yield {"device": f"d{device}", "temperature": 20 + 3 * np.sin(phase[device]) + rng.normal(0, 0.6)}


async def live(came: list[float]) -> AsyncIterator[dict[str, str | float]]:
    """The same one by one, as from a socket; and the temperatures so far in `came`."""
    for reading in readings():
        await trio.lowlevel.checkpoint()  # where a program would wait for its data
        came.append(float(reading["temperature"]))
        yield reading


async def main() -> np.ndarray:
    """Train while the records come, and print some forecasts when the truth is there. The weights."""
    came: list[float] = []
    made: dict[str, tuple[float, float]] = {}  # of each device the last forecast, and the value that it was made at

    def look(forecast: Forecast) -> None:
        assert forecast.keys is not None
        for place, (key, (ahead,)) in enumerate(zip(forecast.keys, forecast.values.tolist(), strict=True)):
            number = forecast.number + place
            if number % 2000 < 2 and key in made:
                then, naive = made[key]
                print(f"record {number:>6} of {key}: {came[number]:.2f}, forecast {then:.2f}, naive {naive:.2f}")
            made[key] = ahead, came[number]

    records = Records(live(came), key="device", features="temperature", target="temperature@+1", on_forecasts=look)
    model = records.model(seed=0)
    await Trainer(model, Adam(0.002), clip=1.0).run(records)
    report = records.report()
    print(f"{report['records']} records of {report['keys']} keys, of which {report['unlabelled']} have no label")
    scores = report["metrics"]["all"]
    print(f"MAE {scores['mae']:.3f}, naive {scores['naive_mae']:.3f}, skill {scores['skill']:.3f}")
    return model.parameters.copy()


if __name__ == "__main__":
    weights = trio.run(main)
    # Without an event loop, from any iterable; what comes back has the scales beside the weights, and can be saved.
    learned = fit(readings(), key="device", features="temperature", target="temperature@+1")
    print(f"the same bits by fit: {np.array_equal(learned.model.parameters, weights)}")
