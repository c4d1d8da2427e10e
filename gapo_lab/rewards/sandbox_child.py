"""What `sandbox.py` starts: makes the room that a program is shut in, and starts the program there.

Three processes: this one (A) leaves the machine's namespaces and waits; B is process 1 of the new ones, builds a root
that holds Python and an empty folder, and waits; C gives up every right and becomes the program. When B ends, or A, the
kernel ends all that is left in there. Standard library only: it runs by its path, under the base Python.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 0x1000, 0x4000, 0x40000
MNT_DETACH, AT_FDCWD, AT_RECURSIVE = 2, -100, 0x8000
READ_ONLY, NO_SUID, NO_DEV = 1, 2, 4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
# These numbers are the same on every architecture; pivot_root has none of its own in the C library.
MOUNT_SETATTR = 442
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
BOX = "/box"
# The program's own user where root starts it: a number that nobody has, another one for each program.
FIRST_USER, NOBODY = 0x70000000, 65534

libc = ctypes.CDLL(None, use_errno=True)


class MountAttributes(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def must(result: int, what: str) -> None:
    """Raise OSError, naming ``what``, where a call of the C library failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [text.encode() if text is not None else None for text in (source, target, kind)]
    must(libc.mount(*texts, ctypes.c_ulong(flags), options.encode() if options else None), f"mount {target}")


def read_only(target: str) -> None:
    """Make a mount and all below it read-only."""
    wanted = MountAttributes(set=READ_ONLY | NO_SUID | NO_DEV)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    flags = ctypes.c_uint(AT_RECURSIVE)
    must(libc.syscall(MOUNT_SETATTR, AT_FDCWD, target.encode(), flags, ctypes.byref(wanted), size), f"lock {target}")


def leave_namespaces() -> None:
    """Leave the namespaces of the machine: users (where not root), mounts, processes, network, IPC, host name."""
    user, group, is_root = os.getuid(), os.getgid(), os.geteuid() == 0
    wanted = NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS | (0 if is_root else NEWUSER)
    must(libc.unshare(wanted), "unshare")
    if not is_root:
        for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {user} 1"), ("gid_map", f"1000 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        # of these new users: none of them makes others, who would have rights again. Only a further bolt on the door
        with contextlib.suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")


def make_root(root: str, asked: dict) -> None:
    """Make ``root`` the root of the file system: Python and the system's libraries, read-only, and a folder."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("box", root, "tmpfs", MS_NOSUID | MS_NODEV, f"size={asked['disk_mb']}m,mode=755,nr_inodes=4096")
    for path in asked["shown"]:
        if os.path.islink(path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            os.makedirs(root + path, exist_ok=True)
            mount(path, root + path, None, MS_BIND | MS_REC)
            read_only(root + path)
        elif os.path.exists(path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            with open(root + path, "x"):
                pass
            mount(path, root + path, None, MS_BIND)
            if not path.startswith("/dev/"):
                read_only(root + path)
    os.mkdir(root + BOX, 0o777)
    os.chmod(root + BOX, 0o777)
    for name, text in asked["files"].items():
        with open(f"{root}{BOX}/{name}", "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
    os.chdir(root)
    here = ctypes.c_char_p(b".")
    must(libc.syscall(PIVOT_ROOT[os.uname().machine], here, here), "pivot_root")
    must(libc.umount2(here, MNT_DETACH), "umount")


def limit(asked: dict) -> None:
    """Set the limits of this process and of all that it starts."""
    for name, value in (
        ("AS", asked["memory_mb"] << 20),
        ("CPU", int(asked["seconds"]) + 1),
        ("NPROC", asked["processes"]),
        ("FSIZE", asked["disk_mb"] << 20),
        ("NOFILE", 64),
        ("CORE", 0),
    ):
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def give_up_rights(user: int) -> None:
    """Become a user whom nobody is, without any capability, for good. ``user``: which, where root starts it."""
    if os.geteuid() == 0:
        os.setgroups([])
        try:
            os.setresgid(user, user, user)
        except OSError:  # root of a container, which has only so many users
            user = NOBODY
            os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def become_the_program(asked: dict, user: int) -> None:
    os.setsid()
    limit(asked)
    give_up_rights(user)
    os.execve(asked["command"][0], asked["command"], asked["environment"])


def waited(process: int) -> int:
    """Wait for a child; the exit code, 128 + the signal where one ended it."""
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def isolated(asked: dict, root: str) -> int:
    user = FIRST_USER + os.getpid()
    leave_namespaces()
    if first := os.fork():
        return waited(first)
    must(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    make_root(root, asked)
    os.chdir(BOX)
    program = os.fork()
    if not program:
        become_the_program(asked, user)
    # the program cannot look into this process, which still has rights
    must(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    os._exit(waited(program))


def with_limits_only(asked: dict, root: str) -> int:
    """Without any isolation: in a folder of its own, with the limits."""
    os.chdir(root)
    for name, text in asked["files"].items():
        with open(name, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
    limit({**asked, "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1]})
    os.execve(asked["command"][0], asked["command"], asked["environment"])


def main(root: str, size: str) -> int:
    must(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    # only what is asked: the rest of the standard input is the program's
    asked = json.loads(read_exactly(0, int(size)))
    return (isolated if asked["isolation"] == "full" else with_limits_only)(asked, root)


def read_exactly(descriptor: int, size: int) -> bytes:
    parts = []
    while size and (part := os.read(descriptor, min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:3]))
    except OSError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        sys.exit(125)
