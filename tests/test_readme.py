"""The code in the README runs as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = re.findall(
    r"^(?:cat .*)?recurrio (?:train|generate) .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
)
MAIN = "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_three_blocks() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("block", BLOCKS, ids=("layers", "fit", "trainer"))
def test_a_block_runs(block: str, text_file: Path, tmp_path: Path) -> None:
    shutil.copy(text_file, tmp_path / "book.txt")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_commands_run_and_can_be_repeated(text_file: Path, tmp_path: Path) -> None:
    for name in ("tinyshakespeare.txt", "book.txt"):
        shutil.copy(text_file, tmp_path / name)
    assert len(COMMANDS) == 4
    lines = ["set -e", f"recurrio() {{ '{sys.executable}' -c '{MAIN}' \"$@\"; }}", *COMMANDS, *COMMANDS]
    script = "\n".join(lines).replace("--steps 600", "--steps 6")
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert len(list(tmp_path.glob("run*/model.safetensors"))) == 6
