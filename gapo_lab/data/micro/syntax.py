"""The lines of code that micro edits are made of, and how nine languages write them.

A `Line` holds what a line says, not how it is written; an edit is a function from Line to Line, and a
`Syntax` writes a Line down.
"""

# ruff: noqa: SIM905 (word lists)
from __future__ import annotations

from dataclasses import dataclass
from random import Random

NOUNS = tuple(
    "user item name path file page node edge list text data line word code size rate time date "
    "year hour cost sum tax fee bill cart shop stock bank loan team game card rank goal level "
    "mail note chat post tag link host port zone area map city road bus car ship unit part tool "
    "lock door room key token query index".split()
)
VERBS = tuple("load save read find make send sort copy parse check fetch build count merge split clean".split())
NUMBERS = tuple("0 1 2 3 4 5 6 7 8 9 10 12 16 20 30 32 50 60 64 80 99".split())
TYPES = tuple("int long float bool char byte".split())
ARITHMETIC = ("+", "-", "*", "/")
COMPARISONS = ("<", ">", "<=", ">=", "==", "!=")
FORMS = ("assign", "return", "call", "arith", "cond", "typed")
CALLS = ("assign", "return", "call")


@dataclass(frozen=True)
class Line:
    """One statement. `form` says which of the other fields count.

    assign `name = func(args)`; return `return func(args)`; call `func(args)`; arith `name = args[0] op
    args[1]`; cond `if args[0] op args[1]`; typed `name: type = args[0]`. `wraps` are calls around the
    expression, outermost first; `receiver` is what a call is made on.
    """

    form: str
    args: tuple[str, ...]
    name: str = ""
    func: str = ""
    op: str = ""
    type: str = ""
    wraps: tuple[str, ...] = ()
    receiver: str = ""


@dataclass(frozen=True)
class Syntax:
    """How a language writes a Line: format strings over {name}, {expr}, {type}, and a variable's sigil."""

    language: str
    suffix: str
    assign: str
    ret: str
    call: str
    arith: str
    cond: str
    typed: str
    sigil: str = ""


_SEMI = {"ret": "return {expr};", "call": "{expr};", "arith": "{name} = {expr};", "cond": "if ({expr}) {{"}
SYNTAXES = {
    s.language: s
    for s in (
        Syntax(
            "python",
            "py",
            "{name} = {expr}",
            "return {expr}",
            "{expr}",
            "{name} = {expr}",
            "if {expr}:",
            "{name}: {type} = {expr}",
        ),
        Syntax(
            "go",
            "go",
            "{name} := {expr}",
            "return {expr}",
            "{expr}",
            "{name} = {expr}",
            "if {expr} {{",
            "var {name} {type} = {expr}",
        ),
        Syntax(
            "rust",
            "rs",
            "let {name} = {expr};",
            typed="let {name}: {type} = {expr};",
            **{**_SEMI, "cond": "if {expr} {{"},
        ),
        Syntax("java", "java", "var {name} = {expr};", typed="{type} {name} = {expr};", **_SEMI),
        Syntax("javascript", "js", "const {name} = {expr};", typed="let {name}: {type} = {expr};", **_SEMI),
        Syntax("c", "c", "int {name} = {expr};", typed="{type} {name} = {expr};", **_SEMI),
        Syntax(
            "kotlin",
            "kt",
            "val {name} = {expr}",
            "return {expr}",
            "{expr}",
            "{name} = {expr}",
            "if ({expr}) {{",
            "val {name}: {type} = {expr}",
        ),
        Syntax(
            "lua",
            "lua",
            "local {name} = {expr}",
            "return {expr}",
            "{expr}",
            "{name} = {expr}",
            "if {expr} then",
            "local {name} = {type}({expr})",
        ),
        Syntax("php", "php", "{name} = {expr};", typed="{type} {name} = {expr};", sigil="$", **_SEMI),
    )
}
SEEN_LANGUAGES = ("python", "go", "rust", "java", "javascript", "c")
UNSEEN_LANGUAGES = ("kotlin", "lua", "php")


def write(line: Line, syntax: Syntax) -> str:
    """The text of a line in a language, without indentation or line end."""
    args = [syntax.sigil + a if a in _NOUN_SET else a for a in line.args]
    if line.form in CALLS:
        receiver = f"{syntax.sigil}{line.receiver}." if line.receiver else ""
        expr = f"{receiver}{line.func}({', '.join(args)})"
    elif line.form == "typed":
        expr = args[0]
    else:
        expr = f"{args[0]} {line.op} {args[1]}"
    for outer in reversed(line.wraps):
        expr = f"{outer}({expr})"
    pattern = syntax.ret if line.form == "return" else getattr(syntax, line.form)
    return pattern.format(name=syntax.sigil + line.name, expr=expr, type=line.type)


def random_line(rng: Random, forms: tuple[str, ...] = FORMS, fewest_args: int = 1) -> Line:
    """A line of one of the forms, its words drawn without repetition."""
    form = rng.choice(forms)
    name, first, second = rng.sample(NOUNS, 3)
    if form in CALLS:
        count = max(fewest_args, rng.choice((1, 2)))
        args = (first, rng.choice((second, rng.choice(NUMBERS))))[:count]
        return Line(form, args, name=name if form == "assign" else "", func=rng.choice(VERBS))
    if form == "arith":
        return Line(form, (first, second), name=name, op=rng.choice(ARITHMETIC))
    if form == "cond":
        return Line(form, (first, rng.choice(NUMBERS)), op=rng.choice(COMPARISONS))
    return Line(form, (rng.choice(NUMBERS),), name=name, type=rng.choice(TYPES))


_NOUN_SET = frozenset(NOUNS)
