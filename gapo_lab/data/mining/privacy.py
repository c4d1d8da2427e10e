"""What looks private in a text: keys and tokens, as detect-secrets knows them, and e-mail addresses.

Lines are looked at once: a repository's history shows the same lines again and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.filters import heuristic
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.keyword import KeywordDetector

MODES = ("drop", "mask", "keep")
MASK = "<private>"
KEY_BLOCK = "Private Key"  # stands for the lines below it, which no expression knows: cannot be masked
EMAIL = "e-mail address"
# No secret: the address of a machine. (What entropy alone finds is mostly checksums and test vectors.)
_LEFT_OUT = {"Public IP (ipv4)"}
# These cost more than all the others together, and each needs a value of 24 letters or more.
_LONG_VALUES = {
    "Cloudant Credentials",
    "IBM COS HMAC Credentials",
    "IBM Cloud IAM Key",
    "SoftLayer Credentials",
    "Mailchimp Access Key",
}
_LONG = re.compile(r"[\w-]{24}")
_KEYWORD = re.compile("key|pass|secret|pwd|contrase")  # a part of each of the KeywordDetector's words
_ADDRESS = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?![\w@-])")
# Names that belong to nobody (RFC 2606 and 6761), and what is no address: git@host:owner/name, Kotlin's this@Outer.
_NOBODY = re.compile(
    r"^(git|this|super)@|^no-?reply@|@(.*\.)?(example(\.\w+)?|test|invalid|localhost|local|users\.noreply\.github\.com)$",
    re.IGNORECASE,
)
_MEMORY = 200_000  # lines remembered as looked at


class Detector:
    """Finds what looks private. The same text always gives the same findings."""

    def __init__(self):
        detectors: dict[str, Any] = get_mapping_from_secret_type_to_class()
        plugins = [
            cls()
            for name, cls in sorted(detectors.items())
            if issubclass(cls, RegexBasedDetector) and name not in _LEFT_OUT
        ]
        self._long = [plugin for plugin in plugins if plugin.secret_type in _LONG_VALUES]
        self._short = [plugin for plugin in plugins if plugin.secret_type not in _LONG_VALUES]
        self._keyword = KeywordDetector()
        self._seen: set[str] = set()
        self._bad: dict[str, dict[str, str]] = {}

    def find(self, text: str) -> dict[str, str]:
        """Every private value in a text with its kind, such as `Private Key` or `e-mail address`."""
        lines = set(text.split("\n"))
        new = lines - self._seen
        if new:
            if len(self._seen) + len(new) > _MEMORY:
                self._seen.clear()
            self._look_at(sorted(new))
            self._seen |= new
        bad = self._bad.keys() & lines
        return {value: kind for line in sorted(bad) for value, kind in self._bad[line].items()}

    def mask(self, text: str, found: Iterable[str]) -> str:
        """The text with every value of `found` replaced by MASK."""
        for value in sorted(found, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text

    def _look_at(self, lines: list[str]) -> None:
        """All lines at once with each expression; only where it finds something line by line."""
        for plugins, some in (
            (self._short, lines),
            (self._long, [x for x in lines if len(x) >= 24 and _LONG.search(x)]),
        ):
            joined = "\n".join(some)
            for plugin in plugins:
                if any(pattern.search(joined) for pattern in plugin.denylist):
                    # the whole match: a plugin's own value may be a part of it, such as `ghp`
                    for line in some:
                        for match in (match for pattern in plugin.denylist for match in pattern.finditer(line)):
                            self._add(line, match[0].strip(), plugin.secret_type)
        for line in lines:
            if "@" in line:
                for value in _ADDRESS.findall(line):
                    if not _NOBODY.search(value):
                        self._add(line, value, EMAIL)
        # line breaks stay where they are in lower case
        for line, low in zip(lines, "\n".join(lines).lower().split("\n"), strict=True):
            if _KEYWORD.search(low):
                for value in self._keyword.analyze_string(line):
                    if _like_a_key(value, line):
                        self._add(line, value, self._keyword.secret_type)

    def _add(self, line: str, value: str, kind: str) -> None:
        if value:
            self._bad.setdefault(line, {}).setdefault(value, kind)


def _like_a_key(value: str, line: str) -> bool:
    """`password = "..."` is mostly a name or a word; a key has letters and digits and is no template."""
    return (
        len(value) >= 8
        and not re.search(r"\s", value)
        and re.search(r"\d", value) is not None
        and re.search(r"[A-Za-z]", value) is not None
        and not heuristic.is_templated_secret(value)
        and not heuristic.is_sequential_string(value)
        and not heuristic.is_indirect_reference(line)
        and not heuristic.is_prefixed_with_dollar_sign(value)
    )
