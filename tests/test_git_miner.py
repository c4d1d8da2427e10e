"""The git miner, on small repositories made by git itself and on the project's own history."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest
from little_repos import SUFFIXES, TWICE, code, commit, git, init

from gapo_lab.data.git import mine
from gapo_lab.data.identity import head
from gapo_lab.data.split import in_test
from gapo_lab.errors import UserError

@pytest.fixture
def repo(tmp_path):
    return init(tmp_path / "little")


def committed(folder, task) -> str:
    spec = f"{task.provenance['commit']}:{task.path}"
    return subprocess.run(["git", "show", spec], cwd=folder, capture_output=True, check=True).stdout.decode()


def test_one_task_in_full(repo):
    commit(repo, {"src/a.go": code()})
    commit(repo, {"src/a.go": TWICE}, "Rename it\n\nBecause.", day=1)
    result = mine(repo)
    (task,) = result.tasks
    assert result.drops == {"first commit": 1}
    assert (task.language, task.kind, task.path, task.instruction) == (
        "go",
        "replace",
        "src/a.go",
        "Rename it",
    )
    (hunk,) = task.history
    assert (hunk.before, hunk.after) == ("statement number 10;\n", "first change\n")
    assert task.code == code(l10="first change")
    assert task.edited == TWICE == committed(repo, task)
    assert task.region == "".join(f"statement number {i};\n" for i in range(37, 44))
    assert task.truth == task.region.replace("statement number 40;", "second change")
    assert task.region[task.cursor :].startswith("tatement number 40;"), "where the two first differ"
    assert task.provenance == {
        "repository": "little",
        "licence": "",
        "commit": git(repo, "rev-parse", "HEAD").decode().strip(),
        "path": "src/a.go",
        "time": "2023-11-15T22:13:20Z",
        "blob": git(repo, "rev-parse", "HEAD:src/a.go").decode().strip(),
    }


def test_nothing_of_the_author(repo):
    commit(repo, {"a.c": code()})
    commit(repo, {"a.c": TWICE})
    shown = repr(mine(repo))
    assert "Some Body" not in shown and "example.invalid" not in shown and str(repo) not in shown


def test_every_language(repo):
    commit(repo, {f"src/a.{suffix}": code(l1=name) for name, suffix in SUFFIXES.items()})
    commit(repo, {f"src/a.{suffix}": TWICE.replace("second", name) for name, suffix in SUFFIXES.items()}, day=1)
    assert {task.path: task.language for task in mine(repo).tasks} == {
        f"src/a.{suffix}": name for name, suffix in SUFFIXES.items()
    }


@pytest.mark.parametrize("others, language", [(["x.c"], "c"), (["x.cpp"], "cpp"), ([], "c")])
def test_headers_are_what_the_repository_is(repo, others, language):
    commit(repo, {"src/a.h": code(), **dict.fromkeys(others, "int x;\n")})
    commit(repo, {"src/a.h": TWICE})
    assert [task.language for task in mine(repo).tasks] == [language]


@pytest.mark.parametrize(
    "before, after",
    [
        (code(), code(l1="at the start", l60="at the end")),
        (code(), code(l30="middle", l60="the end").removesuffix("\n")),
        (code().removesuffix("\n"), code(l30="middle", l60="changed")),
        (code().removesuffix("\n"), code(l30="middle", l60="changed").removesuffix("\n")),
        (code(), code(l5="x\ny\nz") + "and more\n" * 3),
        (code(), "in front\n" + code().replace("statement number 60;\n", "")),
        (code(), code(l9="é 🙂 \u2028 \x0c ß", l50="ends \x85 here")),
        (code(), code(**{f"l{i}": f"change {i}" for i in range(1, 61, 10)})),
    ],
    ids=["start and end", "loses the last newline", "gains the last newline", "never had it", "insertions",
         "deletion at the end", "odd line ends", "six hunks"],
)  # fmt: skip
def test_the_truth_gives_the_committed_file(repo, before, after):
    commit(repo, {"a.py": before})
    commit(repo, {"a.py": after})
    (task,) = mine(repo).tasks
    assert task.edited == after
    assert task.code != after and task.history


@pytest.mark.parametrize(
    "reason, before, after",
    [
        ("not modified", {"a.py": code()}, {"a.py": None, "b.py": code()}),
        ("other language", {"a.md": code()}, {"a.md": TWICE}),
        ("binary", {"a.py": code().encode() + b"\0"}, {"a.py": TWICE.encode() + b"\0"}),
        ("private", {"a.py": code()}, {"a.py": code(l10="x", l40="KEY = 'ghp_" + "aB3" * 12 + "'")}),
        ("binary", {"a.py": b"\0" + code().encode()}, {"a.py": b"\0" + TWICE.encode()}),
        ("single hunk", {"a.py": code()}, {"a.py": code(l10="one", l12="hunk")}),
        (
            "over 12 hunks",
            {"a.py": code() * 3},
            {"a.py": code(**{f"l{i}": "!" for i in range(1, 60, 9)}) * 3},
        ),
        ("over 60 kB", {"a.py": code() * 60}, {"a.py": TWICE + code() * 59}),
        ("CRLF", {"a.py": code().replace("\n", "\r\n")}, {"a.py": TWICE.replace("\n", "\r\n")}),
        ("not UTF-8", {"a.py": code().encode() + b"\xff\n"}, {"a.py": TWICE.encode() + b"\xff\n"}),
        ("generated", {"a.py": "# DO NOT EDIT\n" + code()}, {"a.py": "# DO NOT EDIT\n" + TWICE}),
        ("generated", {"a_pb2.py": code()}, {"a_pb2.py": TWICE}),
        ("vendored", {"x/vendor/a.py": code()}, {"x/vendor/a.py": TWICE}),
        ("only white space", {"a.py": code()}, {"a.py": code(l10="real", l40="  statement number  40;")}),
        ("output too short", {"a.py": code() + "x\n"}, {"a.py": "y\n"}),
        ("output too long", {"a.py": code()}, {"a.py": code(l10="one", l40="word " * 170)}),
        ("over 40 files", {f"{i}.py": code() for i in range(41)}, {f"{i}.py": TWICE for i in range(41)}),
    ],
)
def test_what_is_left_out(repo, reason, before, after):
    if reason == "output too short":
        before, after = {"a.py": "a\n" * 9 + "b\n" * 9}, {"a.py": "c\n" + "a\n" * 8 + "b\n" * 8 + "d\n"}
    commit(repo, before)
    commit(repo, after)
    with pytest.raises(UserError, match=rf"no task mined \(left out: first commit 1, {reason} \d+") as error:
        mine(repo)
    assert "\n" not in str(error.value)


def test_duplicates_and_bounds_and_limit(repo):
    commit(repo, {"a.py": code(), "b.py": code(), "c.py": code()})
    commit(repo, {"a.py": TWICE, "b.py": TWICE, "c.py": code(l10="other", l40="again")}, day=1)
    result = mine(repo)
    assert [task.path for task in result.tasks] == ["a.py", "c.py"]
    assert result.drops["duplicate"] == 1
    assert mine(repo, limit=1).tasks == result.tasks[-1:], "the newest"
    with pytest.raises(UserError, match="output too long 3"):
        mine(repo, max_chars=50)
    with pytest.raises(UserError, match="limit=0"):
        mine(repo, limit=0)


def test_merges_are_left_out_and_side_branches_are_not_walked(repo):
    commit(repo, {"a.py": code(), "b.py": code()})
    git(repo, "checkout", "-q", "-b", "side")
    commit(repo, {"a.py": TWICE}, day=1)
    git(repo, "checkout", "-q", "main")
    commit(repo, {"b.py": code(l3="this", l50="that")}, day=2)
    git(repo, "merge", "-q", "--no-ff", "-m", "Merge", "side", clock=1_700_000_000 + 86_400 * 3)
    result = mine(repo)
    assert [task.path for task in result.tasks] == ["b.py"]
    assert result.drops == {"merge": 1, "first commit": 1}


@pytest.fixture
def grown(repo):
    """Twenty commits of two files each, the days not in order."""
    pick = random.Random(0)
    texts = {"a.rs": code(), "lib/b.lua": code()}
    commit(repo, texts)
    for day in range(1, 21):
        for name, text in texts.items():
            lines = text.splitlines(keepends=True)
            for at in pick.sample(range(0, len(lines), 12), 3):
                lines[at : at + 1] = [f"line {pick.random()}\n" for _ in range(pick.choice([0, 1, 1, 3]))]
            texts[name] = "".join(lines)
        commit(repo, texts, f"Step {day}", day=day)
    return repo


def test_the_same_again_and_from_a_bare_clone(grown, tmp_path):
    result = mine(grown)
    assert len(result.tasks) > 20 and result == mine(grown)
    assert len({task.id for task in result.tasks}) == len(result.tasks)
    git(tmp_path, "clone", "-q", "--bare", str(grown), "little.git")
    assert mine(tmp_path / "little.git") == result
    for task in result.tasks:
        assert task.edited == committed(grown, task)


def test_history_leads_from_the_parent_to_the_current_code(grown):
    """The parent's file with the history applied, each hunk once and in order, is the current code."""
    for task in mine(grown).tasks:
        parent = git(grown, "show", f"{task.provenance['commit']}^:{task.path}").decode()
        done = ""
        for hunk in task.history:
            if hunk.before:
                head, found, parent = parent.partition(hunk.before)
                assert found
                done += head + hunk.after
            else:  # an insertion names no place: find it in the code
                place = len(task.code.partition(hunk.after)[0]) - len(done)
                done, parent = done + parent[:place] + hunk.after, parent[place:]
        assert done + parent == task.code


