"""docs/methods.md: a section for every method, and its example of adding one works as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from lab import REPO

from analysis.paper import conventions
from gapo_lab.paths import CONF

PAGE = (REPO / "docs" / "methods.md").read_text(encoding="utf-8")


HEADINGS = set(re.findall(r"^## (\S+)$", PAGE, flags=re.MULTILINE))


def unwritten(path: Path) -> str | None:
    """What a method's file still lacks in the page; AssertionError where it links to a section that is not there."""
    linked = re.search(r"docs/methods\.md#(\S+)", path.read_text())
    if linked is None:
        return (
            f"{path.name}: has no section yet. Write `## {path.stem}` into docs/methods.md (its formula, its source, "
            f"its settings), and end the first comment of {path.name} with docs/methods.md#{path.stem}"
        )
    assert linked.group(1) in {heading.lower() for heading in HEADINGS}, (
        f"{path.name}: links to docs/methods.md#{linked.group(1)}. Write that section, or leave the link out until then"
    )
    assert f"`{path.stem}`" in PAGE or path.stem in HEADINGS, f"{path.name}: name `{path.stem}` in docs/methods.md"
    return None


@pytest.mark.parametrize("path", sorted((CONF / "algo").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_method_has_a_section_or_is_told_what_to_write(path):
    if lacking := unwritten(path):  # a fork's, before it is written about: told, and no failure
        warnings.warn(lacking, stacklevel=1)


def test_a_method_of_a_fork_is_told_what_to_write_and_a_wrong_link_is_an_error(tmp_path):
    path = tmp_path / "midrange.yaml"
    path.write_text("# @package _global_\n# The middle of the range.\n")
    assert "Write `## midrange` into docs/methods.md" in str(unwritten(path))
    path.write_text("# The middle of the range. docs/methods.md#midrange\n")
    with pytest.raises(AssertionError, match="Write that section"):
        unwritten(path)


def test_every_method_of_the_papers_and_around_it_is_written_about():
    assert not [name for name in conventions.METHODS if unwritten(CONF / "algo" / f"{name}.yaml")]


@pytest.mark.slow
def test_the_example_of_adding_a_method_works_as_it_stands(tmp_path):
    python, yaml = (re.search(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL).group(1) for kind in ("python", "yaml"))
    for folder in ("gapo_lab", "conf", "analysis"):
        shutil.copytree(REPO / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "gapo_lab" / "methods" / "midrange.py").write_text(python)
    (tmp_path / "conf" / "algo" / "midrange.yaml").write_text(yaml)
    (tmp_path / "r.csv").write_text("uid,reward\n" + "".join(f"a,{r}\n" for r in (0.0, 0.1, 0.2, 0.9)))
    code = """
import numpy as np, torch
from gapo_lab.planning.validation import check
from gapo_lab.config.compose import compose_run
from gapo_lab.errors import UserError
check(compose_run(["algo=midrange"]))
for words, says in ((["algorithm.midrange.eps=-1"], "eps=-1"), (["+algorithm.midrange.x=1"], "x: no such setting")):
    try:
        check(compose_run(["algo=midrange", *words]))
    except UserError as error:
        assert says in str(error), error
    else:
        raise AssertionError(words)
from gapo_lab.methods import midrange
assert midrange(torch.tensor([0.0, 0.5, 1.0]), torch.zeros(3).long()).tolist()[1] == 0
import gapo_lab.training.registered_methods
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
found, _ = get_adv_estimator_fn("midrange")(
    token_level_rewards=torch.tensor([[0.0], [0.5], [1.0]]), response_mask=torch.ones(3, 1), index=np.array(["a"] * 3),
    config=compose_run(["algo=midrange"]).algorithm)
assert found[1] == 0 and found[2] > 0
from analysis.replay import main
assert main(["r.csv", "algo=grpo,midrange", "--out", "out"]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "midrange" in (tmp_path / "out" / "replay.csv").read_text()
