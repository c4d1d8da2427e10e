"""Finished runs as one small file, and run folders of it."""

import io
import json
import lzma
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from rehearsed_runs import STEPS, rehearse

from gapo_lab.__main__ import main
from gapo_lab.errors import UserError
from gapo_lab.launch import executor
from gapo_lab.planning.planned import Action
from gapo_lab.runs import archive, studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.provenance import Code, Machine, Origin, Provenance
from gapo_lab.runs.status import State

AXES = (["algo=grpo", "algo=gapo_grpo"], ["seed=0", "seed=1"])


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, list[str]]:
    root = tmp_path / "here" / "runs"
    keys = rehearse(root, "one", *AXES)
    folder = RunFolder(root / keys[0])
    machine = Machine(python="3.11.7", host=socket.gethostname(), slurm={"SLURM_JOB_ID": "7"}, packages={"verl": "1"})
    code = Code("c0ffee" * 6, True, "+ my secret", False, ("notes.txt",))
    origin = Origin("", (str(tmp_path / "venv/bin/python"), f"run_root={root}"), str(tmp_path / "here"), code)
    folder.write_provenance(Provenance(origin, machine))
    config = folder.config()
    folder.write_config(json.dumps({**config, "run_root": str(root), "model": {"path": f"{root}/.code/1/nano"}}))
    cases = folder.attempts()[0].generations / "truths"
    cases.mkdir()
    for step, value in ((0, -1.0), (STEPS, -0.5)):
        row = {"set": "id", "id": "a-1", "loglik": value, "output": "a long answer"}
        (cases / f"{step}.jsonl").write_text(json.dumps(row) + "\n" + '{"cut sho')
    return root, keys


def texts(path: Path) -> dict[str, str]:
    with tarfile.open(path) as opened:
        return {one.name: opened.extractfile(one).read().decode() for one in opened}


