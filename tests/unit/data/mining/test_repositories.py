"""What a repository may hold: odd files, odd commits, licences, private things, and what is meant to do harm."""

from __future__ import annotations

import subprocess

import pytest
from little_repos import TWICE, code, commit, git, grow, init

from gapo_lab.data.mining.miner import mine
from gapo_lab.errors import UserError


@pytest.fixture
def repo(tmp_path):
    return init(tmp_path / "little")


def committed(folder, task) -> str:
    spec = f"{task.provenance['commit']}:{task.path}"
    return subprocess.run(["git", "show", spec], cwd=folder, capture_output=True, check=True).stdout.decode()


@pytest.fixture
def grown(tmp_path):
    return grow(tmp_path / "grown", ["a.rs", "lib/b.lua"], 20)


def test_links_and_submodules_are_no_files(repo):
    commit(repo, {"a.py": code(), "b.py": code()})
    (repo / "link.py").symlink_to("a.py")
    git(repo, "add", "-A")
    git(
        repo,
        "update-index",
        "--add",
        "--cacheinfo",
        f"160000,{git(repo, 'rev-parse', 'HEAD').decode().strip()},sub.py",
    )
    git(repo, "commit", "-q", "-m", "Link")
    (repo / "link.py").unlink()
    (repo / "link.py").symlink_to("b.py")
    git(repo, "add", "link.py")
    git(
        repo,
        "update-index",
        "--cacheinfo",
        f"160000,{git(repo, 'rev-parse', 'HEAD').decode().strip()},sub.py",
    )
    (repo / "a.py").write_text(TWICE)
    git(repo, "add", "a.py")
    git(repo, "commit", "-q", "-m", "Move both")
    result = mine(repo)
    assert [task.path for task in result.tasks] == ["a.py"]
    assert result.drops["not a file"] == 2


def test_a_path_that_is_no_utf8(repo):
    before, after = (
        git(repo, "hash-object", "-w", "--stdin", stdin=text.encode()).decode().strip() for text in (code(), TWICE)
    )
    for blob in (before, after):
        git(repo, "update-index", "--index-info", stdin=f"100644 {blob}\t".encode() + b"a\xff.py\n")
        git(repo, "commit", "-q", "-m", "x")
    with pytest.raises(UserError, match="not UTF-8 1"):
        mine(repo)


def test_a_message_in_another_encoding_and_a_date_that_no_calendar_has(repo):
    commit(repo, {"a.py": code()})
    tree = [git(repo, "write-tree").decode().strip()]
    (repo / "a.py").write_text(TWICE)
    git(repo, "add", "-A")
    tree.append(git(repo, "write-tree").decode().strip())
    parent = git(repo, "rev-parse", "HEAD").decode().strip()
    for number, time in enumerate((1_700_000_000, 9_000_000_000_000_000)):
        who = f"A <a@example.invalid> {time} +0000"
        raw = f"tree {tree[1 - number]}\nparent {parent}\nauthor {who}\ncommitter {who}\nencoding no-such-code\n\nH"
        parent = (
            git(repo, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=raw.encode() + b"\xe9llo\n")
            .decode()
            .strip()
        )
    git(repo, "update-ref", "refs/heads/main", parent)
    result = mine(repo)
    assert [task.instruction for task in result.tasks] == ["H\ufffdllo"]
    assert result.drops["impossible date"] == 1


def test_a_hostile_repository_runs_nothing(repo, tmp_path):
    """Hooks, filters, diff drivers, a file system monitor, an editor, a pager, attributes: none has a say."""
    told = tmp_path / "told"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch '{told}'\ncat\n")
    script.chmod(0o755)
    commit(repo, {"a.py": code(), ".gitattributes": "*.py diff=evil filter=evil -text\n"})
    commit(repo, {"a.py": TWICE})
    calm = mine(repo)
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "fsmonitor-watchman"):
        (repo / ".git/hooks" / hook).write_text(script.read_text())
        (repo / ".git/hooks" / hook).chmod(0o755)
    (repo / ".git/info").mkdir(exist_ok=True)
    (repo / ".git/info/attributes").write_text("*.py binary\n")
    keys = (
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "filter.evil.smudge",
        "filter.evil.clean",
        "filter.evil.process",
        "credential.helper",
        "gpg.program",
        "alias.show",
        "uploadpack.packObjectsHook",
    )
    with open(repo / ".git/config", "a") as config:
        for key in keys:
            section, _, name = key.rpartition(".")
            head, _, sub = section.partition(".")
            config.write(f'[{head} "{sub}"]\n' if sub else f"[{head}]\n")
            config.write(f"\t{name} = {script}\n")
    assert mine(repo) == calm and len(calm.tasks) == 1
    assert not told.exists()


