"""`python -m gapo_lab.data mine`: the folder it makes, whatever the workers, interruptions and disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab import REPO
from little_repos import TWICE, code, commit, git, grow, init

from gapo_lab.cli.data import main
from gapo_lab.data import content_digest
from gapo_lab.data.mining import dataset
from gapo_lab.data.mining import parallel as parts
from gapo_lab.data.tasks import parquet_rows
from gapo_lab.errors import UserError

DATA = [sys.executable, "-m", "gapo_lab.data"]


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Path:
    """300 commits, three parts."""
    return grow(tmp_path_factory.mktemp("long") / "long", ["a.go", "lib/b.py"], 300)


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Path:
    """40 commits, one part."""
    return grow(tmp_path_factory.mktemp("short") / "short", ["a.go", "lib/b.py"], 40)


@pytest.fixture(scope="module")
def made(long, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    dataset.make([long], out, dataset.Options(), workers=1)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder(made, long):
    about = dataset.read(made)
    assert sorted(content(made)) == ["about.json", "id.parquet", "train.parquet"]
    tasks = {split: list(parquet_rows.read_tasks(made / f"{split}.parquet")) for split in dataset.SPLITS}
    assert about["rows"] == {split: len(found) for split, found in tasks.items()}
    assert len(tasks["id"]) == pytest.approx(0.07 * 600, abs=3)
    assert max(t.provenance["time"] for t in tasks["train"]) < min(t.provenance["time"] for t in tasks["id"])
    head = git(long, "rev-parse", "HEAD").decode().strip()
    assert about["repositories"] == [
        {
            "name": "long",
            "head": head,
            "licence": "",
            "commits": 301,
            "tasks": sum(map(len, tasks.values())) + about["drops"].get("near-duplicate of the test", 0),
        }
    ]
    for task in tasks["id"][:5]:
        spec = f"{task.provenance['commit']}:{task.path}"
        assert task.edited.encode() == git(long, "show", spec)
    first = parquet_rows.pq.read_table(made / "train.parquet").slice(0, 2).to_pylist()
    assert [row["extra_info"]["index"] for row in first] == [0, 1] and first[0]["data_source"] == "train"
    assert [m["role"] for m in first[0]["prompt"]] == ["system", "user"]
    assert str(long) not in (made / "about.json").read_text()


@pytest.mark.slow
def test_the_same_bytes_from_two_workers_after_ctrl_c(made, long, tmp_path):
    """Stopped after the first part, gone on with by two processes: the files are those of one process."""
    words = ["mine", str(long), "--out", "out", "--workers", "2"]
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    # as started from a terminal, also where this process was told to ignore Ctrl-C
    heed = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script = tmp_path / "script.py"
    script.write_text(
        heed + "from gapo_lab.cli.data import main\nif __name__ == '__main__': sys.exit(main(sys.argv[1:]))"
    )
    first = subprocess.Popen(
        [sys.executable, script, *words],
        cwd=tmp_path,
        env=env,
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("out/.parts/0*.parquet")) and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGINT)
        _, said = first.communicate(timeout=60)
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
    if first.returncode:  # else it was done before the signal came
        assert first.returncode == 130 and said.endswith("resumes after what is finished\n"), said
        assert not (tmp_path / "out/about.json").exists()
        with pytest.raises(UserError, match="no mined data here"):
            dataset.read(tmp_path / "out")
    done = subprocess.run(
        [*DATA, *words], cwd=tmp_path, env=env, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "out") == content(made)


def test_parts_that_are_there_are_not_made_again(long, made, tmp_path, monkeypatch):
    out = tmp_path / "out"
    chunks: list = []
    heard: list[int] = []

    def begin(work):
        chunks.extend(work)

        def hear(chunk, tasks):
            heard.append(tasks)
            if len(heard) == 2:
                raise KeyboardInterrupt

        return hear

    with pytest.raises(KeyboardInterrupt):
        dataset.make([long], out, dataset.Options(), 1, begin)
    there = {path: path.stat().st_mtime_ns for path in out.glob(".parts/*.parquet")}
    assert len(there) == 2 and not (out / "about.json").exists()
    (out / ".parts/.half.parquet.1.aside").write_bytes(b"half")
    calls = []
    real = parts._mine_chunk
    monkeypatch.setattr(parts, "_mine_chunk", lambda chunk: calls.append(chunk) or real(chunk))
    dataset.make([long], out, dataset.Options(), 1)
    assert len(calls) == len(chunks) - 2 == 1
    assert content(out) == content(made)


def test_a_finished_folder_is_only_read_and_other_settings_are_refused(long, made, monkeypatch):
    monkeypatch.setattr(parts, "mine_parts", None)
    assert dataset.make([long], made, dataset.Options()) == dataset.read(made)
    with pytest.raises(UserError, match=r"mined otherwise \(id_share, max_per_repo\)"):
        dataset.make([long], made, dataset.Options(id_share=0.2, max_per_repo=5))


def test_a_full_disk(long, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "_open", lambda path: Path("/dev/full").open("wb"))  # noqa: SIM115 the writer closes it
    with pytest.raises(UserError, match="disk is full"):
        dataset.make([long], tmp_path / "out", dataset.Options(), 1)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_two_at_once_are_refused(long, tmp_path):
    from gapo_lab.utils import atomic_files

    handle = atomic_files.try_lock(tmp_path / ".lock")
    with pytest.raises(UserError, match="another process is mining"):
        dataset.make([long], tmp_path, dataset.Options(), 1)
    os.close(handle)


def test_limits_dates_and_splits(short, tmp_path):
    about = dataset.make([short], tmp_path / "a", dataset.Options(max_per_repo=10), 1)
    assert about["repositories"][0]["tasks"] == 10 and about["drops"]["over max-per-repo"] > 50
    about = dataset.make([short], tmp_path / "b", dataset.Options(since="2023-12-01", until="2023-12-11"), 1)
    tasks = [t for split in dataset.SPLITS for t in parquet_rows.read_tasks(tmp_path / "b" / f"{split}.parquet")]
    assert {t.provenance["time"][:10] for t in tasks} <= {f"2023-12-{day:02d}" for day in range(1, 11)}
    assert about["repositories"][0]["commits"] == 10
    with pytest.raises(UserError, match="no example mined .*no commit in the range"):
        dataset.make([short], tmp_path / "c", dataset.Options(since="2099-01-01"), 1)
    with pytest.raises(UserError, match="since=soon: not a date"):
        dataset.make([short], tmp_path / "c", dataset.Options(since="soon"), 1)


def test_two_repositories_and_a_test_repository(short, tmp_path):
    other = grow(tmp_path / "b" / "short", ["x.rs"], 5, seed=1)
    how = dataset.Options(split="repository")
    about = dataset.make([short, other, other], tmp_path / "out", how, 1)
    assert [repo["name"] for repo in about["repositories"]] == ["short", "short#2"]
    held = {t.provenance["repository"] for t in parquet_rows.read_tasks(tmp_path / "out/id.parquet")}
    assert held == {"short#2"}


def test_near_duplicates_and_leaks(tmp_path):
    """The newest commit makes the edit of an older one again in another file, and one that training code shows."""
    repo = init(tmp_path / "r")
    words = {f"f{i}.py": code(l30=f"alpha_{i} beta_{i}") for i in range(12)}
    commit(repo, words)
    for day, name in enumerate(list(words)[:10], 1):
        text = words[name]
        edit = f"result_{day} = compute_{day}(first_{day}, second_{day})"
        commit(
            repo,
            {name: text.replace("statement number 3;", f"x{day}").replace("statement number 50;", edit)},
            day=day,
        )
    again = code(l30="alpha_11", l3="other", l50="result_4 = compute_4(first_4, second_4)  # again")
    commit(repo, {"f11.py": again}, day=20)
    about = dataset.make([repo], tmp_path / "out", dataset.Options(id_share=0.05), 1)
    assert about["drops"]["near-duplicate of the test"] == 1 and about["rows"] == {"train": 9, "id": 1}
    train = list(parquet_rows.read_tasks(tmp_path / "out/train.parquet"))
    assert not any("compute_4" in task.truth for task in train)
    near = dataset.make([repo], tmp_path / "near", dataset.Options(id_share=0.05, near=False), 1)
    assert near["rows"]["train"] == 10
    assert near["leaks"] == {"test_truths": 1, "verbatim_in_training_code": 0, "then": "report"}
    # the same lines, back again in the test: they stand in the code of training tasks
    commit(repo, {"f0.py": code(l30="alpha_0 beta_0", l3="y", l10="z", l50="w")}, day=21)
    commit(repo, {"f0.py": code(l30="alpha_0 beta_0", l3="yy", l50="statement number 50;", l10="z")}, day=22)
    leaky = dataset.make([repo], tmp_path / "leaky", dataset.Options(id_share=0.05, near=False), 1)
    assert leaky["leaks"]["verbatim_in_training_code"] == 1
    with pytest.raises(UserError, match="leaks=ask"):
        dataset.Options(leaks="ask")


def test_the_command(short, tmp_path, capsys):
    assert main(["mine", str(short), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    for part in ("examples to train on", "commits left out:\n  first commit ", "are in the training code verbatim"):
        assert part in said
    assert max(map(len, said.splitlines())) <= 120
    for words, line in (
        (["mine", str(tmp_path)], "not a git repository"),
        (["mine", str(short), "--out", str(tmp_path / "x"), "--max-per-repo", "0"], "max_per_repo=0"),
        (["mine", str(short), "--workers", "0"], "--workers 0"),
        (["mine", str(short), "--split", "random"], "split=random: must be one of time, repository"),
        (["mine", str(short), "--min-chars", "9", "--max-chars", "2"], "lengths of 9 to 2"),
        (["mine", str(short), "--template", "nowhere"], "nowhere: no such file"),
    ):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert line in said and len(said.splitlines()) == 1, said


def test_an_empty_a_shallow_and_a_partial_clone(long, tmp_path, capsys):
    assert main(["mine", str(init(tmp_path / "empty")), "--out", str(tmp_path / "out")]) == 2
    assert "has no commit" in capsys.readouterr().err
    git(tmp_path, "clone", "-q", "--depth=40", long.resolve().as_uri(), "shallow")
    about = dataset.make([tmp_path / "shallow"], tmp_path / "s", dataset.Options(), 1)
    assert about["repositories"][0]["commits"] == 40 and about["drops"]["first commit"] == 1
    git(long, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", long.resolve().as_uri(), "partial")
    assert main(["mine", str(tmp_path / "partial"), "--out", str(tmp_path / "p"), "--workers", "1"]) == 2
    assert "objects missing 300" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_of_100_mb_costs_no_memory(tmp_path):
    """Its header is read, not the file: a fresh process stays below what the file alone would take."""
    repo = init(tmp_path / "r")
    commit(repo, {"a.py": code(), "big.py": b"x = 1\n" * 17_500_000})
    commit(repo, {"a.py": TWICE, "big.py": b"y = 1\n" + b"x = 1\n" * 17_500_000})
    script = (
        "import sys, resource\nfrom gapo_lab.data.mining.miner import mine\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"result = mine({str(repo)!r})\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(len(result.tasks), result.drops['over 60 kB'], grown // 1024)"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True).stdout
    tasks, over, megabytes = map(int, out.split())
    assert (tasks, over) == (1, 1) and megabytes < 90


def test_about_is_what_a_person_reads(made):
    about = json.loads((made / "about.json").read_text())
    assert about["digest"] and set(about["files"]) == {"train.parquet", "id.parquet"}
    assert about["recipe"]["split"] == "time" and about["recipe"]["repositories"][0]["name"] == "long"


def test_mined_data_that_were_edited_are_no_longer_the_mined_ones(made, tmp_path):
    """The run key has their digest from about.json: it would name other rows."""
    data = {"name": "git", "path": str(tmp_path / "copy"), "template": None, "ood": "micro", "ood_path": None}
    shutil.copytree(made, tmp_path / "copy")
    before = content_digest.of(data)
    held = tmp_path / "copy" / "id.parquet"
    held.write_bytes((made / "train.parquet").read_bytes())
    with pytest.raises(UserError, match=r"id\.parquet: has changed since it was mined\. For rows of your own take"):
        content_digest.of(data)
    held.unlink()
    with pytest.raises(UserError, match="is missing"):
        content_digest.of(data)
    held.write_bytes((made / "id.parquet").read_bytes())
    assert content_digest.of(data) == before