def test_a_run_folder_comes_out_as_it_went_in(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, keys = runs
    assert archive.pack(root, keys, tmp_path / "one.tar.xz") == len(keys)
    there = tmp_path / "there"
    assert archive.unpack(tmp_path / "one.tar.xz", there) == (sorted(keys), [])
    for key in keys:
        old, new = RunFolder(root / key), RunFolder(there / key)
        assert new.spec == old.spec
        assert new.is_finished
        assert new.status().state is State.FINISHED
        assert new.summary() == pytest.approx(old.summary(), rel=1e-6)
        assert new.started() == pytest.approx(old.started(), abs=1e-3)
        before, after = old.merged_metrics(), new.merged_metrics()
        assert after.keys() == before.keys()
        for step, metrics in after.items():
            kept = {name: value for name, value in before[step].items() if name.startswith(("val/", "train/"))}
            assert kept
            assert kept == pytest.approx({name: metrics[name] for name in kept}, rel=1e-6)
    assert studies.of_study(there, "one") == sorted(keys)
    assert archive.unpack(tmp_path / "one.tar.xz", there) == ([], sorted(keys))


def test_it_names_no_folder_host_or_job_of_this_machine(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, keys = runs
    archive.pack(root, keys, tmp_path / "one.tar.xz")
    found = texts(tmp_path / "one.tar.xz")
    for name, text in found.items():
        assert str(tmp_path) not in text, name
        assert "SLURM" not in text
        assert "secret" not in text
        assert "notes.txt" not in text
    provenance = json.loads(found[f"{keys[0]}/provenance.json"])
    assert provenance["host"] == ""
    assert provenance["packages"] == {"verl": "1"}
    assert provenance["git"]["dirty"]
    assert not {"host", "pid"} & json.loads(found[f"{keys[0]}/status.json"]).keys()


def test_of_the_cases_only_the_last_validation_and_no_answers(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, keys = runs
    archive.pack(root, keys, tmp_path / "one.tar.xz")
    cases = {name: text for name, text in texts(tmp_path / "one.tar.xz").items() if "/truths/" in name}
    assert cases == {
        f"{keys[0]}/attempts/1/generations/truths/{STEPS}.jsonl": '{"set": "id", "id": "a-1", "loglik": -0.5}\n'
    }


def test_one_kind_of_case_is_kept_without_what_no_report_reads(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, keys = runs
    for key, kinds in ((keys[0], ("truths", "val")), (keys[1], ("val",))):
        for kind in kinds:
            place = RunFolder(root / key).attempts()[0].generations / kind
            place.mkdir(parents=True, exist_ok=True)
            row = {"set": "id", "id": "a", "loglik": -1.234567, "loglik_t50": -0.1, "em": 1.0, "ok": True}
            (place / f"{STEPS}.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps({**row, 'set': 'dev'})}\n")
    archive.pack(root, keys, tmp_path / "one.tar.xz")
    found = {name: text for name, text in texts(tmp_path / "one.tar.xz").items() if "/generations/" in name}
    line = '{"set": "id", "id": "a", "loglik": -1.235, "em": 1.0}\n'
    assert found == {
        f"{keys[0]}/attempts/1/generations/truths/{STEPS}.jsonl": line,
        f"{keys[1]}/attempts/1/generations/val/{STEPS}.jsonl": line,
    }


def test_a_case_whose_name_holds_a_line_separator_is_one_line(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, keys = runs
    name = "a\u2028b\x85c"
    row = json.dumps({"set": "id", "id": name, "loglik": -0.5}, ensure_ascii=False)
    (RunFolder(root / keys[0]).attempts()[0].generations / "truths" / f"{STEPS}.jsonl").write_text(f"{row}\n{row}\n")
    archive.pack(root, keys, tmp_path / "one.tar.xz")
    text = texts(tmp_path / "one.tar.xz")[f"{keys[0]}/attempts/1/generations/truths/{STEPS}.jsonl"]
    assert [json.loads(line)["id"] for line in text.split("\n")[:-1]] == [name, name]


def test_the_same_runs_give_the_same_bytes(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, keys = runs
    archive.pack(root, keys, tmp_path / "one.tar.xz")
    archive.pack(root, keys[::-1], tmp_path / "two.tar.xz")
    assert (tmp_path / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()
    archive.unpack(tmp_path / "one.tar.xz", tmp_path / "there")
    archive.pack(tmp_path / "there", keys, tmp_path / "three.tar.xz")
    assert texts(tmp_path / "three.tar.xz") == texts(tmp_path / "one.tar.xz")


def test_the_bytes_do_not_hang_on_how_a_process_hashes_text(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, _ = runs
    made = []
    for seed in ("1", "2", "3"):
        words = ["--root", str(root), "pack", "one", "--out", str(tmp_path / f"{seed}.tar.xz")]
        command = [sys.executable, "-m", "gapo_lab", *words]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, stdout=subprocess.DEVNULL)
        made.append((tmp_path / f"{seed}.tar.xz").read_bytes())
    assert made[0] == made[1] == made[2]


def test_a_sweep_goes_on_with_unpacked_runs(
    runs: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, keys = runs
    archive.pack(root, keys[:3], tmp_path / "one.tar.xz")
    archive.unpack(tmp_path / "one.tar.xz", tmp_path / "there/runs")
    monkeypatch.chdir(tmp_path / "there")
    overrides = [RunFolder(root / key).spec["overrides"] for key in keys]
    made = executor.plan_of([(*words, f"run_root={tmp_path / 'there/runs'}") for words in overrides])
    assert {run.key for run in made.doing(Action.SKIP)} == set(keys[:3])
    assert {run.key for run in made.doing(Action.RUN)} == {keys[3]}


def test_both_commands(runs: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, keys = runs
    (root / keys[0] / "summary.json").unlink()
    file = tmp_path / "new" / "one.tar.xz"
    assert main(["--root", str(root), "pack", "one", "--out", str(file)]) == 0
    said = capsys.readouterr().out
    assert f"{file}: 3 runs" in said
    assert "left out: 1 run that has not finished" in said
    assert main(["--root", str(tmp_path / "there"), "unpack", str(file)]) == 0
    assert f"3 runs unpacked to {tmp_path / 'there'}" in capsys.readouterr().out
    assert main(["--root", str(tmp_path / "there"), "unpack", str(file)]) == 0
    assert "0 runs unpacked to" in (said := capsys.readouterr().out)
    assert "3 runs stood there already" in said


def _tar(path: Path, names: list[str]) -> None:
    with tarfile.open(path, "w:xz") as opened:
        for name in names:
            member = tarfile.TarInfo(name)
            opened.addfile(member, io.BytesIO(b""))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(lzma.compress(b"no tar file")),
        lambda path: _tar(path, ["k/spec.yaml"]),
        lambda path: _tar(path, ["studies.json", "k/spec.yaml"]),
        lambda path: _tar(path, ["studies.json", "k/spec.yaml", "k/summary.json", "k/../../outside"]),
        lambda path: _tar(path, ["studies.json", "k/spec.yaml", "k/summary.json", "/outside"]),
    ],
)
def test_a_file_that_is_no_archive_makes_nothing(tmp_path: Path, make: object) -> None:
    make(tmp_path / "one.tar.xz")
    with pytest.raises(UserError, match=r"one\.tar\.xz: no (?:such file|archive)"):
        archive.unpack(tmp_path / "one.tar.xz", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_runs_that_have_not_finished_are_no_archive(runs: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, keys = runs
    (root / keys[0] / "summary.json").unlink()
    with pytest.raises(UserError, match="none of 1 runs .* has finished"):
        archive.pack(root, keys[:1], tmp_path / "one.tar.xz")
