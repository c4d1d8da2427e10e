"""MkDocs' hooks: they add the references, and pages for files of the repository that the docs point to."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs_site import commands, configuration, messages

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "README.md": "index.md"}
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
# What the theme would load from the network, and our copy of it.
SHIM, OURS = "https://unpkg.com/iframe-worker/shim", "js/iframe-worker.js"
LOADED = re.compile(r"<(?:script|link|img)[^>]*(?:src|href)=\"?https?://[^>]*>")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made: references, changelog, contributing, and the files that pages link to."""
    made = {
        "reference/commands.md": commands.page(),
        "reference/messages.md": messages.page(),
        **configuration.pages(),
        **{page: (ROOT / name).read_text(encoding="utf-8") for name, page in PAGES.items() if page != "index.md"},
    }
    for place, text in made.items():
        files.append(File.generated(config, place, content=_linked(text, _home(place))))
    for path in sorted(_outside(files, made)):
        files.append(File.generated(config, _source_page(path), content=_source(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ to pages of the site."""
    return markdown if page.file.generated_by else _linked(markdown, f"docs/{page.file.src_uri}")


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Load nothing from the network: the theme's one script comes from our copy. PluginError for anything else."""
    return _local(output, page.url)


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """Do the same for the page of what is not found."""
    return _local(output, template_name)


def _local(output: str, place: str) -> str:
    output = output.replace(SHIM, relpath(OURS, str(PurePosixPath(place).parent)))
    if found := LOADED.search(output):
        raise PluginError(f"{place} loads something from the network: {found[0][:200]}")
    return output


def _home(place: str) -> str:
    """Return where the text of a made page stands in the repository, from where its links go."""
    return {page: name for name, page in PAGES.items()}.get(place, f"docs/{place}")


def _place(home: str) -> str:
    """Return the page of the site that a file of the repository is."""
    return PAGES.get(home, home.removeprefix("docs/"))


def _linked(text: str, home: str) -> str:
    """Return the text of the file `home` with links to pages of the site."""

    def link(found: re.Match[str]) -> str:
        target = _target(home, found["path"])
        page = _place(target) if target.startswith("docs/") or target in PAGES else _source_page(target)
        return relpath(page, str(PurePosixPath(_place(home)).parent)) + (found["anchor"] or "")

    return LINK.sub(link, text)


def _target(home: str, path: str) -> str:
    return normpath(str(PurePosixPath(home).parent / path))


def _outside(files: Files, made: dict[str, str]) -> set[str]:
    """Return the files of the repository outside docs/ that some page links to."""
    texts = {
        f"docs/{one.src_uri}": one.content_string
        for one in files
        if one.src_uri.endswith(".md") and not one.generated_by
    }
    texts |= {_home(place): text for place, text in made.items()}
    found = {_target(home, link["path"]) for home, text in texts.items() for link in LINK.finditer(text)}
    return {path for path in found if not path.startswith("docs/") and path not in PAGES and (ROOT / path).exists()}


def _source_page(path: str) -> str:
    return f"source/{path}.md"


def _source(path: str) -> str:
    """Return a file as a page; a folder as the list of its files, each below its name."""
    whole = ROOT / path
    files = (
        sorted(p for p in whole.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        if whole.is_dir()
        else [whole]
    )
    parts = [f"# {path}\n"]
    for one in files:
        name = one.relative_to(ROOT).as_posix()
        language = LANGUAGES.get(one.suffix, "text")
        head = f"## {name}\n\n" if whole.is_dir() else ""
        parts.append(f"{head}````{language}\n{one.read_text(encoding='utf-8').rstrip()}\n````\n")
    return "\n".join(parts)
