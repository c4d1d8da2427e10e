"""Micro edits: deterministic, disjoint, explained by their history."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import examples, some

from gapo_lab.data.lists import generator as lists
from gapo_lab.data.micro import generator
from gapo_lab.data.micro.edit_kinds import KINDS, SEEN_KINDS, UNSEEN_KINDS
from gapo_lab.data.micro.generator import SPLITS, generate
from gapo_lab.data.micro.syntax import SEEN_LANGUAGES, SYNTAXES, UNSEEN_LANGUAGES, write
from gapo_lab.data.tasks.prompt import messages
from gapo_lab.errors import UserError


def content(task):
    """What a task asks and answers, without its name."""
    return task.path, task.history, task.prefix, task.region, task.suffix, task.truth


@pytest.fixture(scope="module")
def splits():
    return {split: generate(split, some(2000)) for split in SPLITS}


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_arguments_give_the_same_tasks(split):
    assert generate(split, 100, seed=3) == generate(split, 100, seed=3)
    assert generate(split, 100, seed=3) != generate(split, 100, seed=4)
    assert generate(split, 50, seed=3) == generate(split, 100, seed=3)[:50]


@given(st.integers(1, 300), st.integers(0, 2**40), st.integers(0, 2**40))
@examples(15)
def test_no_task_is_in_two_splits_whatever_the_seeds(size, one, other):
    assert {content(t) for t in generate("train", size, one)}.isdisjoint(
        content(t) for t in generate("id", size, other)
    )


@pytest.mark.parametrize("module", [generator, lists])
def test_dev_shares_no_task_with_any_other_split(module):
    size = some(500)
    held = {task.id for task in module.generate("id", size, seed=3)}
    dev = {task.id for task in module.generate("dev", size, seed=3, without=held)}
    assert len(dev) == size and dev.isdisjoint(held)
    for split in ("train", "ood"):
        assert dev.isdisjoint(task.id for task in module.generate(split, size, seed=3))


@pytest.mark.slow
def test_a_split_never_repeats_a_task(splits):
    for tasks in splits.values():
        assert len({t.id for t in tasks}) == len({content(t) for t in tasks}) == len(tasks)


def test_ood_has_a_new_language_or_a_new_kind_in_every_task(splits):
    for split in ("train", "id"):
        assert {t.kind for t in splits[split]} == set(SEEN_KINDS)
        assert {t.language for t in splits[split]} == set(SEEN_LANGUAGES)
    ood = splits["ood"]
    assert all(t.kind in UNSEEN_KINDS or t.language in UNSEEN_LANGUAGES for t in ood)
    assert {t.kind for t in ood} == set(KINDS)
    assert {t.language for t in ood} == set(SYNTAXES)


def test_only_no_change_leaves_the_region_as_it_is(splits):
    for task in (t for tasks in splits.values() for t in tasks):
        assert (task.truth == task.region) == (task.kind == "no_change"), task


def test_the_truth_fits_in_the_code(splits):
    for task in (t for tasks in splits.values() for t in tasks):
        assert task.edited == task.prefix + task.truth + task.suffix
        assert task.code.count("\n") == task.edited.count("\n")
        assert task.region.strip() == task.region and "\n" not in task.region


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32))
@examples(40)
def test_every_line_of_a_kind_has_the_same_edit(kind, seed):
    """What the first line shows explains the next: the fields that change, change alike in both."""
    make = KINDS[kind](Random(seed))
    first, second = make(), make()
    if kind == "no_change":
        old, new = changed_words(*first)
        assert first[0] != first[1] and second[0] == second[1]
        assert {old, new}.isdisjoint((second[0].name, *second[0].args))
    elif kind in ("rename_variable", "change_literal"):
        assert changed_words(*first) == changed_words(*second)
    elif kind == "swap_arguments":
        assert all(after == replace(before, args=before.args[::-1]) for before, after in (first, second))
        assert first[0].func == second[0].func
    else:
        assert difference(*first) == difference(*second)


def changed_words(before, after):
    """The one word that became another one."""
    pairs = {(a, b) for a, b in zip((before.name, *before.args), (after.name, *after.args), strict=True) if a != b}
    (pair,) = pairs
    return pair


def difference(before, after):
    """What an edit does to a line, said without the words that the edit leaves alone."""
    fields = ("func", "op", "type", "wraps", "receiver")
    said = {f: (getattr(before, f), getattr(after, f)) for f in fields if getattr(before, f) != getattr(after, f)}
    if before.args != after.args:
        longer, shorter = sorted((before.args, after.args), key=len, reverse=True)
        said["args"] = (len(after.args) - len(before.args), longer[len(shorter) :])
        if len(longer) == len(shorter):
            said["args"] = tuple(a.replace(b, "{}") for a, b in zip(after.args, before.args, strict=True))
    return said


@pytest.mark.parametrize("language", SYNTAXES)
def test_every_form_can_be_written_in_every_language(language):
    for seed in range(200):
        before, after = KINDS["change_literal"](Random(seed))()
        assert write(before, SYNTAXES[language]) != write(after, SYNTAXES[language])


def test_the_prompt_shows_history_region_and_cursor():
    task = generate("train", 1)[0]
    text = messages(task)[1]["content"]
    assert f"-{task.history[0].before}\n+{task.history[0].after}" in text
    assert f"<|region|>{task.region[: task.cursor]}<|cursor|>{task.region[task.cursor :]}<|end_region|>" in text


@pytest.mark.parametrize(("split", "size", "named"), [("test", 4, "split=test"), ("id", 0, "size=0")])
def test_a_bad_argument_is_named(split, size, named):
    with pytest.raises(UserError, match=named):
        generate(split, size)
