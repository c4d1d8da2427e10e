"""A griffe extension: lines `name: text` of a docstring become a list."""

from __future__ import annotations

from typing import Any

import griffe

from docs_site.parameter_lists import listed


class Parameters(griffe.Extension):
    """Set a docstring's lines about parameters apart."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Change the docstring of one function."""
        if func.docstring:
            func.docstring.value = listed(func.docstring.value, {one.name for one in func.parameters})
