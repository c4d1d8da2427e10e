"""What `$((...))` is in a shell: whole numbers, and a division that cuts towards zero."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable


def value(text: str) -> int:
    """Return the value of an expression without names. ValueError for anything but + - * / % and brackets."""
    try:
        return _evaluated(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error


def _divided(one: int, other: int) -> int:
    """Without a detour by floats, which have 53 bits."""
    whole = abs(one) // abs(other)
    return whole if (one < 0) == (other < 0) else -whole


_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divided,
    ast.Mod: lambda one, other: one - _divided(one, other) * other,
}


def _evaluated(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_evaluated(inner)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_evaluated(left), _evaluated(right))
    raise ValueError("no whole number")
