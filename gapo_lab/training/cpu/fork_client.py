"""What Ray starts in place of Python: `python fork_client.py SOCKET SCRIPT ARGS...`, see fork_server.py.

`multiprocessing` starts it, too, with `-c CODE` in place of a script, where `fork_server.start` was told so. Only the
standard library, so that it starts in a few hundredths of a second.
"""

import array
import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress


def main() -> int:
    """Hand this process's work to the zygote and stay until it is done; returns its exit code."""
    path, args = sys.argv[1], sys.argv[2:]
    code = args[args.index("-c") + 1] if "-c" in args[:-1] else ""
    if code and "multiprocessing.spawn" not in code:  # a helper of Python's own, which imports next to nothing
        os.execv(sys.executable, [sys.executable, *args])
    numbers = open_files() if code else [0, 1, 2]
    request = {"args": args, "code": code, "files": numbers, "env": dict(os.environ), "cwd": os.getcwd()}
    body = json.dumps(request).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    files = array.array("i", numbers)
    connection.sendmsg([struct.pack("!i", len(body))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    connection.sendall(body)
    if answer(connection) is None:
        return 1
    if code:  # its parent has only this process to end; the zygote knows whether the other still lives
        signal.signal(signal.SIGTERM, lambda *_: tell(connection))
    ended = answer(connection)
    if ended is None:
        return 1
    if code and ended < 0:
        end_by(-ended)
    return max(ended, 0)


def tell(connection: socket.socket) -> None:
    """Ask the zygote to send the work SIGTERM."""
    with suppress(OSError):  # it has ended
        connection.send(b"T")


def end_by(number: int) -> None:
    """End this process as a signal has ended the work."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def open_files() -> list[int]:
    """Return the numbers of this process's open files."""
    return [number for number in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{number}")]


def answer(connection: socket.socket) -> int | None:
    """Wait for a number from the zygote; None where it has ended."""
    said = b""
    while len(said) < 4:
        if not (chunk := connection.recv(4 - len(said))):
            return None
        said += chunk
    return int(struct.unpack("!i", said)[0])


if __name__ == "__main__":
    sys.exit(main())
