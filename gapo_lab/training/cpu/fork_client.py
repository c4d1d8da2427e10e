"""What Ray starts in place of Python: `python fork_client.py SOCKET SCRIPT ARGS...`, see fork_server.py.

Only the standard library, so that it starts in a few hundredths of a second.
"""

import array
import json
import os
import socket
import struct
import sys


def main() -> int:
    """Hand this process's work to the zygote and stay until it is done; returns its exit code."""
    path, args = sys.argv[1], sys.argv[2:]
    body = json.dumps({"args": args, "env": dict(os.environ), "cwd": os.getcwd()}).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    files = array.array("i", [0, 1, 2])
    connection.sendmsg([struct.pack("!i", len(body))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    connection.sendall(body)
    answer = b""
    while chunk := connection.recv(8 - len(answer)):
        answer += chunk
        if len(answer) == 8:
            return max(struct.unpack("!ii", answer)[1], 0)
    return 1


if __name__ == "__main__":
    sys.exit(main())
