"""YAML as plain values. PyYAML is imported when the first text is read: a command over runs that have not changed since
the last one reads none, and the import takes a tenth of its start."""

from __future__ import annotations

from functools import cache
from typing import Any


class NotYamlError(ValueError):
    """The text is not YAML."""


def load(text: str) -> Any:
    """Return what the text means. NotYamlError where it is no YAML, ValueError for a date that is none."""
    import yaml

    try:
        return yaml.load(text, Loader=loader())
    except yaml.YAMLError as error:
        raise NotYamlError(str(error)) from error


@cache
def loader() -> Any:
    """Return libyaml's loader, which reads a spec ten times faster than PyYAML's own; that where there is none."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
