"""The docs against the repository: links, messages, settings, commands. `make docs` builds the site itself."""

import re
from functools import cache
from pathlib import Path
from posixpath import normpath

import pytest
import yaml
from lab import REPO

from docs_site import commands, configuration, messages
from docs_site.parameter_lists import listed

PAGES = [
    *(REPO / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/own-project/README.md")),
    *sorted((REPO / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
# made when the site is built
MADE = re.compile(r"docs/reference/(commands|messages|configuration/\w+)\.md")


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors of a page's headings, as the code host makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPO)))
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in LINK.findall(text):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = Path(normpath(page.parent / path)) if path else page
        if MADE.fullmatch(str(found.relative_to(REPO))):
            continue
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPO)))
def test_every_table_has_a_head_and_rows_of_its_width(page):
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        rows = [re.sub(r"`[^`\n]*`|\\\|", "", row) for row in table.splitlines()]
        assert len(rows) > 1 and re.fullmatch(r"\|[-:| ]+\|", rows[1]), f"no head: {rows[0]}"
        assert [row for row in rows if row.count("|") != rows[0].count("|")] == []


@pytest.mark.slow  # reads all sources
def test_every_message_that_troubleshooting_quotes_is_said():
    text = (REPO / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### (?:`` ?|`)(.*?)(?: ?``|`)$", text, flags=re.MULTILINE)
    assert len(quoted) > 30
    assert [one for one in quoted if not messages.is_said(one)] == []
    assert not messages.is_said("no such thing as this message")


@pytest.mark.slow  # reads all sources
def test_the_list_of_messages_has_those_of_errors_and_of_rules():
    page = messages.page()
    assert "sbatch is not on this machine" in page and "vLLM is not installed" in page


@pytest.mark.parametrize("path", sorted((REPO / "conf").rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_reference_has_every_setting_with_its_comment(path):
    text = path.read_text(encoding="utf-8")
    found = {one.key: one for one in configuration.settings(text)}
    leaves = set(_leaves(yaml.safe_load(text)))
    # {a: 1} on one line is one setting
    flat = {key for key, one in found.items() if one.value.startswith("{") and one.value != "{}"}
    assert {key for key in leaves if key.rpartition(".")[0] not in flat} == set(found) - flat
    assert [key for key, one in found.items() if not one.comment] == []


def _leaves(node, start=""):
    for key, value in (node or {}).items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{start}{key}.")
        elif key != "defaults":
            yield f"{start}{key}"


def test_every_command_is_in_the_reference():
    names = [line for one in commands.parsers() for line in commands._program(one) if line.startswith("#")]
    for name in ("gapo_lab plan", "gapo_lab doctor", "gapo_lab.data mine", "analysis.report", "analysis.check"):
        assert any(line.endswith(name) for line in names), name


def test_lines_about_parameters_become_a_list():
    assert listed("Do it.\n\nk: how\n    much.\nRaises.", {"k"}) == "Do it.\n\n\n- `k`: how\n      much.\n\nRaises."
