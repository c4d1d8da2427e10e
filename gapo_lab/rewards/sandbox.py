"""Run a Python program that nobody trusts: shut in, limited, and ended with everything that it started. Linux only.

What holds and what does not is in docs/your-own.md#sandbox. The kernel does the work (namespaces, resource limits);
`sandbox_child.py` asks it to. Nothing is installed and no root is needed where user namespaces are allowed.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO

from gapo_lab.errors import UserError

FULL, NONE = "full", "none"
BOX = "/box"
CHILD = Path(__file__).with_name("sandbox_child.py")
# exit code of sandbox_child.py where the room cannot be made
CANNOT = 125
# How a program is ended that needs more than its CPU seconds.
_CPU_LIMIT = (128 + signal.SIGXCPU, 128 + signal.SIGKILL)


@dataclass(frozen=True)
class Limits:
    """What one program may use. seconds: of wall time. memory_mb: of each process. disk_mb: of all its files."""

    seconds: float = 6.0
    memory_mb: int = 512
    processes: int = 16
    output_kb: int = 256
    disk_mb: int = 32


@dataclass(frozen=True)
class Outcome:
    """How a program ended. code: its exit code, 128 + signal. ended_for: `time`, `output`, or '' where by itself."""

    code: int
    output: str
    errors: str
    ended_for: str = ""


def run(
    files: Mapping[str, str],
    arguments: tuple[str, ...],
    limits: Limits,
    text: str = "",
    isolation: str = FULL,
) -> Outcome:
    """Run Python with ``arguments`` in an empty folder that holds ``files``; ``text`` is its standard input.

    Raises UserError where the room cannot be made. Whatever the program did, none of its processes is left.
    """
    folder = Path(tempfile.mkdtemp(prefix="gapo-box-"))
    asked = {
        "isolation": isolation,
        "files": dict(files),
        "command": [_python(), "-I", "-B", *arguments],
        "environment": {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": BOX if isolation == FULL else str(folder)},
        "shown": list(_shown()),
        **asdict(limits),
    }
    order = json.dumps(asked).encode()
    process = subprocess.Popen(
        [_python(), "-I", "-S", "-B", str(CHILD), str(folder), str(len(order))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        start_new_session=True,
    )
    try:
        outcome = _followed(process, order + text.encode("utf-8", "surrogatepass"), limits)
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)
    if outcome.code == CANNOT and outcome.errors.startswith("sandbox: "):
        raise UserError(refusal(outcome.errors.removeprefix("sandbox: ").strip()))
    return outcome


def refusal(why: str) -> str:
    return (
        f"reward=unit_tests: programs cannot be shut in on this machine ({why:.200}). Run on one that allows "
        "unprivileged user namespaces (Linux from 5.14), or accept the risk: reward.sandbox.isolation=none"
    )


@cache
def check() -> None:
    """Raise UserError where a program cannot be shut in on this machine; found out by doing it once."""
    if sys.platform != "linux":
        raise UserError(refusal(f"{sys.platform} is not Linux"))
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release < (5, 14):
        raise UserError(refusal(f"Linux {os.uname().release}"))
    found = run({"hello.py": "print('here')"}, ("hello.py",), Limits(seconds=20))
    if found.output != "here\n":
        raise UserError(refusal(found.errors.strip() or f"exit code {found.code}"))


def _followed(process: subprocess.Popen, given: bytes, limits: Limits) -> Outcome:
    """Feed the program and read what it says, until it ends or goes over a limit."""
    assert process.stdin and process.stdout and process.stderr
    until, room = time.monotonic() + limits.seconds, limits.output_kb << 10
    said = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    ended_for, open_yet = "", len(said)
    with selectors.DefaultSelector() as ready:
        for descriptor in said:
            ready.register(descriptor, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        ready.register(process.stdin, selectors.EVENT_WRITE)
        while open_yet and not ended_for:
            for key, _ in ready.select(max(0.0, until - time.monotonic())):
                if key.fd not in said:
                    given = _feed(process.stdin, ready, given)
                elif part := os.read(key.fd, 1 << 16):
                    said[key.fd] += part
                else:
                    ready.unregister(key.fd)
                    open_yet -= 1
            if sum(map(len, said.values())) > room:
                ended_for = "output"
            elif time.monotonic() >= until:
                ended_for = "time"
    if not ended_for:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            ended_for = "time"
    out, err = (bytes(text[:room]).decode("utf-8", "replace") for text in said.values())
    _end(process)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Outcome(code, out, err, ended_for or ("time" if code in _CPU_LIMIT else ""))


def _feed(pipe: IO[bytes], ready: selectors.BaseSelector, given: bytes) -> bytes:
    """Write a part of what the program is given; the rest. Its input is closed after the last."""
    try:
        given = given[os.write(pipe.fileno(), given[: 1 << 16]) :] if given else b""
    except BlockingIOError:
        return given
    except BrokenPipeError:  # the program reads no more
        given = b""
    if not given:
        ready.unregister(pipe)
        pipe.close()
    return given


def _end(process: subprocess.Popen) -> None:
    """End the program: its first process takes the namespace with it, and without one the group goes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            with suppress(BrokenPipeError):
                stream.close()


@cache
def _python() -> str:
    """Return the Python that the environment was made from: it has the standard library and nothing else."""
    return str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())


@cache
def _shown() -> tuple[str, ...]:
    """Return what of the machine a program sees, read-only: the system's libraries, Python, and devices that hold
    nothing."""
    system = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache")
    python = {str(Path(sys.base_prefix).resolve()), str(Path(sysconfig.get_path("stdlib")).resolve())}
    own = sorted(path for path in python if not path.startswith("/usr/") and path != "/usr")
    devices = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
    return tuple(dict.fromkeys([*(path for path in system if os.path.lexists(path)), *own, *devices]))
