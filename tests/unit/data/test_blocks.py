"""Blocks: deterministic, disjoint, explained by their history, with lines that stay as they are."""

from __future__ import annotations

import pytest
from samples import some

from gapo_lab.data.micro import blocks
from gapo_lab.data.micro.syntax import SEEN_LANGUAGES, UNSEEN_LANGUAGES
from gapo_lab.errors import UserError

SIZE = some(600)


@pytest.fixture(scope="module")
def splits():
    return {split: blocks.generate(split, SIZE) for split in (*blocks.SPLITS, "warm")}


def test_the_same_arguments_give_the_same_tasks_and_no_split_shares_one(splits):
    for split in blocks.SPLITS:
        assert blocks.generate(split, 50) == splits[split][:50] != blocks.generate(split, 50, seed=1)
    ids = {split: {task.id for task in tasks} for split, tasks in splits.items()}
    assert all(len(found) == SIZE for found in ids.values())
    for held in ("dev", "id", "ood"):
        assert not any(ids[held] & ids[other] for other in ids if other != held)


def test_the_rare_kinds_are_most_of_the_tasks_and_little_of_the_warm_start(splits):
    def share(split):
        return sum(task.kind in blocks.RARE_KINDS for task in splits[split]) / SIZE

    assert share("warm") == pytest.approx(blocks.RARE_IN_WARM, abs=0.04)
    for split in ("train", "dev", "id"):
        assert share(split) == pytest.approx(blocks.RARE, abs=0.08)
        assert {t.kind for t in splits[split]} == {*blocks.COMMON_KINDS, *blocks.RARE_KINDS}
        assert {t.language for t in splits[split]} == set(SEEN_LANGUAGES)
    ood = splits["ood"]
    assert all(t.kind in blocks.NEW_KINDS or t.language in UNSEEN_LANGUAGES for t in ood)
    assert not set(blocks.NEW_KINDS) & {*blocks.COMMON_KINDS, *blocks.RARE_KINDS}


def test_every_line_is_edited_as_the_history_shows_or_stays(splits):
    for task in (t for tasks in splits.values() for t in tasks):
        before, after = task.region.split("\n"), task.truth.split("\n")
        assert 1 <= len(before) == len(after) <= 3 and task.edited == task.truth
        changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        assert bool(changed) == (task.kind != "no_change"), task
        if task.kind == "rename_variable":  # what the history takes away is nowhere left
            hunk = task.history[0]
            (gone,) = set(_words(hunk.before)) - set(_words(hunk.after))
            assert gone not in _words(task.truth), task


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text).split()


def test_most_blocks_have_several_lines_and_some_lines_stay(splits):
    lines = [len(task.region.split("\n")) for task in splits["id"]]
    assert {1, 2, 3} == set(lines) and sum(lines) / SIZE > 1.8
    staying = [
        task
        for task in splits["id"]
        if any(a == b for a, b in zip(task.region.split("\n"), task.truth.split("\n"), strict=True))
    ]
    assert 0.2 < len(staying) / SIZE < 0.7


@pytest.mark.parametrize(("split", "size"), [("test", 1), ("id", 0)])
def test_wrong_requests(split, size):
    with pytest.raises(UserError):
        blocks.generate(split, size)
