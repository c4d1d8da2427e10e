"""Shared memory and sockets that an attempt leaves are removed with its scratch folder, and nobody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from gapo_lab.utils import scratch
from gapo_lab.utils.shared_memory import SEGMENTS

pytestmark = pytest.mark.skipif(not SEGMENTS.is_dir(), reason="shared memory is shown as files on Linux only")
# A process that makes two segments, as vLLM (no name) and verl (a name) do, says so and waits to be killed.
MAKER = """
import sys, time
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from gapo_lab.utils.shared_memory import record_into
record_into(Path(sys.argv[1]))
made = [shared_memory.SharedMemory(create=True, size=64), shared_memory.SharedMemory(sys.argv[2], create=True, size=64)]
seen = shared_memory.SharedMemory(made[0].name)
print(*(segment.name for segment in made), flush=True)
time.sleep(600)
"""


def test_what_a_killed_process_leaves_is_removed_and_nothing_else(tmp_path):
    other = shared_memory.SharedMemory(create=True, size=64)
    name = f"verl_weights_{tmp_path.name}"
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path), name], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        names = maker.stdout.readline().split()
        assert len(names) == 2 and all((SEGMENTS / made).exists() for made in names)
        maker.send_signal(signal.SIGKILL)
        maker.wait()
        scratch.clear(tmp_path)
        assert not any((SEGMENTS / made).exists() for made in names)
        assert (SEGMENTS / other.name).exists() and not tmp_path.exists()
    finally:
        maker.kill()
        maker.wait()
        other.close()
        other.unlink()


def test_a_record_does_not_lead_out_of_the_shared_memory(tmp_path):
    kept = tmp_path / "kept"
    kept.touch()
    (tmp_path / "shared_memory").write_text(f"../../{kept}\n\n")
    from gapo_lab.utils.shared_memory import remove_recorded

    remove_recorded(tmp_path)
    assert kept.exists()


def test_the_weight_sockets_of_an_attempt_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "WEIGHT_SOCKETS", tmp_path)
    folder = tmp_path / "gapo-abc"
    folder.mkdir()
    ours = tmp_path / "rl-colocate-zmq-01000000-gapo-abc-replica-0-rank-0.sock"
    theirs = tmp_path / "rl-colocate-zmq-01000000-gapo-abcd-replica-0-rank-0.sock"
    for path in (ours, theirs):
        path.touch()
    scratch.clear(folder)
    assert not ours.exists() and theirs.exists()


def test_the_name_of_an_attempt_is_its_folders(monkeypatch):
    monkeypatch.setenv(scratch.MARK, str(Path("/tmp/gapo-xyz")))
    assert scratch.name() == "gapo-xyz"
