"""A fork is what a new program would be: exit code, output, signals, files, random numbers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest

from gapo_lab.utils import forked

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks are Linux's")


@pytest.fixture
def output(tmp_path):
    with open(tmp_path / "output", "w+b") as file:
        yield file


def said(output) -> str:
    output.seek(0)
    return output.read().decode()


def test_it_prints_where_it_is_told_to_and_ends_with_its_code(output):
    def main() -> int:
        print("here")
        print("and there", file=sys.stderr)
        return 7

    child = forked.fork(main, output.fileno())
    assert child.wait() == child.poll() == 7
    assert said(output) == "here\nand there\n"


def test_an_exception_is_shown_and_never_reaches_its_parents_work(output):
    child = forked.fork(lambda: 1 // 0, output.fileno())
    assert child.wait() == 1 and "ZeroDivisionError" in said(output)
    assert forked.fork(lambda: sys.exit(3), output.fileno()).wait() == 3


def test_who_waits_too_long_is_told_and_a_signal_is_seen(output):
    child = forked.fork(lambda: signal.pause() or 0, output.fileno())
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    assert child.poll() is None
    child.kill()
    assert child.wait() == -signal.SIGKILL


def test_it_has_its_own_session_signals_and_files_and_nothing_of_its_parents(output):
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    listen, tell = os.pipe()
    other, unused = os.pipe()

    def main() -> int:
        print(os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        print(os.read(listen, 1), os.read(0, 1))
        for number in (tell, other, unused):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(number)
        return 0

    try:
        child = forked.fork(main, output.fileno(), keep=(listen,))
        os.write(tell, b"!")
        assert child.wait() == 0, said(output)
        assert said(output) == "True True\nb'!' b''\n"
    finally:
        signal.signal(signal.SIGTERM, before)
        for number in (listen, tell, other, unused):
            os.close(number)


def test_two_of_them_draw_other_numbers(output):
    for _ in range(2):
        assert forked.fork(lambda: print(random.random()) or 0, output.fileno()).wait() == 0
    first, second = said(output).split()
    assert first != second