def test_a_partial_and_a_shallow_clone(grown, tmp_path):
    git(grown, "config", "uploadpack.allowFilter", "true")
    url = grown.resolve().as_uri()
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", url, "partial")
    with pytest.raises(UserError, match="left out: first commit 1, objects missing 20"):
        mine(tmp_path / "partial")
    git(tmp_path, "clone", "-q", "--depth=3", url, "shallow")
    shallow = mine(tmp_path / "shallow")
    assert shallow.drops["first commit"] == 1
    last = {t.provenance["commit"] for t in shallow.tasks}
    assert 1 <= len(last) <= 2
    assert [t.id for t in mine(grown).tasks if t.provenance["commit"] in last] == [
        t.id for t in shallow.tasks
    ]


def test_split_by_time(grown):
    tasks = mine(grown).tasks
    times = [task.provenance["time"] for task in tasks]
    test = in_test(["a"] * len(tasks), times, "time", 0.2)
    assert 0.2 * len(tasks) - 1 <= sum(test) <= 0.2 * len(tasks) + 2
    assert max(t for t, held in zip(times, test) if not held) < min(t for t, held in zip(times, test) if held)
    both = in_test(["a"] * len(tasks) + ["b"] * len(tasks), times + ["1999" + t[4:] for t in times], "time", 0.2)
    assert both == test * 2, "each repository by itself"
    for bad in (0, 1, 7):
        with pytest.raises(UserError, match=f"id_share={bad}"):
            in_test(["a"], ["1999"], "time", bad)
    with pytest.raises(UserError, match="cannot be split by time"):
        in_test(["a"], ["1999"], "time", 0.2)


