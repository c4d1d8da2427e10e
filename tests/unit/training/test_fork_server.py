"""Processes that are forks of one which has imported all: what `multiprocessing` starts, as vLLM does."""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import os
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import psutil
import pytest

from gapo_lab.training.cpu import fork_server

# Stands for what takes long to import: a fork of the zygote has it, a new program has not.
IMPORTED_BY = "GAPO_TEST_IMPORTED_BY"
# Signals that end a process: one that nobody can handle, the usual one, and one that Python ignores by itself.
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGPIPE)


@pytest.fixture
def spawn(tmp_path):
    """`multiprocessing`, whose new processes are forks of a zygote."""
    before = multiprocessing.spawn.get_executable()
    sys.modules[IMPORTED_BY] = os.getpid()
    theirs = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as a job has
    zygote = fork_server.start(tmp_path / "zygote", with_multiprocessing=True)
    signal.signal(signal.SIGTERM, theirs)
    script = tmp_path / "python"
    until = time.monotonic() + 60
    while not os.access(script, os.X_OK) and time.monotonic() < until:
        time.sleep(0.01)
    assert os.access(script, os.X_OK)
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
        below.join(60)
        pipe.send(below.exitcode)


def leave(code: int) -> None:
    sys.exit(code)


def die(number: int) -> None:
    if number == signal.SIGPIPE:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def sleep(pipe, code: int) -> None:
    """Sleep; at SIGTERM end with this code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
    pipe.send(os.getpid())
    time.sleep(600)


def said(pipe):
    assert pipe.poll(60), "it did not start"
    return pipe.recv()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == "zombie"
    except psutil.NoSuchProcess:
        return True


def test_a_new_process_has_what_the_zygote_has_imported_and_so_has_one_that_it_starts(spawn, monkeypatch, tmp_path):
    monkeypatch.setenv("GAPO_TEST_WORD", "now")
    monkeypatch.chdir(tmp_path)
    here, there = spawn.Pipe()
    process = spawn.Process(target=tell, args=(there, 1))
    process.start()
    first, second, code = said(here), said(here), said(here)
    process.join(60)
    assert process.exitcode == code == 0
    assert first[1:] == second[1:] == (os.getpid(), "now", str(tmp_path))
    assert len({os.getpid(), process.pid, first[0], second[0]}) == 4


@pytest.mark.parametrize(("end", "word", "code"), [(leave, 3, 3), *((die, number, -number) for number in ENDS)])
def test_its_exit_code_arrives(spawn, end, word, code):
    process = spawn.Process(target=end, args=(word,))
    process.start()
    process.join(60)
    assert process.exitcode == code


@pytest.mark.parametrize(("how", "code"), [("terminate", 7), ("kill", -9)])
def test_whoever_ends_it_ends_the_fork(spawn, how, code):
    here, there = spawn.Pipe()
    process = spawn.Process(target=sleep, args=(there, 7))
    process.start()
    pid = said(here)
    getattr(process, how)()
    process.join(60)
    assert process.exitcode == code
    until = time.monotonic() + 60
    while not gone(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert gone(pid)


def test_files_keep_their_numbers_whatever_has_them_in_the_zygote(tmp_path):
    """Each is a file with its number in it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.closerange(3, 40)
            numbers = list(range(3, 13))
            files = []
            for number in reversed(numbers):  # received the other way around, so that each has another's number
                (tmp_path / str(number)).write_text(str(number))
                files.append(os.open(tmp_path / str(number), os.O_RDONLY))
            fork_server._take(files, list(reversed(numbers)))
            code = int([os.read(number, 9) for number in numbers] != [str(number).encode() for number in numbers])
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_client_that_is_killed_while_it_asks_leaves_no_file_open(spawn, tmp_path):
    """Else whoever waits for the end of a pipe that it handed over would wait for ever."""
    listen, tell = os.pipe()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "zygote"))
        socket.send_fds(client, [struct.pack("!i", 1000)], [tell])
        os.close(tell)
        client.send(b"{")
    assert select.select([listen], [], [], 60)[0] and os.read(listen, 1) == b""
    os.close(listen)


def test_a_helper_of_pythons_own_is_a_new_program(spawn, tmp_path):
    """The tracker of shared memory outlives what it tracks, so it is no fork of a process that may end sooner."""
    script = tmp_path / "python"
    told = tmp_path / "told"
    code = f"import os, sys; open({str(told)!r}, 'w').write(str(os.getpid()) + ' ' + sys.argv[1])"
    pid = os.spawnv(os.P_NOWAIT, script, [str(script), "-c", code, "word"])
    assert os.waitpid(pid, 0)[1] == 0
    assert Path(told).read_text() == f"{pid} word"
