"""OmegaConf's YAML loader with the parser that is written in C, which takes a tenth of the time.

For files that ship with GAPO Lab and verl: where one of the user's cannot be read, the parser in Python says more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import yaml
from omegaconf import _utils

_theirs = _utils.get_yaml_loader


@contextmanager
def fast_yaml() -> Iterator[None]:
    """Let OmegaConf read files with `loader` while the block runs."""
    _utils.get_yaml_loader = loader
    try:
        yield
    finally:
        _utils.get_yaml_loader = _theirs


@cache
def loader() -> Any:
    """Return OmegaConf's loader over the parser in C; its own where PyYAML was built without that."""
    theirs = _theirs()
    if not yaml.__with_libyaml__:
        return theirs
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class Loader(CParser, theirs):  # type: ignore[misc, valid-type]
        """CParser's way from the text to the nodes, OmegaConf's from there to the values."""

        def __init__(self, stream: Any) -> None:
            CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Loader
