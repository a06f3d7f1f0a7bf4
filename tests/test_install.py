"""The wheel, installed into an empty environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*words: object, **options: object) -> str:
    """Run a command that must succeed, and return what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_puts_nothing_but_recurrio_into_site_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy, so that the build leaves nothing behind in the checkout
    source.mkdir()
    for name in ("core", "pipeline", "pyproject.toml", "README.md", "LICENSE"):
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("recurrio-*.whl")

    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (site,) = (tmp_path / "empty").glob("lib/python*/site-packages")
    assert sorted(path.name.split("-")[0] for path in site.iterdir()) == ["recurrio", "recurrio"]
    assert sorted(path.name for path in (site / "recurrio").iterdir()) == ["core", "pipeline"]
    assert (site / "recurrio" / "core" / "py.typed").exists()

    # With the dependencies of this environment behind it, the command runs.
    import numpy  # the place of the dependencies, whatever kind of environment this is

    (site / "dependencies.pth").write_text(str(Path(numpy.__file__).parent.parent))
    listing = run(tmp_path / "empty" / "bin" / "recurrio", "--help", cwd=tmp_path)
    assert "generate" in listing
    code = "import recurrio.core, recurrio.pipeline; print(recurrio.core.__file__)"
    assert str(site) in run(python, "-c", code, cwd=tmp_path)
