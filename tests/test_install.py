"""The wheel, installed into an empty environment; the sdist; an install without a compiler."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*words: object, **options: object) -> str:
    """Run a command that must succeed, and return what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy_source(target: Path, *names: str) -> None:
    """Copy `names` out of the checkout, so that a build leaves nothing behind in it."""
    target.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so", ".*_cache", ".hypothesis")
    for name in names:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, target / name, ignore=unwanted)
        else:
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copy(path, target / name)


def test_a_wheel_puts_nothing_but_recurrio_into_site_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"
    copy_source(source, "core", "pipeline", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("recurrio-*.whl")

    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (site,) = (tmp_path / "empty").glob("lib/python*/site-packages")
    assert sorted(path.name.split("-")[0] for path in site.iterdir()) == ["recurrio", "recurrio"]
    assert sorted(path.name for path in (site / "recurrio").iterdir()) == ["core", "pipeline"]
    python_files = ("*.py", "*.pyi", "py.typed")
    expected = {path.relative_to(source) for pattern in python_files for path in source.glob(f"*/**/{pattern}")}
    found = {path.relative_to(site / "recurrio") for pattern in python_files for path in site.rglob(pattern)}
    assert found == {path for path in expected if path.parts[0] in ("core", "pipeline")}

    # With the dependencies of this environment behind it, the command runs.
    import numpy  # the place of the dependencies, whatever kind of environment this is

    (site / "dependencies.pth").write_text(str(Path(numpy.__file__).parent.parent))
    listing = run(tmp_path / "empty" / "bin" / "recurrio", "--help", cwd=tmp_path)
    assert "generate" in listing
    code = "import recurrio.core, recurrio.pipeline; print(recurrio.core.__file__)"
    assert str(site) in run(python, "-c", code, cwd=tmp_path)


def test_the_sdist_has_all_that_the_tests_take(tmp_path: Path) -> None:
    source = tmp_path / "source"
    folders = ("core", "pipeline", "tests", "benchmarks", "docs", "examples")
    files = ("pyproject.toml", "setup.py", "MANIFEST.in", "Makefile", "README.md", "LICENSE")
    files += ("CHANGELOG.md", "CONTRIBUTING.md", ".gitignore", ".ci/run")
    copy_source(source, *folders, *files)
    expected = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert {"core/kernels/kernels.h", "core/kernels/lstm.c", "tests/conftest.py"} <= expected
    code = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    run(sys.executable, "-c", code, cwd=source)
    (archive,) = (source / "dist").glob("recurrio-*.tar.gz")
    with tarfile.open(archive) as content:
        names = {member.name.partition("/")[2] for member in content if member.isfile()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or name.startswith("recurrio.egg-info/")}
    assert names - made == expected


@pytest.mark.parametrize("words", [["--version"], ["generate", "nowhere"]])
def test_the_command_says_that_kernels_are_missing(words: list[str], tmp_path: Path) -> None:
    code = "import sys; sys.modules['recurrio.core._kernels'] = None; sys.argv[0] = 'recurrio'; "
    code += "from recurrio.pipeline.command.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, *words]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    said = [line for line in done.stderr.splitlines() if "kernels are missing" in line]
    assert len(said) == 1
    assert said[0].endswith("so NumPy computes, which is slower; with a C compiler, install recurrio again")


def test_every_requirement_has_a_lowest_version() -> None:
    lines = run(sys.executable, ROOT / "tests" / "lowest.py").splitlines()
    packages = dict(line.split("==") for line in lines)
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert len(packages) == len(lines)
    assert packages.keys() >= {"numpy", "trio", "threadpoolctl", "safetensors", "rich", "pytest", "setuptools"}
    assert f"numpy>={packages['numpy']}" in metadata["project"]["dependencies"]


def test_the_first_case_of_each_test_is_quick() -> None:
    files = ["tests/core/test_recurrent.py", "tests/core/test_seeds.py"]
    found = []
    for chosen in ([], ["-m", "quick"]):
        options = ["--collect-only", "-q", *chosen, "--import-mode=importlib", "-p", "no:cacheprovider", *files]
        listing = run(sys.executable, "-m", "pytest", *options, cwd=ROOT).splitlines()
        found.append([line.partition("[")[0] for line in listing if "::" in line])
    assert found[1] == list(dict.fromkeys(found[0]))
    assert {name.partition("::")[0] for name in found[1]} == {*files}
    assert len(found[1]) < len(found[0])
