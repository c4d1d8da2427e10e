"""Which numbers a reward function returns, as far as its text says it for sure. Nothing is run.

A dict whose names stand in the text, also where it is put together name by name or comes from another function of the
same file; or a number, which counts as `score` and `acc`. Of everything else only a call can say it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

Function = ast.FunctionDef | ast.AsyncFunctionDef
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
# What a number alone is called (`training/user_reward.py`).
OF_A_NUMBER = ("score", "acc")
# Python's own functions whose result is a number.
NUMBERS = {"abs", "bool", "float", "int", "len", "round", "sum"}
PRODUCTS, SUMS = (ast.Mult, ast.Div, ast.FloorDiv, ast.Pow), (ast.Add, ast.Sub, ast.Mod)
# Methods of a dict that add no name, and the one that adds some.
READING, ADDING = {"copy", "get", "items", "keys", "pop", "values"}, "update"
# In the order of the text.
Names = dict[str, None]


class UnsureError(Exception):
    """The text does not say it for sure."""


@lru_cache(maxsize=64)
def returned(text: str, function: str) -> tuple[str, ...] | None:
    """Return the names of the numbers that a function of this Python file returns; None where the text does not say.

    There may be more names than a call returns, never fewer.
    """
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, Function)}
    try:
        return tuple(_of_function(function, functions, ()))
    except UnsureError:
        return None


def _of_function(name: str, functions: dict[str, Function], above: tuple[str, ...]) -> Names:
    node = functions.get(name)
    if node is None or node.decorator_list or name in above:
        raise UnsureError
    inside = _Inside(node, functions, (*above, name))
    nodes = list(_own_nodes(node))
    values = [one.value for one in nodes if isinstance(one, ast.Return) and one.value is not None]
    if not values or any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in nodes):
        raise UnsureError
    return _together(inside.names(value) for value in values)


@dataclass
class _Inside:
    """The body of one function, among those of its file. ``above``: what called it, and the variables looked up."""

    function: Function
    functions: dict[str, Function]
    above: tuple[str, ...]

    def names(self, value: ast.expr, above: tuple[str, ...] = ()) -> Names:
        """Return the names of the numbers in what this expression gives. ``above``: variables that ask for it."""
        if self._is_number(value):
            return dict.fromkeys(OF_A_NUMBER)
        match value:
            case ast.Dict(keys=keys, values=values):
                return _together(self._entry(key, one, above) for key, one in zip(keys, values, strict=True))
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=words):
                return self._keywords(words, above)
            case ast.Call(func=ast.Name(id=called)):
                return _of_function(called, self.functions, self.above)
            case ast.Await(value=inner):
                return self.names(inner, above)
            case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, op=ast.BitOr(), right=other):
                return _together([self.names(one, above), self.names(other, above)])
            case ast.Name(id=variable) if variable not in above:
                return self._variable(variable, (*above, variable))
        raise UnsureError

    def _variable(self, name: str, above: tuple[str, ...]) -> Names:
        """Return the names in all that is ever put into a variable, where nobody else can put more into it."""
        nodes, arguments = list(_own_nodes(self.function)), self.function.args
        if name in {one.arg for one in ast.walk(arguments) if isinstance(one, ast.arg)}:
            raise UnsureError
        put = [found for node in nodes if (found := self._put(name, node, above)) is not None]
        used = [one for one in ast.walk(self.function) if isinstance(one, ast.Name) and one.id == name]
        understood = {id(one) for node in nodes for one in _understood(node)}
        if not put or not all(id(one) in understood for one in used):
            raise UnsureError
        return _together(put)

    def _put(self, name: str, node: ast.AST, above: tuple[str, ...]) -> Names | None:
        """Return what this node puts into the variable; None where it does nothing to it."""
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return self.names(value, above)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                return self.names(value, above)
            case ast.AugAssign(target=ast.Name(id=target), op=ast.BitOr(), value=value) if target == name:
                return self.names(value, above)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=target), slice=key)], value=value):
                return self._entry(key, value, above) if target == name else None
            case ast.Call(func=ast.Attribute(value=ast.Name(id=target), attr="update"), args=args, keywords=words):
                given = [*(self.names(one, above) for one in args), self._keywords(words, above)]
                return _together(given) if target == name else None
        return None

    def _keywords(self, words: list[ast.keyword], above: tuple[str, ...]) -> Names:
        return _together(self._entry(ast.Constant(w.arg) if w.arg else None, w.value, above) for w in words)

    def _entry(self, key: ast.expr | None, value: ast.expr, above: tuple[str, ...]) -> Names:
        if key is None:  # **value
            return self.names(value, above)
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise UnsureError
        is_text = isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))
        return {} if is_text else {key.value: None}

    def _is_number(self, value: ast.expr, follow: bool = True) -> bool:
        match value:
            case ast.Constant(value=constant):
                return isinstance(constant, (bool, int, float))
            case ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return True
            case ast.UnaryOp(operand=inner):
                return self._is_number(inner, follow)
            case ast.BinOp(left=one, op=operator, right=other):
                # a sum may be one of counters
                return isinstance(operator, PRODUCTS) or (
                    isinstance(operator, SUMS) and (self._is_number(one, follow) or self._is_number(other, follow))
                )
            case ast.IfExp(body=one, orelse=other):
                return self._is_number(one, follow) and self._is_number(other, follow)
            case ast.Call(func=ast.Name(id=called)):
                return called in NUMBERS and called not in self.functions
            case ast.Name(id=variable) if follow:
                return self._holds_numbers(variable)
        return False

    def _holds_numbers(self, name: str) -> bool:
        """Whether all that is ever assigned to a variable are numbers: whoever is handed it cannot change them."""
        stores = [one for one in ast.walk(self.function) if isinstance(one, ast.Name) and one.id == name]
        stores = [one for one in stores if not isinstance(one.ctx, ast.Load)]
        known = 0
        for node in _own_nodes(self.function):
            match node:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    known += self._is_number(value, follow=False)
                case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                    known += self._is_number(value, follow=False)
                case ast.AugAssign(target=ast.Name(id=target), op=operator) if target == name:
                    known += isinstance(operator, (*PRODUCTS, *SUMS))
        return bool(stores) and known == len(stores)


def _understood(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node where a variable is used in a way that `_Inside._put` sees, or only read."""
    match node:
        case ast.Return(value=value) if value is not None:
            yield value
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            yield target
        case ast.AugAssign(target=target, op=ast.BitOr()):
            yield target
        case ast.Subscript(value=value):
            yield value
        case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in {*READING, ADDING}:
            yield value
        case ast.Call(func=ast.Name(id=called), args=args) if called in NUMBERS:
            yield from args
        case ast.Compare() | ast.BinOp() | ast.UnaryOp() | ast.FormattedValue() | ast.Dict():
            yield from ast.iter_child_nodes(node)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is inside a function, without the functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, SCOPES):
            yield child
            yield from _own_nodes(child)


def _together(parts: Iterable[Names]) -> Names:
    return {name: None for part in parts for name in part}
