"""The made parts of a results page: from an archive of runs alone, the same bytes each time."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from simulated_study import asked_grid, fair_sweep, simulate, write

from analysis.page import command, progress
from gapo_lab.errors import UserError
from gapo_lab.planning import plan
from gapo_lab.runs import archive
from gapo_lab.runs.run_root import find

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[3] / "docs"
# The studies of docs/results.md; the first is the one of whose parts the names have no beginning.
STUDIES = ("fair", "mechanism", "curve", "false_rewards")
SWEEP = ("+sweep=fair", "fair.seeds=3")
PLACES = ("progress", "picture", "claims", "mechanism", "test_sets", "curves", "noise", "tuning", "facts")
PAGE = "# Mine\n\n" + "\n\n".join(f"<!-- made: {name} -->\n<!-- end of {name} -->\nby hand" for name in PLACES) + "\n"


def _packed(root: Path, path: Path) -> Path:
    archive.pack(root, [folder.key for folder in find(root)], path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which GAPO (D) is tuned and not compared; and under its name runs of another length."""
    root = tmp_path_factory.mktemp("study") / "runs"
    simulate(root, *SWEEP, tuned_only=["gapo_dapo"])
    other = fair_sweep(root, *SWEEP, "trainer.total_training_steps=60", "algo=grpo")
    write(root, other.tuning().values())
    return root


@pytest.fixture(scope="module")
def made(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, bytes]]:
    page = tmp_path_factory.mktemp("page") / "mine.md"
    page.write_text(PAGE)
    return page, command.files(page, _packed(runs, page.with_suffix(".tar.xz")), SWEEP)


