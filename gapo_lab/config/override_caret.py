"""Where Hydra's grammar stumbles over a word. Hydra's own error has lost the place."""

from __future__ import annotations

from typing import Any, NoReturn

from antlr4 import CommonTokenStream, InputStream
from antlr4.error.ErrorListener import ErrorListener
from hydra.grammar.gen.OverrideLexer import OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser


class _Found(Exception):
    """Carries the column, from 0."""


class _Listener(ErrorListener):
    def syntaxError(self, *args: Any) -> NoReturn:  # noqa: N802 - antlr's name
        raise _Found(args[3])


def with_caret(word: str) -> str:
    """Return the word with a ^ before the first sign that cannot stand there; the word itself where all can."""
    lexer = OverrideLexer(InputStream(word))
    parser = OverrideParser(CommonTokenStream(lexer))
    for one in (lexer, parser):
        one.removeErrorListeners()
        one.addErrorListener(_Listener())
    try:
        parser.override()
    except _Found as found:
        (column,) = found.args
        return f"{word[:column]}^{word[column:]}"
    return word