def test_paths_that_lead_out_of_the_tree_are_only_words(repo, tmp_path):
    """A tree with an entry `..`, as no git writes it, is read like any other; nothing is written by its name."""
    heads = []
    for text in (code(), TWICE):
        blob = git(repo, "hash-object", "-w", "--stdin", stdin=text.encode()).decode().strip()
        inner = git(repo, "mktree", stdin=f"100644 blob {blob}\tout.py\n".encode()).decode().strip()
        raw = b"40000 ..\0" + bytes.fromhex(inner)
        tree = git(repo, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw).decode().strip()
        parent = ["-p", heads[-1]] if heads else []
        heads.append(git(repo, "commit-tree", tree, *parent, "-m", "x").decode().strip())
    git(repo, "update-ref", "refs/heads/main", heads[-1])
    assert [task.path for task in mine(repo).tasks] == ["../out.py"]
    assert not (tmp_path / "out.py").exists()


def test_no_change_tasks(grown):
    result = mine(grown, no_change=0.4)
    twins = [task for task in result.tasks if task.kind == "no change"]
    assert 0.25 < len(twins) / len(result.tasks) < 0.55
    for task in twins:
        assert task.truth == task.region and task.region.strip() and task.edited == committed(grown, task)
        assert 36 <= len(task.truth) <= 833 and task.id.endswith("n")
        assert not any(hunk.after in task.region for hunk in task.history if hunk.after)
    assert [task for task in result.tasks if task.kind != "no change"] == mine(grown).tasks
    with pytest.raises(UserError, match="no-change share 0.9"):
        mine(grown, no_change=0.9)


def test_what_is_private_is_masked_on_request(repo):
    commit(repo, {"a.py": code(l2="# by jane.doe@corp.com")})
    commit(repo, {"a.py": code(l2="# by jane.doe@corp.com", l10="first change", l40="second change")})
    with pytest.raises(UserError, match="private 1"):
        mine(repo)
    (task,) = mine(repo, private="mask").tasks
    assert "jane" not in repr(task) and "# by <private>\n" in task.prefix
    assert task.provenance["masked"] == "1" and task.provenance["blob"] == ""
    assert "jane.doe@corp.com" in mine(repo, private="keep").tasks[0].prefix
    commit(repo, {"a.py": TWICE + "KEY = '''-----BEGIN PRIVATE" + " KEY-----\nMIIabc\n", "b.py": code()})
    commit(repo, {"a.py": code(l10="1 change", l40="2 change") + "-----BEGIN PRIVATE" + " KEY-----\nMIIabc\n"})
    assert mine(repo, private="mask").drops["private"] == 2, "the lines of a key cannot be masked"
    with pytest.raises(UserError, match="private=hide: must be one of drop, mask, keep"):
        mine(repo, private="hide")


@pytest.mark.parametrize(
    ("file", "text", "want"),
    [
        (
            "LICENSE",
            "MIT License\n\nPermission is hereby granted, free of charge, to any person ... sublicense",
            "LICENSE (MIT)",
        ),
        ("COPYING", "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "COPYING (GPL-3.0)"),
        ("LICENCE.md", "Apache License\n Version 2.0, January 2004", "LICENCE.md (Apache-2.0)"),
        ("LICENSE.txt", "All rights reserved.", "LICENSE.txt"),
        ("README", "MIT", ""),
    ],
)
def test_the_licence_file(repo, file, text, want):
    commit(repo, {"a.py": code(), file: text})
    commit(repo, {"a.py": TWICE})
    assert mine(repo).tasks[0].provenance["licence"] == want


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("https://user:token@host.invalid/owner/name.git", "owner/name"),
        ("git@host.invalid:owner/name.git", "owner/name"),
        ("/home/somebody/name", "little"),
        ("file:///home/somebody/name", "little"),
    ],
)
def test_a_name_holds_no_address_and_no_folder(repo, url, want):
    commit(repo, {"a.py": code()})
    commit(repo, {"a.py": TWICE})
    git(repo, "config", "remote.origin.url", url)
    assert mine(repo).tasks[0].provenance["repository"] == want