def part(made: tuple[Path, dict[Path, bytes]], name: str) -> str:
    page, files = made
    found = re.search(f"<!-- made: {name} -->\n(.*?)\n<!-- end of {name} -->", files[page].decode(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_results_page_is_what_its_archive_gives() -> None:
    """`make results` has been run since the archive or the report last changed."""
    page = DOCS / "results.md"
    files = command.files(page, DOCS / "archive" / "fair.tar.xz", *([f"+sweep={name}"] for name in STUDIES))
    for path, content in files.items():
        assert path.read_bytes() == content, f"{path.name} is not what the archive gives: make results"
    assert command.stale(files, page) == []


def test_the_same_archive_gives_the_same_bytes(runs: Path, made: tuple[Path, dict[Path, bytes]]) -> None:
    page, files = made
    assert command.files(page, page.with_suffix(".tar.xz"), SWEEP) == files
    assert {path.relative_to(page.parent).as_posix() for path in files} == {
        "mine.md",
        "img/mine/methods.svg",
        "img/mine/curves.svg",
        "img/mine/tuning.svg",
    }
    assert files[page].count(b"\nby hand\n") == len(PLACES)


def test_an_unfinished_study_says_so_and_shows_what_is_complete(made: tuple[Path, dict[Path, bytes]]) -> None:
    said = part(made, "progress")
    assert "**Unfinished: 45 of 48 runs.**" in said
    assert "| GAPO (G) | 4 of 4 | 3 of 3, 3 of 3 (noise 0.2) |" in said
    assert "| GAPO (D) | 4 of 4 | 0 of 3 |" in said
    assert "GAPO (D)" not in part(made, "test_sets")
    assert "- GAPO (D) over DAPO, val/id/em: not judged yet." in part(made, "claims")


def test_each_claim_has_its_sentence_and_its_line(made: tuple[Path, dict[Path, bytes]]) -> None:
    said = part(made, "claims")
    assert re.search(r"- On the ID test set, GRPO, shifted is worse than GRPO: -[45]\.\d\d points, ", said)
    assert "- On the ID test set, no difference between GAPO (G), centred and GRPO is found: " in said
    assert "95% interval, new cases" in said
    assert re.search(r"\| nano-0\.6M: GAPO \(G\) over GRPO \| -\d\.\d\d \| \\\[\S+ \S+\] \| worse \| 3 \+ 3 \|", said)


def test_the_mechanism_is_tested_by_both_halves(made: tuple[Path, dict[Path, bytes]]) -> None:
    said = part(made, "mechanism")
    assert re.search(r"\| GRPO's scale \| \d\d\.\d\d \(GRPO\) \| \d\d\.\d\d \(GRPO, shifted\) \|", said)
    low, high = map(float, re.search(r"the shift on average \| .* \| \\\[(.*), (.*)\\\] \|", said).groups())
    assert -7 < low < high < -3  # the simulation's shift costs 4.6 points after 30 steps
    low, high = map(float, re.search(r"the scale on average \| .* \| \\\[(.*), (.*)\\\] \|", said).groups())
    assert low < 0 < high
    assert re.search(r"both together, less the sum of each alone \| .* \| \\\[.*, .*\\\] \| 0\.\d{3} \|", said)


def test_both_test_sets_stand_side_by_side_at_the_settings_that_were_chosen(
    made: tuple[Path, dict[Path, bytes]],
) -> None:
    lines = part(made, "test_sets").splitlines()
    assert lines[2] == (
        "| Method | settings | ID test set T=1 | ID test set T=0.5 | ID test set greedy "
        "| OOD test set T=1 | OOD test set T=0.5 | OOD test set greedy |"
    )
    assert lines[4] == "| before training |  | 20.00 | 32.00 | 33.00 | 11.00 | 23.00 | 24.00 |"
    assert any(line.startswith("| GAPO (G) | lr=8e-4 tau=0.") for line in lines)
    assert any(re.match(r"\| DAPO \| lr=\S+ \| ", line) for line in lines)


def test_noise_has_its_rows(made: tuple[Path, dict[Path, bytes]]) -> None:
    said = part(made, "noise")
    assert "noise 20%" in said
    assert "Step" not in said
    assert "GAPO (G) over GRPO" in said


def test_runs_of_an_earlier_form_of_the_study_do_not_count(runs: Path, made: tuple[Path, dict[Path, bytes]]) -> None:
    """Four of 60 steps lie in the archive, under the name of the tuning stage."""
    assert len(find(runs)) == 45 + 4
    assert "steps" not in part(made, "tuning")
    assert part(made, "tuning").count("nano-0.6M GRPO, lr=") == 4


def test_before_the_first_run_every_part_says_so(runs: Path, tmp_path: Path) -> None:
    only = [folder.key for folder in find(runs) if folder.spec["science"]["trainer.total_training_steps"] == 60]
    archive.pack(runs, only, tmp_path / "old.tar.xz")
    page = tmp_path / "mine.md"
    page.write_text(PAGE)
    files = command.files(page, tmp_path / "old.tar.xz", SWEEP)
    assert list(files) == [page]
    assert "**Unfinished: 0 of 48 runs.**" in files[page].decode()
    assert files[page].decode().count("*Not there yet: 0 of 48 runs are finished.*") == len(PLACES) - 1


def test_the_command_writes_the_page_and_takes_away_pictures_that_it_no_longer_has(
    made: tuple[Path, dict[Path, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, files = made
    page = tmp_path / "mine.md"
    shutil.copy(source, page)
    old = tmp_path / "img" / "mine" / "old.svg"
    old.parent.mkdir(parents=True)
    old.write_text("<svg/>")
    words = [str(page), "--archive", str(source.with_suffix(".tar.xz")), *SWEEP]
    assert command.main(words) == 0
    assert page.read_bytes() == files[source]
    assert not old.exists()
    assert command.main([str(tmp_path / "none.md"), *words[1:]]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_a_page_shows_another_study_of_the_same_archive(runs: Path, tmp_path: Path) -> None:
    """One without tuning, whose parts and pictures have its name before theirs."""
    also = ("+sweep=mechanism", "seed=10,11,12")
    root = tmp_path / "runs"
    shutil.copytree(runs, root)
    write(root, plan.draft(asked_grid(root, *also).cells()))
    places = [f"mechanism:{name}" for name in PLACES if name not in ("noise", "tuning")]
    page = tmp_path / "mine.md"
    page.write_text(PAGE + "\n".join(f"<!-- made: {name} -->\n<!-- end of {name} -->" for name in places))
    packed = _packed(root, tmp_path / "both.tar.xz")
    files = command.files(page, packed, SWEEP, also)
    made = page, files
    assert part(made, "mechanism:progress") == "All 12 runs of the study are finished."
    assert len(re.findall("^- On the ID test set, ", part(made, "mechanism:claims"), re.MULTILINE)) == 4
    assert "all at the same settings" in part(made, "mechanism:picture")
    assert "settings" not in part(made, "mechanism:test_sets")
    assert "45 of 48 runs" in part(made, "progress")
    assert "seeds 0 to 2" in part(made, "facts") and "seeds 10 to 12" in part(made, "mechanism:facts")
    assert page.parent / "img/mine/mechanism-methods.svg" in files and page.parent / "img/mine/methods.svg" in files
    # of a part that the page does not have no picture is made
    page.write_text("<!-- made: mechanism:progress -->\n<!-- end of mechanism:progress -->\n")
    assert list(command.files(page, packed, SWEEP, also)) == [page]
    # what it does not have is no part of it
    page.write_text("<!-- made: mechanism:noise -->\n<!-- end of mechanism:noise -->\n")
    with pytest.raises(UserError, match="no part mechanism:noise"):
        command.files(page, packed, SWEEP, also)


def test_a_search_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a search has no runs before it proposes them"):
        progress.look(["+sweep=tau_search"], tmp_path)
