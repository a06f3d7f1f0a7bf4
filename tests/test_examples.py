"""Every example runs as it stands, in any folder, and prints the numbers that it is there to show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?")
ROUNDING = pytest.approx([0], abs=1e-12)

Expected = list[tuple[str, object]]  # a pattern that the output has once, and the numbers in the pattern's group


def digits(line: str, count: int) -> object:
    """The numbers of `line`, to `count` digits after the point."""
    return pytest.approx([float(number) for number in line.split()], rel=0, abs=1.01 * 10**-count)


# torch's own, from the same parameters and the same batch.
LOSSES = {10: "0.4294", 20: "0.3934", 30: "0.3619", 40: "0.3339", 50: "0.3088"}
LOSSES |= {60: "0.2861", 70: "0.2657", 80: "0.2472", 90: "0.2304", 100: "0.2153"}

EXPECTED: dict[str, Expected] = {
    "beside_other_tasks.py": [
        (r"^stopped after [1-9]\d* steps, loss (\S+) → \d\.\d\d$", pytest.approx([4.3], abs=0.5)),
    ],
    "go_article.py": [(r"\b(0\.698906)\b", [0.698906])],
    "live_records.py": [
        (r"^record   2000 of d6: (\S+), forecast \S+, naive \S+$", [17.75]),
        (r"^(\d+ records of \d+) keys, of which 10 have no label$", [4_000, 10]),
        (r"^MAE \S+, naive (\S+), skill \S+$", [0.759]),
        (r"^MAE \S+, naive \S+, skill (\S+)$", pytest.approx([0.23], abs=0.03)),
        (r"^the same bits by fit: True()$", []),
    ],
    "live_sensors.py": [
        (r"^(200) devices, \d+ records that broke off$", [200]),
        (r"^skill (\S+)$", pytest.approx([0.22], abs=0.17)),  # the more the faster the machine is
    ],
    "nn_rnn_article.py": [
        (r"^x .*\((.*)\)$", [5, 3, 10]),
        (r"^h_0 .*\((.*)\)$", [2, 3, 20]),
        (r"^output .*\((.*)\)$", [5, 3, 20]),
        (r"^h_n .*\((.*)\)$", [2, 3, 20]),
        (r"^  weight_ih_l1 \((.*)\)$", [20, 20]),
        (r"^largest difference from the formula: (.*)$", pytest.approx([0], abs=1e-6)),
        (r"^output\[-1\] is h_n\[(-1)\]: True$", [-1]),
        (r"^batch_first: output \((.*)\), h_n", [3, 5, 20]),
        (r"^lengths 5, 3, 1: outputs that are zero \[(.*)\]$", [0, 2, 4]),
        (r"^h_n\[-1\] is the output at step (\d): True$", [3]),
    ],
    "numpy_article.py": [
        (
            r"^  a_next\[4\] = \[(.*)\]$",
            digits(
                "0.59584544 0.18141802 0.61311866 0.99808218 0.85016201"
                " 0.99980978 -0.18887155 0.99815551 0.6531151 0.82872037",
                8,
            ),
        ),
        (r"^  yt_pred\[1\]\[:2\] = \[(.*)\]$", digits("0.9888161 0.01682021", 8)),
        (r"^  a\[4\]\[1\] = \[(.*)\]$", digits("-0.99999375 0.77911235 -0.99861469 -0.99833267", 8)),
        (r"^  y_pred\[1\]\[3\] = \[(.*)\]$", digits("0.79560373 0.86224861 0.11118257 0.81515947", 8)),
        (r"^  a\[4\]\[3\] = \[.* (\S+)\]$", digits("0.17211777", 8)),
        (r"^  c\[1\]\[2\] = \[ \S+ +(\S+) .*\]$", digits("-0.85554492", 8)),
        (r"^RNN, four steps\n(?:.*\n)*?  largest difference of the layer's outputs: (.*)$", ROUNDING),
        (r"^RNN, four steps\n(?:.*\n)*?  largest difference of the layer's gradients: (.*)$", ROUNDING),
        (r"^LSTM, .*\n(?:.*\n)*?  largest difference of the layer's outputs: (.*)$", ROUNDING),
        (r"^LSTM, .*\n(?:.*\n)*?  largest difference of the layer's gradients: (.*)$", ROUNDING),
    ],
    "own_stages.py": [
        (r"^inline, with noise: loss \S+ → (\S+)$", pytest.approx([0.008], abs=0.003)),
        (r"^thread, with noise: loss \S+ → (\S+)$", pytest.approx([0.008], abs=0.003)),
        (r"^inline.*\n  the recorder saw (\d+) passes, in order for each shard: True$", [400]),
        (r"^same bits with noise, inline and in threads: True()$", []),
        (r"^same bits without noise: False()$", []),
    ],
    "pytorch_article.py": [
        *((rf"^  epoch +{epoch}: loss (.*)$", digits(loss, 4)) for epoch, loss in LOSSES.items()),
        (r"^  RNN  1·\(200 \+ 400 \+ 40\) = +(\d+),", [640]),
        (r"^  LSTM 4·\(200 \+ 400 \+ 40\) = +(\d+),", [2560]),
        (r"^  GRU  3·\(200 \+ 400 \+ 40\) = +(\d+),", [1920]),
    ],
    "this_machine.py": [(r"^\d+ (processors, [1-9]\d* records learned)$", pytest.approx([100], abs=99))],
    "records.py": [
        (r"^sensors\.csv: (.*) lines$", [20, 1]),
        (r"^log\.jsonl: (.*) lines$", [8, 0]),
        (r"^trades\.jsonl: (.*) lines$", [8, 0]),
        (r"^hosts\.tsv: (.*) lines$", [40, 1]),
        (r"^new\.tsv: (.*) lines$", [1, 1]),
    ],
}

SERVES = {"live_feeds.py"}  # for ever; tests/test_readme_live.py is about it
TAKES_LONGER = {"long_memory.py"}  # without arguments; tests/test_example_memory.py is about it
NEEDS = {"this_machine.py": "psutil"}
FILES = {"records.py": ["hosts.tsv", "log.jsonl", "new.tsv", "sensors.csv", "trades.jsonl"]}  # that it is there to make


def test_every_example_is_in_the_table() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == EXPECTED.keys() | SERVES | TAKES_LONGER


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=[Path(name).stem for name in EXPECTED])
def test_an_example_runs_and_prints_its_numbers(name: str, expected: Expected, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS.get(name, "recurrio"))
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES.get(name, [])
    for pattern, numbers in expected:
        groups = re.findall(pattern, done.stdout, re.MULTILINE)
        assert len(groups) == 1, f"{pattern} in:\n{done.stdout}"
        assert [float(number) for number in NUMBER.findall(groups[0])] == numbers, pattern
