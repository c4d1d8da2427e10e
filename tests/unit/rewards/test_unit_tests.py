"""Programs of a model against the tests of their rows, and programs that want out of the sandbox."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from gapo_lab.errors import UserError
from gapo_lab.rewards import sandbox, unit_tests
from gapo_lab.rewards.sandbox import Limits

LIMITS = Limits(seconds=20)
GOOD = "def add(a, b):\n    return a + b\n"


@pytest.fixture(scope="module", autouse=True)
def _isolated():
    """A machine without user namespaces says so; then there is nothing to test on it."""
    try:
        sandbox.check()
    except UserError as error:
        pytest.skip(str(error))


def score(answer: str, truth, **limits) -> unit_tests.Result:
    return unit_tests.run(answer, truth, Limits(**{"seconds": 20, **limits}))


def hostile(code: str, **limits) -> sandbox.Outcome:
    return sandbox.run({"a.py": code}, ("a.py",), Limits(**{"seconds": 20, **limits}))


@pytest.mark.parametrize(
    ("truth", "good", "bad"),
    [
        ("assert add(1, 2) == 3", GOOD, "def add(a, b):\n    return 3.5\n"),
        ("def check(f):\n    assert f(1, 2) == 3\n\ncheck(add)\n", GOOD, "add = None"),
        (["assert add(1, 2) == 3", "assert add(0, 0) == 0"], GOOD, "def add(a, b):\n    return 3\n"),
        ({"setup": "import math", "tests": ["assert add(math.pi, 0) > 3"]}, GOOD, "raise SystemExit(0)"),
        ({"inputs": ["1 2\n", "3 4"], "outputs": ["3\n", "7"]}, "print(sum(map(int, input().split())))\n", "print(3)"),
        ({"fn_name": "add", "inputs": [[1, 2], "3\n4"], "outputs": [3, "7"]}, GOOD, "def add(*a):\n    return 3\n"),
    ],
)
def test_answers_are_scored_by_the_tests_of_their_row(truth, good, bad):
    for way in (truth, json.dumps(truth)) if not isinstance(truth, str) else (truth,):
        right = score(f"Here it is:\n```python\n{good}```\nDone.", way)
        assert (right.share, right.stopped) == (1.0, False)
    assert score(bad, truth).share < 1


def test_the_last_block_of_python_is_the_answer():
    assert unit_tests.code_of("```\na = 1\n```\nno:\n```python\na = 2\n```\n```text\nx\n```") == "a = 2"
    assert unit_tests.code_of("a = 3") == "a = 3"
    assert unit_tests.code_of("cut:\n```python\ndef f():\n    return") == "def f():\n    return"


@pytest.mark.parametrize("truth", ["", [], {}, {"inputs": ["1"], "outputs": []}, None, 3])
def test_a_truth_without_tests_is_named(truth):
    with pytest.raises(ValueError, match="holds no tests"):
        unit_tests.tests_of(truth)


def test_each_test_counts_by_itself():
    tests = ["assert add(1, 2) == 3", "assert add(1, 1) == 3", "raise SystemExit", "assert add(2, 2) == 4"]
    assert (score(GOOD, tests).passed, score(GOOD, tests).of) == (2, 4)


@pytest.mark.parametrize(
    "answer",
    [
        "import os\nprint('0\\nanswer\\nall passed')\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "raise KeyboardInterrupt",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "def add(a, b)",
        "import sys\nsys.stdout = None\nsys.stdin = None",
    ],
)
def test_an_answer_that_only_ends_passes_nothing(answer):
    assert score(answer, ["assert add(1, 2) == 3"]).passed == 0


@pytest.mark.slow
def test_what_never_ends_is_ended():
    began = time.monotonic()
    assert score("while True: pass", ["assert True"], seconds=1).stopped
    assert hostile("import time\ntime.sleep(99)", seconds=1).ended_for == "time"
    found = hostile("while True: print('x' * 1000)", output_kb=64)
    assert found.ended_for == "output" and len(found.output) <= 64 << 10
    assert hostile("import os\nos.close(1); os.close(2)\nwhile True: pass", seconds=1).ended_for == "time"
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_fork_bomb_stays_small_and_leaves_nothing():
    code = (
        "import os, sys, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(.01)"
    )
    assert hostile(code, seconds=2).ended_for == "time"
    mark = f"left-{os.getpid()}"
    code = f"""
import os, subprocess, sys, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(99)", "{mark}"])
        os._exit(0)
time.sleep(.3)
print("all off")
"""
    assert hostile(code).output == "all off\n"
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]
    assert (
        "Resource temporarily unavailable"
        in hostile(
            "import subprocess, sys\n[subprocess.Popen(['/usr/bin/sleep', '9']) for _ in range(40)]", processes=8
        ).errors
    )


def test_memory_and_disk_are_limited():
    assert "MemoryError" in hostile("x = bytearray(900_000_000)").errors
    assert "No space left" in hostile("open('x', 'wb').write(b'x' * 50_000_000)").errors
    many = "for n in range(40):\n    open(str(n), 'wb').write(b'x' * 1_000_000)"
    assert "No space left" in hostile(many, disk_mb=8).errors


def test_the_machine_is_out_of_sight(tmp_path, monkeypatch):
    monkeypatch.setenv("GAPO_SECRET", "token")
    secret = tmp_path / "secret"
    secret.write_text("mine")
    look = f"""
