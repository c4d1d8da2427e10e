"""Every file of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.render import html, latex, plain_text, table_images, tidy
from analysis.render.html import CellLink
from analysis.report.build import Report
from analysis.report.folder import Folder


def write(report: Report, links: Sequence[CellLink], path: Path, say: Callable[[str], None] = print) -> list[str]:
    """Write the files under ``path``, and return their names. Says what could not be made."""
    folder, pages = Folder(path), report.document
    for table in pages.tables:
        folder.write(f"{table.name}.tex", latex.table(table))
        folder.write(f"{table.name}.tabular.tex", latex.bare(table))
        folder.write(f"{table.name}.csv", plain_text.to_csv(table))
    for picture in pages.pictures:
        folder.write(f"{picture.name}.pdf", picture.pdf)
        folder.write(f"{picture.name}.png", picture.png)
    folder.write("tidy.csv", tidy.to_csv(report.measured))
    folder.write("tidy.parquet", tidy.to_parquet(report.measured))
    folder.write("report.html", html.page(pages, links))
    text = latex.document(pages)
    folder.write("report.tex", text)
    pdf, why = latex.compile(folder.path, "report", text)
    if pdf is None:
        say(why)
    else:
        folder.write("report.pdf", pdf)
        drawn, why = table_images.draw(folder.path, [table.name for table in pages.tables])
        for name, content in drawn.items():
            folder.write(name, content)
        if why:
            say(why)
    if folder.kept:
        say(f"{len(folder.kept)} files that changed are kept in {folder.path}/previous/")
    return folder.written