def test_split_by_repository():
    names, times = ["big"] * 10 + ["small"] * 2 + ["tiny"], ["2020"] * 13
    assert in_test(names, times, "repository", 0.3) == [False] * 10 + [True] * 3
    assert in_test(names, times, "repository", 0.01) == [False] * 12 + [True], "at the least one"
    assert in_test(names, times, "repository", 0.3, ["big"]) == [True] * 10 + [False] * 3
    with pytest.raises(UserError, match="test repository other: no tasks of it; there are big, small, tiny"):
        in_test(names, times, "repository", 0.3, ["other"])
    with pytest.raises(UserError, match="name two repositories or more"):
        in_test(["one"] * 9, ["2020"] * 9, "repository", 0.3)


def test_no_repository_and_an_empty_one(repo, tmp_path):
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="not a git repository"):
            mine(missing)
    with pytest.raises(UserError, match="no commit"):
        mine(repo)
    with pytest.raises(UserError, match="no commit"):
        head(repo)


def test_head(grown):
    assert head(grown) == git(grown, "rev-parse", "HEAD").decode().strip()


def test_the_history_of_this_project():
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    try:
        result = mine(root, limit=200)
    except UserError as error:  # a young or shallow history holds none
        assert re.search("no task mined", str(error))
        return
    for task in result.tasks:
        assert task.edited == committed(root, task)
        assert 36 <= len(task.truth) <= 833


