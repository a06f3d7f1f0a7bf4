"""Where a run puts its model: never over another one unasked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16"]
Recurrio = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_run_without_a_name_gets_its_own_folder_and_says_which(recurrio: Recurrio, text_file: Path) -> None:
    Path("run-3").mkdir()
    for folder in ("run", "run-2", "run-4"):
        done = recurrio("train", text_file, *SMALL, "--steps", 2)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].endswith(f"; wrote {folder}/model.safetensors")
        assert recurrio("generate", folder, "--length", 5).returncode == 0
    assert sorted(os.listdir()) == sorted([text_file.name, "run", "run-2", "run-3", "run-4"])


def test_a_run_that_writes_nothing_leaves_no_folder(recurrio: Recurrio) -> None:
    assert recurrio("train", "none.txt").returncode == 1
    assert os.listdir() == []


def test_a_named_folder_with_a_run_in_it_is_refused(recurrio: Recurrio, text_file: Path) -> None:
    words = ["train", text_file, *SMALL, "--steps", 2, "--out", "mine"]
    assert recurrio(*words).returncode == 0
    before = Path("mine/model.safetensors").read_bytes()
    again = recurrio(*words, "--seed", 1)
    assert (again.returncode, again.stdout) == (1, "")
    assert (
        again.stderr
        == "recurrio: --out mine: has a run in it, which --overwrite would replace, and --resume go on with\n"
    )
    assert Path("mine/model.safetensors").read_bytes() == before
    assert recurrio(*words, "--seed", 1, "--overwrite").returncode == 0
    assert Path("mine/model.safetensors").read_bytes() != before


def test_a_named_folder_without_a_run_in_it_is_taken(recurrio: Recurrio, text_file: Path) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").touch()
    assert recurrio("train", text_file, *SMALL, "--steps", 2, "--out", "mine").returncode == 0
    there = [".lock", "checkpoints", "history.safetensors", "model.safetensors", "notes.txt"]
    assert sorted(os.listdir("mine")) == there


def test_there_is_nothing_to_overwrite_without_a_name(recurrio: Recurrio, text_file: Path) -> None:
    done = recurrio("train", text_file, *SMALL, "--overwrite")
    assert (done.returncode, done.stderr) == (2, "recurrio: --overwrite: expected --out DIR beside it\n")


def test_the_model_has_the_mode_that_the_umask_says(recurrio: Recurrio, text_file: Path) -> None:
    before = os.umask(0o027)
    try:
        recurrio("train", text_file, *SMALL, "--steps", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("run/model.safetensors").stat().st_mode) == 0o640


def test_a_folder_that_cannot_be_made(recurrio: Recurrio, text_file: Path) -> None:
    Path("file").touch()
    done = recurrio("train", text_file, *SMALL, "--out", "file/x")
    assert (done.returncode, done.stderr) == (1, "recurrio: --out file/x: Not a directory\n")


@pytest.mark.parametrize("option", ["--trace", "--timeline"])
def test_what_a_user_names_may_be_a_device_or_a_link(option: str, recurrio: Recurrio, text_file: Path) -> None:
    os.symlink("target", "link")
    try:
        os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        os.symlink("/dev/null", "null")
    for name in ("link", "null"):
        done = recurrio("train", text_file, *SMALL, "--steps", 2, option, name)
        assert (done.returncode, done.stderr) == (0, "")
    assert Path("link").is_symlink()
    assert Path("target").stat().st_size > 0
    assert stat.S_ISCHR(os.stat("null").st_mode)


def test_a_trace_to_standard_output(recurrio: Recurrio, text_file: Path) -> None:
    done = recurrio("train", text_file, *SMALL, "--steps", 2, "--trace", "/dev/stdout")
    assert (done.returncode, done.stderr) == (0, "")
    assert '{"traceEvents": [' in done.stdout
    assert "done: 2 steps" in done.stdout or "2 steps, loss" in done.stdout


def test_a_folder_that_was_made_for_nothing_is_removed(recurrio: Recurrio, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for out, stays in (("new", False), ("there", True)):
        done = recurrio("train", tmp_path / "missing.txt", "--out", tmp_path / out)
        assert done.returncode == 1
        assert (tmp_path / out).is_dir() == stays


def test_a_file_in_the_place_of_the_folder_is_named(recurrio: Recurrio, text_file: Path) -> None:
    done = recurrio("train", text_file, "--out", text_file)
    assert (done.returncode, done.stderr) == (1, f"recurrio: --out {text_file}: is there, and no folder\n")


def test_of_two_runs_into_one_folder_the_second_is_refused(recurrio: Recurrio, text_file: Path) -> None:
    words = ["-c", "from recurrio.pipeline.command.cli import main; main()", "train", str(text_file), *SMALL]
    words += ["--steps", "1000000", "--out", "mine", "--json"]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as first:
        assert first.stdout is not None
        first.stdout.readline()
        for more in (["--overwrite"], ["--resume"]):
            done = recurrio("train", text_file, *SMALL, "--steps", 2, "--out", "mine", *more)
            who = f"recurrio: --out mine: another run is going on there (process {first.pid} on "
            assert done.returncode == 1
            assert done.stderr.startswith(who)
        first.kill()
    assert recurrio("train", text_file, *SMALL, "--steps", 2, "--out", "mine").returncode == 0


def test_a_folder_in_the_place_of_the_model_is_refused_at_the_start(recurrio: Recurrio, text_file: Path) -> None:
    Path("mine/model.safetensors").mkdir(parents=True)
    done = recurrio("train", text_file, "--out", "mine", "--overwrite")
    assert (done.returncode, done.stderr) == (1, "recurrio: --out mine: has a folder where the model goes\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trace", "text.txt"], "--trace text.txt: is SOURCE already"),
        (["--trace", "x", "--timeline", "./x"], "--timeline ./x: is --trace already"),
        (["--trace", "mine/model.safetensors"], "--trace: expected another file than that of the model"),
        (["--trace", ""], "--trace '': No such file or directory"),
    ],
)
def test_no_file_is_written_over_by_another(
    words: list[str], message: str, recurrio: Recurrio, text_file: Path
) -> None:
    content = text_file.read_bytes()
    Path("text.txt").write_bytes(content)
    Path("mine").mkdir()
    done = recurrio("train", "text.txt", *SMALL, "--steps", 2, "--out", "mine", *words)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert Path("text.txt").read_bytes() == content
    assert os.listdir("mine") == [".lock"] or not os.listdir("mine")
