"""Writing files so that a reader, a crash or a full disk never meets half of one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gapo_lab.errors import UserError

_UNWRITABLE = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EDQUOT: "the disk quota is used up. Free some space",
    errno.EROFS: "the file system is read-only. Choose another place",
    errno.EACCES: "this user may not write there. Choose another place or change its permissions",
    errno.ENOTDIR: "a part of that path is a file. Choose another place",
    errno.EEXIST: "a file of that name stands there. Choose another place",
}

# What a file system without locks answers, such as Lustre that is mounted without `flock`.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class NoLocksError(UserError):
    """The file system has no locks."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating-system refusal to write ``path`` into a UserError that names it.

    Other errors propagate as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise UserError(
            f"cannot write {path}: {_UNWRITABLE[error.errno]}, then give the same command "
            "again; what was written before is kept"
        ) from error


def make_folder(path: Path) -> None:
    """Make ``path`` and its parents; what exists is left alone."""
    try:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # as below /proc
        raise UserError(f"cannot make the folder {path}. Choose another place") from error


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of ``text`` as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` at once: written aside, synced, renamed."""
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of ``path`` at once when the block ends well, and else leaves nothing.

    It is written aside under a name of its own: processes that write the same path do not meet.
    """
    aside = f"{path.parent}/.{path.name}.{os.urandom(6).hex()}"
    with writing(path):
        handle = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            raise


def write_json(path: Path, value: Any) -> None:
    """``write_text`` of ``value`` as JSON that a person can read."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a NumPy or torch scalar
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r:.60} has no JSON form")


def read_text(path: str | Path, errors: str = "strict") -> str:
    """Return the text of a file, as ``Path.read_text`` does, in a third of its time: ten thousand small files are
    read."""
    text = _read_bytes(path).decode("utf-8", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _read_bytes(path: str | Path) -> bytes:
    """Return the bytes of a file. A file object asks the disk twice as often."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size + 1)
        if len(data) != size:  # it grows, or its file system gives less at a time than it was asked for
            while more := os.read(handle, 1 << 20):
                data += more
        return data
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(handle)


def read_json(path: str | Path) -> Any:
    """Return the JSON value in ``path``, or None where the file is not there; UserError where it is broken."""
    try:
        return json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}). Fix it or move the file away") from error


def append_line(path: Path, line: str) -> None:
    """Append ``line`` and sync; when that fails the file is as long as it was before."""
    data = (line + "\n").encode()
    with writing(path), open(path, "ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            while data:
                data = data[file.write(data) :]
            with contextlib.suppress(OSError):  # not every file system can sync
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), before)
            raise


def try_lock(path: Path) -> int | None:
    """Take the lock file ``path``: an open descriptor, or None when another process holds it.

    NoLocksError where the file system has none. The lock vanishes with the process, however it ends; closing the
    descriptor frees it.
    """
    with writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _flock(handle, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


@contextlib.contextmanager
def owned(path: Path, taken: Callable[[str], str], patience: float = 0.0) -> Iterator[None]:
    """Hold the lock file ``path``, with a line in it that names this process.

    UserError when another process still holds it after ``patience`` seconds; ``taken`` makes the message from its line.
    """
    until = time.monotonic() + patience
    while (handle := try_lock(path)) is None and time.monotonic() < until:
        time.sleep(0.5)
    if handle is None:
        raise UserError(taken(path.read_text().strip() or "another process"))
    try:
        os.ftruncate(handle, 0)
        owner = f"pid {os.getpid()} on {os.uname().nodename} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
        with writing(path):
            os.write(handle, owner.encode())
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, waiting for it."""
    with _holding(path, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` together with others who share it, waiting for it. Nobody can take it meanwhile."""
    with _holding(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def _holding(path: Path, how: int) -> Iterator[None]:
    with writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _flock(handle, path, how)
        yield
    finally:
        os.close(handle)


def _flock(handle: int, path: Path, how: int) -> None:
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise NoLocksError(
            f"cannot lock {path}: its file system has no locks. Mount it with them (Lustre: -o flock), or choose "
            "another place (run_root=FOLDER)"
        ) from error


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only process that makes ``path``, waiting for the others; the lock file lies beside it and stays.

    Where the file system has no locks nobody waits: what is made must appear whole, whoever makes it.
    """
    make_folder(path.parent)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(NoLocksError):
            stack.enter_context(locked(path.parent / f".{path.name}.lock"))
        yield