import os
seen = [dict(os.environ), os.listdir("/box")]
for path in ("/proc/1/environ", "/proc/self/environ", "/etc/passwd", {str(secret)!r}, "/root/.ssh", "/home"):
    try:
        seen.append(open(path).read() if not os.path.isdir(path) else os.listdir(path))
    except OSError:
        pass
print(seen)
"""
    said = hostile(look)
    assert (
        said.code == 0
        and said.output == str([{"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/box"}, ["a.py"]]) + "\n"
    )
    write = f"""
import os
for path in ("/usr/gapo-was-here", {str(tmp_path / "new")!r}, "/dev/shm/x", "/lib/x", os.__file__):
    try:
        open(path, "a").write("x")
        print("written", path)
    except OSError:
        pass
"""
    assert hostile(write).output == "" and sorted(os.listdir(tmp_path)) == ["secret"]


def test_no_socket_reaches_anything(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "s"))
        local.listen()
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0gapo-{os.getpid()}")
        abstract.listen()
        code = f"""
import socket
for kind, address in (
    (socket.AF_INET, ("127.0.0.1", {server.getsockname()[1]})),
    (socket.AF_UNIX, {str(tmp_path / "s")!r}),
    (socket.AF_UNIX, {chr(0) + f"gapo-{os.getpid()}"!r}),
):
    try:
        socket.socket(kind).connect(address)
        print("reached", address)
    except OSError:
        print("no")
"""
        assert hostile(code).output == "no\n" * 3
        abstract.close()


def test_no_other_process_can_be_hurt():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        code = f"""
import os, signal
for process in (os.getppid(), 1, {os.getpid()}, {bystander.pid}, -1):
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        pass
print("still here")
"""
        assert hostile(code).output == "still here\n"
        assert bystander.poll() is None
        bystander.communicate(b"\n")
        assert bystander.returncode == 0


def test_rights_do_not_come_back():
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for name in ("/usr", "/"):
    print(libc.mount(b"none", name.encode(), b"tmpfs", 0, None), libc.umount(name.encode()))
for change in (os.setuid, os.setgid):
    try:
        change(0)
        print("root")
    except OSError:
        print("no")
"""
    assert hostile(code).output == "-1 -1\n" * 2 + "no\n" * 2


@pytest.mark.slow
def test_several_run_at_a_time_and_do_not_meet():
    write = "import os, time\nopen('mine', 'w').write('{0}')\ntime.sleep(.2)\nprint(os.listdir(), open('mine').read())"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: hostile(write.format(n)).output, range(8)))
    assert [text.split()[-1] for text in found] == [str(n) for n in range(8)]
    assert all("'mine'" in text for text in found)


def test_the_program_ends_with_whoever_started_it(tmp_path):
    code = (
        "from gapo_lab.rewards import sandbox\n"
        "sandbox.run({'a.py': 'import time; print(1, flush=True); time.sleep(99)'}, ('a.py', 'orphan-mark'), "
        "sandbox.Limits(seconds=99))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as starter:
        until = time.monotonic() + 60
        while not (found := _called("orphan-mark")) and time.monotonic() < until:
            time.sleep(0.05)
        assert found
        starter.kill()
    while _called("orphan-mark") and time.monotonic() < until:
        time.sleep(0.05)
    assert not _called("orphan-mark")


def _called(word: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if word in (p.info["cmdline"] or [])]


def test_without_isolation_only_where_it_is_asked_for():
    found = unit_tests.run(GOOD, "assert add(1, 2) == 3", LIMITS, isolation="none")
    assert found.share == 1
    assert "reward.sandbox.isolation=none" in sandbox.refusal("unshare: Operation not permitted")


@pytest.mark.skipif(os.geteuid() != 0, reason="as another user this is how all tests here run")
def test_it_needs_no_root(tmp_path):
    """As a user without any right, with the system's Python: what root made must not be what holds."""
    package = tmp_path / "gapo_lab"
    (package / "rewards").mkdir(parents=True)
    for source in (sandbox.__file__, sandbox.CHILD, UserError.__module__):
        path = sys.modules[source].__file__ if source == UserError.__module__ else source
        place = package if source == UserError.__module__ else package / "rewards"
        (place / os.path.basename(path)).write_text(Path(path).read_text())
    (tmp_path / "t.py").write_text(
        "import sys\nsys.path.insert(0, sys.argv[1])\nfrom gapo_lab.rewards import sandbox\nsandbox.check()\n"
        "found = sandbox.run({'a.py': 'import os; print(os.getuid(), os.listdir()); open(\"/etc/passwd\")'}, "
        "('a.py',), sandbox.Limits(seconds=20))\nprint(found.output, found.errors[-60:])\n"
    )
    for path in (*tmp_path.parents, *tmp_path.rglob("*")):
        if path.is_relative_to("/tmp/pytest-of-root") or path.is_relative_to(tmp_path):
            os.chmod(path, 0o755)
    os.chmod(tmp_path, 0o755)
    said = subprocess.run(
        ["/usr/bin/python3", str(tmp_path / "t.py"), str(tmp_path)],
        user=65534, group=65534, extra_groups=[], capture_output=True, text=True, env={}, check=False,
    )  # fmt: skip
    assert "1000 ['a.py']" in said.stdout and "No such file or directory: '/etc/passwd'" in said.stdout, said
