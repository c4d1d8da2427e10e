"""A PostgreSQL server of one's own, from Debian's package: its own folder, port and processes, which end with it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

PATIENCE_SECONDS = 60.0
# A server that is thrown away need not survive a crash of the machine.
OPTIONS = ("-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "max_wal_size=4GB")


def missing() -> str:
    """Return what is not installed that a server and MLflow's way to it need; '' where all is."""
    if _programs() is None:
        return "PostgreSQL's programs: apt-get install postgresql"
    if find_spec("psycopg") is None and find_spec("psycopg2") is None:
        return "a driver: pip install 'psycopg[binary]'"
    return ""


def _programs() -> Path | None:
    """Return the folder of initdb and postgres: Debian's, the newest version, or that of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else (Path(on_path).resolve().parent if on_path else None)


@contextmanager
def server() -> Iterator[str]:
    """Return the address of an empty database, while the block lasts."""
    programs = _programs()
    assert programs is not None, missing()
    folder = Path(tempfile.mkdtemp(prefix="gapo-postgresql-"))
    user = _user()
    process = None
    try:
        if user:
            shutil.chown(folder, *user)
        data = folder / "data"
        made = ["-D", str(data), "-U", "gapo", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"]
        subprocess.run([programs / "initdb", *made], check=True, capture_output=True, **_as(user))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), "-p", str(port), *OPTIONS]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True, **_as(user))
        _wait(process, port, folder / "log")
        yield f"{_scheme()}://gapo@127.0.0.1:{port}/postgres"
    finally:
        if process is not None:
            process.send_signal(2)  # a fast shutdown: connections are ended
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _scheme() -> str:
    return "postgresql+psycopg" if find_spec("psycopg") else "postgresql+psycopg2"


def _user() -> tuple[int, int] | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    return None


def _as(user: tuple[int, int] | None) -> dict:
    return {"cwd": "/"} | ({"user": user[0], "group": user[1], "extra_groups": []} if user else {})


def _wait(process: subprocess.Popen, port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        # its socket is there before it answers: the log says when
        if b"ready to accept connections" in log.read_bytes():
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start on port {port}: {log.read_text(errors='replace')[-2000:]}")
