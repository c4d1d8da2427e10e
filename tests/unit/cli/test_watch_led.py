"""`watch` of a study to which a process still adds runs: it follows them, and ends when that process has."""

from __future__ import annotations

from contextlib import ExitStack

from gapo_lab.cli.runs import main
from gapo_lab.launch import watch
from gapo_lab.runs import studies, study_leader
from gapo_lab.runs.folder import RunFolder


def finished(root, number: int) -> None:
    spec = {"model": "nano", "algo": "grpo", "seed": number, "study": "lr", "science": {"lr": number}}
    key = f"{number:010d}"
    RunFolder.open(root, key, spec).write_summary({"final/step": 1})
    studies.remember(root, [("lr", key)])


def test_a_study_is_led_while_one_of_those_who_lead_it_lives(tmp_path):
    assert not study_leader.is_led(tmp_path, "lr") and not study_leader.is_led(tmp_path, None)
    with study_leader.leading(tmp_path, ["lr", "lr", "other"]):
        with study_leader.leading(tmp_path, ["lr"]):
            assert study_leader.is_led(tmp_path, "lr")
        assert study_leader.is_led(tmp_path, "lr") and study_leader.is_led(tmp_path, None)
        assert not study_leader.is_led(tmp_path, "third")
    assert not study_leader.is_led(tmp_path, "lr") and not study_leader.is_led(tmp_path, "all")


def test_watch_waits_for_the_first_run_and_follows_those_that_come(tmp_path, monkeypatch, capsys):
    """Each look at the folders is followed by what the leader does next."""
    leader = ExitStack()
    leader.enter_context(study_leader.leading(tmp_path, ["lr"]))
    acts = iter([lambda: finished(tmp_path, 1), lambda: finished(tmp_path, 2), leader.close])
    monkeypatch.setattr(watch.time, "sleep", lambda _: next(acts)())
    assert main(["--root", str(tmp_path), "watch", "lr"]) == 0
    out = capsys.readouterr().out
    assert "study lr has no run yet" in out and out.endswith("2 finished\n")
    assert next(acts, None) is None


def test_without_a_leader_an_unknown_study_is_refused_at_once(tmp_path, capsys):
    finished(tmp_path, 1)
    assert main(["--root", str(tmp_path), "watch", "no"]) == 2
    assert "no study or run no" in capsys.readouterr().err
