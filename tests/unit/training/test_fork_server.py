"""Processes that are forks of one which has imported all: what `multiprocessing` starts, as vLLM does."""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from gapo_lab.training.cpu import fork_server

# Stands for what takes long to import: a fork of the zygote has the zygote's pid in it, a new program has none.
IMPORTED_BY = "GAPO_TEST_IMPORTED_BY"


@pytest.fixture
def spawn(tmp_path):
    """`multiprocessing`, whose new processes are forks of a zygote."""
    before = multiprocessing.spawn.get_executable()
    sys.modules[IMPORTED_BY] = os.getpid()
    zygote = fork_server.start(tmp_path / "zygote", with_multiprocessing=True)
    script = tmp_path / "python"
    until = time.monotonic() + 60
    while not os.access(script, os.X_OK) and time.monotonic() < until:
        time.sleep(0.01)
    multiprocessing.set_executable(str(script))
    try:
        yield multiprocessing.get_context("spawn")
    finally:
        multiprocessing.set_executable(before)
        del sys.modules[IMPORTED_BY]
        os.kill(zygote, signal.SIGKILL)
        os.waitpid(zygote, 0)


def tell(pipe, depth: int) -> None:
    """Say who this process is; below it, another one does."""
    pipe.send((os.getpid(), sys.modules.get(IMPORTED_BY), os.environ["GAPO_TEST_WORD"], os.getcwd()))
    if depth:
        below = multiprocessing.get_context("spawn").Process(target=tell, args=(pipe, depth - 1))
        below.start()
        below.join()
        pipe.send(below.exitcode)


def leave(code: int) -> None:
    sys.exit(code)


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def sleep(pipe) -> None:
    pipe.send(os.getpid())
    time.sleep(600)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_a_new_process_has_what_the_zygote_has_imported_and_so_has_one_that_it_starts(spawn, monkeypatch, tmp_path):
    monkeypatch.setenv("GAPO_TEST_WORD", "now")
    monkeypatch.chdir(tmp_path)
    here, there = spawn.Pipe()
    process = spawn.Process(target=tell, args=(there, 1))
    process.start()
    said = [here.recv() for _ in range(3)]
    process.join(60)
    assert process.exitcode == 0
    assert [one[1:] for one in said[:2]] == [(os.getpid(), "now", str(tmp_path))] * 2
    assert len({os.getpid(), process.pid, said[0][0], said[1][0]}) == 4 and said[2] == 0


@pytest.mark.parametrize(
    ("end", "word", "code"), [(leave, 3, 3), (die, signal.SIGKILL, -9), (die, signal.SIGTERM, -15)]
)
def test_its_exit_code_arrives(spawn, end, word, code):
    process = spawn.Process(target=end, args=(word,))
    process.start()
    process.join(60)
    assert process.exitcode == code


@pytest.mark.parametrize(("how", "code"), [("terminate", -15), ("kill", -9)])
def test_whoever_ends_it_ends_the_fork(spawn, how, code):
    here, there = spawn.Pipe()
    process = spawn.Process(target=sleep, args=(there,))
    process.start()
    pid = here.recv()
    getattr(process, how)()
    process.join(60)
    assert process.exitcode == code
    until = time.monotonic() + 60
    while not gone(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert gone(pid)


def test_a_helper_of_pythons_own_is_a_new_program(spawn, tmp_path):
    """The tracker of shared memory outlives what it tracks, so it is no fork of a process that may end sooner."""
    script = tmp_path / "python"
    told = tmp_path / "told"
    code = f"import os, sys; open({str(told)!r}, 'w').write(str(os.getpid()) + ' ' + sys.argv[1])"
    pid = os.spawnv(os.P_NOWAIT, script, [str(script), "-c", code, "word"])
    assert os.waitpid(pid, 0)[1] == 0
    assert Path(told).read_text() == f"{pid} word"