def test_links_and_submodules_are_no_files(repo):
    commit(repo, {"a.py": code(), "b.py": code()})
    (repo / "link.py").symlink_to("a.py")
    git(repo, "add", "-A")
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{git(repo, 'rev-parse', 'HEAD').decode().strip()},sub.py")
    git(repo, "commit", "-q", "-m", "Link")
    (repo / "link.py").unlink()
    (repo / "link.py").symlink_to("b.py")
    git(repo, "add", "link.py")
    git(repo, "update-index", "--cacheinfo", f"160000,{git(repo, 'rev-parse', 'HEAD').decode().strip()},sub.py")
    (repo / "a.py").write_text(TWICE)
    git(repo, "add", "a.py")
    git(repo, "commit", "-q", "-m", "Move both")
    result = mine(repo)
    assert [task.path for task in result.tasks] == ["a.py"]
    assert result.drops["not a file"] == 2


def test_a_path_that_is_no_utf8(repo):
    before, after = (git(repo, "hash-object", "-w", "--stdin", stdin=text.encode()).decode().strip() for text in (code(), TWICE))
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
        parent = git(repo, "hash-object", "-t", "commit", "-w", "--literally", "--stdin",
                     stdin=raw.encode() + b"\xe9llo\n").decode().strip()  # fmt: skip
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
    keys = ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "diff.external", "diff.evil.command",
            "diff.evil.textconv", "filter.evil.smudge", "filter.evil.clean", "filter.evil.process",
            "credential.helper", "gpg.program", "alias.show", "uploadpack.packObjectsHook")  # fmt: skip
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
    assert mine(repo, private="mask").drops["private"] == 1, "the lines of a key cannot be masked"
    with pytest.raises(UserError, match="private=hide: must be one of drop, mask, keep"):
        mine(repo, private="hide")


@pytest.mark.parametrize(
    "file, text, want",
    [("LICENSE", "MIT License\n\nPermission is hereby granted, free of charge, to any person ... sublicense", "LICENSE (MIT)"),
     ("COPYING", "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "COPYING (GPL-3.0)"),
     ("LICENCE.md", "Apache License\n Version 2.0, January 2004", "LICENCE.md (Apache-2.0)"),
     ("LICENSE.txt", "All rights reserved.", "LICENSE.txt"), ("README", "MIT", "")],
)  # fmt: skip
def test_the_licence_file(repo, file, text, want):
    commit(repo, {"a.py": code(), file: text})
    commit(repo, {"a.py": TWICE})
    assert mine(repo).tasks[0].provenance["licence"] == want


@pytest.mark.parametrize(
    "url, want",
    [("https://user:token@host.invalid/owner/name.git", "owner/name"), ("git@host.invalid:owner/name.git", "owner/name"),
     ("/home/somebody/name", "little"), ("file:///home/somebody/name", "little")],
)  # fmt: skip
def test_a_name_holds_no_address_and_no_folder(repo, url, want):
    commit(repo, {"a.py": code()})
    commit(repo, {"a.py": TWICE})
    git(repo, "config", "remote.origin.url", url)
    assert mine(repo).tasks[0].provenance["repository"] == want
