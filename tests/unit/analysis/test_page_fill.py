"""Made parts in a page that is otherwise written by hand."""

from __future__ import annotations

import pytest

from analysis.page.fill import fill
from gapo_lab.errors import UserError


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<!-- made: claim -->\n<!-- end of claim -->", "no part claim: did you mean claims"),
        ("<!-- made: claims -->\n", "part claims has no end"),
    ],
)
def test_a_place_that_cannot_be_filled_is_said(text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        fill(text, {"claims": "said"})


def test_a_part_keeps_what_a_substitution_would_read() -> None:
    text = "a\n<!-- made: x -->\nold\n<!-- end of x -->\nb\n"
    assert fill(text, {"x": r"\1 \g<name>"}) == "a\n<!-- made: x -->\n\\1 \\g<name>\n<!-- end of x -->\nb\n"
