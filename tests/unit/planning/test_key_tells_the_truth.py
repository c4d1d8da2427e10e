"""A changed value of any leaf of the configuration is another run, or is refused, or is on a list with a reason."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.paths import NANO
from gapo_lab.planning.not_science import NOT_SCIENCE
from gapo_lab.planning.run_key import ONLY_METRICS
from gapo_lab.planning.spec import spec_of
from gapo_lab.planning.validation import faults

# Leaves whose change says nothing new, beside NOT_SCIENCE -> why.
UNSEEN = {
    **dict.fromkeys(ONLY_METRICS, "only adds metrics"),
    "actor_rollout_ref.actor.use_torch_compile": "only how fast",
}


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


def changed(value: Any) -> str:
    """Another value of the same kind, as a word has it."""
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, (int, float)):
        return str(value * 2 + 3)
    if isinstance(value, list):
        return "[7]"
    return "{seven: 7}" if isinstance(value, dict) else "seven"


def outcome(composer: Composer, words: tuple[str, ...], key: str, before: str) -> str:
    try:
        found = composer.compose(words)
        if faults(ConfigView(found.resolved), found.written):
            return "refused"
        if spec_of(found.written, found.resolved).key != before:
            return "another run"
    except (UserError, TypeError, ValueError):
        return "refused"
    return "listed" if key.startswith(tuple(NOT_SCIENCE)) or key in UNSEEN else "ignored"


USER_ROWS = ("data=parquet", "data.train=rows.jsonl", "data.id=rows.jsonl", "reward=unit_tests")


@pytest.mark.slow
@pytest.mark.parametrize(
    "files", [(), ("backend=vllm", "cluster=slurm", "algo=dapo", "data=git"), ("data=lists",), USER_ROWS]
)
def test_no_leaf_is_ignored(composer, files, tmp_path, monkeypatch):
    """Of config files that are chosen, the leaves that they bring or set otherwise."""
    if files == USER_ROWS:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "rows.jsonl").write_text('{"prompt": "1 + 1", "reward_model": {"ground_truth": "assert x"}}\n' * 40)
    usual, base = composer.compose(()).written, composer.compose(files)
    before = spec_of(base.written, base.resolved).key
    new = [key for key, value in base.written.items() if not files or usual.get(key, "absent") != value]
    leaves = [key for key in new if key in base.resolved and "-" not in key and "_target_" not in key]
    found = {key: outcome(composer, (*files, f"{key}={changed(base.resolved[key])}"), key, before) for key in leaves}
    assert [key for key, what in found.items() if what == "ignored"] == []
    if not files:
        counts = {what: list(found.values()).count(what) for what in ("another run", "refused", "listed")}
        assert min(counts.values()) > 50, counts


def test_each_reason_is_of_a_leaf_that_there_is(composer):
    files = ("backend=vllm_cpu", "backend=vllm", "data=git", "reward=unit_tests", "scale=rehearsal", "+sweep=fair")
    leaves = {
        key for word in files for key in composer.compose((word, "cluster=slurm", "+search.every=1")).resolved
    } | {"hydra.run.dir"}
    assert [start for start in NOT_SCIENCE if not any(key.startswith(start) for key in leaves)] == []
    assert all(len(why) > 10 for why in NOT_SCIENCE.values())


def test_another_tokenizer_or_template_in_a_model_folder_is_another_run(composer, tmp_path):
    """The weights stay; what they are asked does not."""
    folder = tmp_path / "mine"
    shutil.copytree(NANO / "checkpoint", folder)

    def key() -> str:
        found = composer.compose((f"model.path={folder}",))
        return spec_of(found.written, found.resolved).key

    copied = key()
    assert copied == spec_of(*(getattr(composer.compose(()), name) for name in ("written", "resolved"))).key
    with open(folder / "chat_template.jinja", "a") as file:
        file.write("{# another #}")
    assert key() != copied
