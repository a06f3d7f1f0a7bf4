"""The example of a long memory: the gradient of the RNN fades, those of the LSTM and the GRU come to stay."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "long_memory.py"


def test_what_the_cells_remember(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture is drawn by matplotlib")
    command = [sys.executable, EXAMPLE, "--longest", "20", "--epochs", "12", "--picture", "memory.svg"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ +1 +20  steps back$", done.stdout, re.MULTILINE)
    rows = re.findall(r"^(rnn|lstm|gru) +([a-z ]+[a-z]) +(\S+) +(\S+)$", done.stdout, re.MULTILINE)
    found = {(cell, name): (float(near), float(far)) for cell, name, near, far in rows}
    for cell in ("rnn", "lstm", "gru"):
        near, far = found[cell, "gradient before"]
        assert far < 1e-3 * near
    for cell in ("lstm", "gru"):
        assert found[cell, "gradient after"][1] > 20 * found[cell, "gradient before"][1]
        assert found[cell, "accuracy"] == (1, pytest.approx(1, abs=0.05))
    assert re.search(r"^rnn +loss 1\.\d{3} → \d\.\d{3}$", done.stdout, re.MULTILINE)
    picture = ElementTree.parse(tmp_path / "memory.svg")
    assert {"rnn", "lstm", "gru"} <= {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
