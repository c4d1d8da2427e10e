"""The git miner, on small repositories made by git itself and on the project's own history."""

from __future__ import annotations

import random
import subprocess

import pytest
from lab import REPO
from little_repos import SUFFIXES, TWICE, code, commit, git, init

from gapo_lab.data.content_digest import head
from gapo_lab.data.mining.miner import mine
from gapo_lab.data.mining.split import in_test
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


@pytest.mark.parametrize(("others", "language"), [(["x.c"], "c"), (["x.cpp"], "cpp"), ([], "c")])
def test_headers_are_what_the_repository_is(repo, others, language):
    commit(repo, {"src/a.h": code(), **dict.fromkeys(others, "int x;\n")})
    commit(repo, {"src/a.h": TWICE})
    assert [task.language for task in mine(repo).tasks] == [language]


@pytest.mark.parametrize(
    ("before", "after"),
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
    ids=[
        "start and end",
        "loses the last newline",
        "gains the last newline",
        "never had it",
        "insertions",
        "deletion at the end",
        "odd line ends",
        "six hunks",
    ],
)
def test_the_truth_gives_the_committed_file(repo, before, after):
    commit(repo, {"a.py": before})
    commit(repo, {"a.py": after})
    (task,) = mine(repo).tasks
    assert task.edited == after
    assert task.code != after and task.history


@pytest.mark.parametrize(
    ("reason", "before", "after"),
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
    with pytest.raises(UserError, match=rf"no example mined \(left out: first commit 1, {reason} \d+") as error:
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


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Twenty commits of two files each, the days not in order."""
    repo = init(tmp_path_factory.mktemp("grown") / "little")
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
    assert [t.id for t in mine(grown).tasks if t.provenance["commit"] in last] == [t.id for t in shallow.tasks]


def test_split_by_time(grown):
    tasks = mine(grown).tasks
    times = [task.provenance["time"] for task in tasks]
    test = in_test(["a"] * len(tasks), times, "time", 0.2)
    assert 0.2 * len(tasks) - 1 <= sum(test) <= 0.2 * len(tasks) + 2
    assert max(t for t, held in zip(times, test, strict=True) if not held) < min(
        t for t, held in zip(times, test, strict=True) if held
    )
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
    with pytest.raises(UserError, match="test repository other: no examples of it; there are big, small, tiny"):
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


@pytest.mark.slow
def test_the_history_of_this_project():
    root = REPO
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    try:
        result = mine(root, limit=200)
    except UserError as error:  # a young or shallow history holds none
        if "no example mined" not in str(error):
            raise
        return
    for task in result.tasks:
        assert task.edited == committed(root, task)
        assert 36 <= len(task.truth) <= 833


def test_releases_bundles_and_tables_are_counted(repo):
    table = code(l10="first", l40=", ".join(map(str, range(200, 212))))
    files = {"a.go": code(), "dist/a.js": code(), "t.go": code()}
    commit(repo, files)
    commit(repo, {"a.go": TWICE}, "Release 1.2.0", day=1)
    commit(repo, {"a.go": code(), "dist/a.js": TWICE, "t.go": table}, "fix", day=2)
    result = mine(repo)
    assert result.drops == {"first commit": 1, "a release": 1, "built": 1, "numbers": 1}
    assert [(task.path, task.instruction) for task in result.tasks] == [("a.go", "")]
    assert mine(repo, wish="subject").tasks[0].instruction == "fix"
