"""What a run keeps of its checkpoints, while it trains and once it has finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapo_lab.runs import checkpoints
from gapo_lab.runs.checkpoints import Keep

FILES = ("model_world_size_2_rank_0.pt", "optim_world_size_2_rank_0.pt", "extra_state_world_size_2_rank_0.pt")


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of these steps, laid out as verl's."""

    def of(*numbers: int, tracker: int | None = None) -> Path:
        for step in numbers:
            actor = tmp_path / f"global_step_{step}" / "actor"
            actor.mkdir(parents=True)
            for name in FILES:
                (actor / name).write_bytes(b"x" * 10)
        (tmp_path / checkpoints.TRACKER).write_text(str(numbers[-1] if tracker is None else tracker))
        return tmp_path

    return of


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.pt"))


def test_all_keeps_all(saved):
    folder = saved(10, 20)
    checkpoints.retain(folder, Keep.ALL)
    assert len(files(folder)) == 6 and sorted(checkpoints.whole(folder)) == [10, 20]


def test_last_can_go_on(saved):
    folder = saved(10, 20)
    checkpoints.retain(folder, Keep.LAST)
    assert files(folder) == sorted(f"global_step_20/actor/{name}" for name in FILES)
    assert checkpoints.whole(folder) == [20]


def test_weights_are_for_evaluating_and_nobody_resumes_from_them(saved):
    folder = saved(10, 20)
    checkpoints.retain(folder, Keep.WEIGHTS)
    assert files(folder) == sorted(f"global_step_20/actor/{name}" for name in FILES if "optim" not in name)
    assert checkpoints.whole(folder) == [] and set(checkpoints.steps(folder)) == {20}
    checkpoints.retain(folder, Keep.WEIGHTS)  # again and again gives the same
    assert len(files(folder)) == 2


def test_none_keeps_none(saved):
    folder = saved(10)
    checkpoints.retain(folder, Keep.NONE)
    assert not folder.exists()
    checkpoints.retain(folder, Keep.NONE)


def test_a_folder_that_never_was_needs_nothing(tmp_path):
    assert [checkpoints.unneeded(tmp_path / "none", keep) for keep in Keep] == [[]] * 4


def test_newest_are_kept_and_half_written_ones_are_not(saved):
    folder = saved(10, 20, 30, tracker=20)  # killed while it saved step 30
    checkpoints.keep_newest(folder, 1)
    assert set(checkpoints.steps(folder)) == {20}


def test_nothing_is_removed_before_a_checkpoint_is_whole(saved):
    folder = saved(10, tracker=0)
    checkpoints.keep_newest(folder, 1)
    assert set(checkpoints.steps(folder)) == {10}


@pytest.mark.parametrize(
    ("config", "keep"),
    [
        ({"keep": "all"}, Keep.ALL),
        ({"keep": "none", "model": {"billions": 7.6}}, Keep.NONE),
        ({"model": {"billions": 7.6}}, Keep.WEIGHTS),
        ({"model": {"billions": 0.135}}, Keep.LAST),
        ({}, Keep.LAST),
    ],
)
def test_a_run_from_before_the_word_keeps_what_its_size_says(config, keep):
    assert Keep.of(config) is keep
