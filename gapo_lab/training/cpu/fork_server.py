"""A process that has imported everything once and forks Ray's workers from itself.

Every Ray worker of a verl run imports torch, transformers and verl: 15 CPU-seconds each, and a run has
half a dozen of them. Ray lets a job name the executable of its workers (`runtime_env.py_executable`); ours
is `fork_client.py`, which hands its arguments, environment and open files to this process and waits. The
fork has every import done. CPU only: a forked process cannot use CUDA.
"""

from __future__ import annotations

import array
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from gapo_lab.utils.processes import die_with_parent


def start(path: Path) -> int:
    """Fork the zygote, listening on the Unix socket `path`; returns its pid.

    Call it after the imports and before anything starts a thread.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if pid:
        listener.close()
        return pid
    try:
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _serve(listener)
    finally:
        os._exit(1)


def command(path: Path) -> str:
    """Return the `py_executable` that reaches the zygote at `path`."""
    client = Path(__file__).with_name("fork_client.py")
    return f"{sys.executable} -I -S {client} {path}"


def _serve(listener: socket.socket) -> None:
    """Fork a worker for each client; tell the client when its worker has ended."""
    waiting: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for _ in selector.select(timeout=0.2):
            connection, _address = listener.accept()
            try:
                request, files = _receive(connection)
            except OSError:  # the client was killed while it asked
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                listener.close()
                for other in waiting.values():
                    other.close()
                connection.close()
                _become(request, files)
            for number in files:
                os.close(number)
            waiting[pid] = connection
            with suppress(OSError):  # the client was killed; its worker sees that its parent is gone
                connection.sendall(struct.pack("!i", pid))
        while waiting:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in waiting:
                connection = waiting.pop(pid)
                with suppress(OSError):
                    connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
                connection.close()


def _receive(connection: socket.socket) -> tuple[dict, list[int]]:
    """Return a request: its length, JSON with args, env and cwd, and three open files beside it."""
    files = array.array("i")
    head, ancillary, _flags, _address = connection.recvmsg(4, socket.CMSG_LEN(3 * files.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(data[: len(data) - len(data) % files.itemsize])
    if len(head) < 4:
        raise ConnectionError("the client ended while it sent its request")
    (length,) = struct.unpack("!i", head)
    body = b""
    while len(body) < length:
        if not (part := connection.recv(length - len(body))):
            raise ConnectionError("the client ended while it sent its request")
        body += part
    return json.loads(body), list(files)


def _become(request: dict, files: list[int]) -> None:
    """Turn this fork into the Python program that was asked for, and never return."""
    code = 1
    try:
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for target, number in enumerate(files):
            os.dup2(number, target)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        sys.argv = list(request["args"])
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - a forked child must never return into the server's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
