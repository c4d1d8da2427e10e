"""Each table as a PDF and a PNG of its own, as LaTeX sets it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from analysis.render import latex

DPI, EDGE = 200, 24  # pixels an inch; white pixels around the table
# What PDFium draws at random and reads off the clock; replaced by as many digits, so that no offset moves.
_CHANGING = re.compile(rb"(?<=/ID\[<)[0-9A-F]{32}|(?<=><)[0-9A-F]{32}(?=>\])|(?<=/CreationDate\(D:)\d{14}")

SAME = {32: b"0" * 32, 14: b"19700101000000"}


def draw(folder: Path, names: Sequence[str]) -> tuple[dict[str, bytes], str]:
    """{file name: content}, and one line that says why there is none.

    A PDF and a PNG, both as large as the table, for each .tex fragment in ``folder``.

    LaTeX runs once for all; the same fragments give the same bytes.
    """
    import pypdfium2
    from PIL import ImageOps

    if not names:
        return {}, ""
    made, why = latex.compile(folder, "tables", latex.pages(names))
    if made is None:
        return {}, why
    out = {}
    pages = pypdfium2.PdfDocument(made)
    for number, name in enumerate(names):
        pdf, png, page = io.BytesIO(), io.BytesIO(), pages[number]
        drawn = page.render(scale=DPI / 72).to_pil().convert("L")
        left, top, right, bottom = ImageOps.invert(drawn).getbbox() or (0, 0, *drawn.size)
        left, top, right, bottom = left - EDGE, top - EDGE, right + EDGE, bottom + EDGE
        drawn.crop((left, top, right, bottom)).save(png, "PNG")
        point = page.get_width() / drawn.width
        high = page.get_height()
        page.set_mediabox(left * point, high - bottom * point, right * point, high - top * point)
        one = pypdfium2.PdfDocument.new()
        one.import_pages(pages, [number])
        one.save(pdf)
        out[f"{name}.pdf"] = _CHANGING.sub(lambda found: SAME[len(found[0])], pdf.getvalue())
        out[f"{name}.png"] = png.getvalue()
    return out, ""
