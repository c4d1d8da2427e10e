"""A process that has imported everything once and forks Ray's workers from itself.

Every Ray worker of a verl run imports torch, transformers and verl: 15 CPU-seconds each, and a run has
half a dozen of them. Ray lets a job name the executable of its workers (`runtime_env.py_executable`); ours
is `fork_client.py`, which hands its arguments, environment and open files to this process and waits. The
fork has every import done. CPU only: a forked process cannot use CUDA.

vLLM starts its processes with `multiprocessing`, whose "spawn" imports all of vLLM anew in each. It, too, lets a
program name the executable (`multiprocessing.set_executable`): a script that calls `fork_client.py`. The parent of
all forks is the zygote; each ends with it.
"""

from __future__ import annotations

import array
import fcntl
import gc
import json
import multiprocessing
import os
import runpy
import selectors
import shlex
import signal
import socket
import struct
import sys
import traceback
import types
from contextlib import suppress
from pathlib import Path

from gapo_lab.utils.processes import die_with_parent

# The most open files that a client may hand over: Linux allows no more in one message.
MOST_FILES = 253


def start(path: Path, with_multiprocessing: bool = False) -> int:
    """Fork the zygote, listening on the Unix socket `path`; returns its pid.

    Call it after the imports and before anything starts a thread.

    with_multiprocessing: what the forks start by `multiprocessing` with "spawn" are forks of the zygote, too.
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
        if with_multiprocessing:
            multiprocessing.set_executable(str(_script(path)))
        _serve(listener)
    finally:
        os._exit(1)


def command(path: Path) -> str:
    """Return the `py_executable` that reaches the zygote at `path`."""
    client = Path(__file__).with_name("fork_client.py")
    return shlex.join([sys.executable, "-I", "-S", str(client), str(path)])


def _script(path: Path) -> Path:
    """Write an executable that reaches the zygote at `path`."""
    script = path.with_name("python")
    script.write_text(f'#!/bin/sh\nexec {command(path)} "$@"\n', encoding="utf-8")
    script.chmod(0o700)
    return script


def _serve(listener: socket.socket) -> None:
    """Fork a worker for each client; tell the client when its worker has ended."""
    waiting: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for event, _ in selector.select(timeout=0.2):
            if event.fileobj is not listener:
                if _asks_to_end(waiting[event.data]):
                    os.kill(event.data, signal.SIGTERM)
                else:  # `multiprocessing` has killed the client
                    selector.unregister(event.fileobj)
                    os.kill(event.data, signal.SIGKILL)
                continue
            connection, _address = listener.accept()
            try:
                request, files = _receive(connection)
            except OSError:  # the client was killed while it asked
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                selector.close()
                listener.close()
                for other in waiting.values():
                    other.close()
                connection.close()
                _become(request, files)
            for number in files:
                os.close(number)
            waiting[pid] = connection
            if request["code"]:
                selector.register(connection, selectors.EVENT_READ, pid)
            with suppress(OSError):  # the client was killed; a worker of Ray's sees that its parent is gone
                connection.sendall(struct.pack("!i", pid))
        while waiting:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in waiting:
                connection = waiting.pop(pid)
                with suppress(KeyError):
                    selector.unregister(connection)
                with suppress(OSError):
                    connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
                connection.close()


def _asks_to_end(connection: socket.socket) -> bool:
    """Whether a client asks to end its worker; else the client has ended."""
    try:
        return bool(connection.recv(1))
    except OSError:
        return False


def _receive(connection: socket.socket) -> tuple[dict, list[int]]:
    """Return a request: its length, JSON with args, code, files, env and cwd, and the open files beside it."""
    files = array.array("i")
    head, ancillary, _flags, _address = connection.recvmsg(4, socket.CMSG_LEN(MOST_FILES * files.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            files.frombytes(data[: len(data) - len(data) % files.itemsize])
    try:
        if len(head) < 4:
            raise ConnectionError("the client ended while it sent its request")
        (length,) = struct.unpack("!i", head)
        body = b""
        while len(body) < length:
            if not (part := connection.recv(length - len(body))):
                raise ConnectionError("the client ended while it sent its request")
            body += part
    except OSError:
        for number in files:
            os.close(number)
        raise
    return json.loads(body), list(files)


def _become(request: dict, files: list[int]) -> None:
    """Turn this fork into the Python program that was asked for, and never return."""
    code = 1
    try:
        die_with_parent()
        for number in (signal.SIGINT, signal.SIGTERM):  # the process that was forked has handlers of its own
            signal.signal(number, signal.SIG_DFL)
        _take(files, request["files"])
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        args = list(request["args"])
        if request["code"]:
            sys.argv = ["-c", *args[args.index("-c") + 2 :]]
            sys.modules["__main__"] = types.ModuleType("__main__")
            exec(request["code"], vars(sys.modules["__main__"]))  # as `python -c` does
        else:
            sys.argv = args
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


def _take(files: list[int], numbers: list[int]) -> None:
    """Give the open `files` the `numbers` that they have in the client; what had one of these before is closed."""
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(aside, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
