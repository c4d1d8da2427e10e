"""The commands of a shell script, read and never executed: quotes, continuations, comments, variables, arithmetic.

What only a shell could say, such as `$(date)`, becomes a hole in its word, with the line it stands on.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from gapo_lab.utils import shell_arithmetic
from gapo_lab.utils.shell_command import MARK, Command

KEYWORDS = ("if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "{", "}", "!")
OPENING, CLOSING = ("if", "for", "while", "until", "case"), ("fi", "done", "esac")
ASSIGNING = ("export", "declare", "local", "readonly", "typeset")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=")
_NAME = re.compile(r"[A-Za-z_]\w*")
# `NAME`, or `NAME` with what happens to its value.
_PARAMETER = re.compile(r"([A-Za-z_]\w*|[0-9@*#])(\[[@*]\])?(:?[-=]|,,|\^\^)?(.*)", re.DOTALL)


def read(text: str, environment: Mapping[str, str]) -> list[Command]:
    """Return the simple commands of a script in their order, also those below an `if`. ValueError for an open quote."""
    values = {name: [value] for name, value in environment.items()}
    return _Reader(text.replace(MARK, "").replace("\r\n", "\n"), values, []).commands()


class _Reader:
    """text: from line `first` of the script. values: of variables, which it changes. said: of each hole."""

    def __init__(self, text: str, values: dict[str, list[str]], said: list[str], first: int = 1) -> None:
        self.text, self.values, self.said, self.first = text, values, said, first
        self.at = self.depth = 0
        self.heredocs: list[str] = []

    def commands(self) -> list[Command]:
        out: list[Command] = []
        now = Command([], 1)
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign == "\n" or sign in ";&|()":
                self._end(now, out)
                now = Command([], 0)
                self.at += 1
                if sign == "\n":
                    self._skip_heredocs()
            elif not self._skipped(" \t"):
                now.line = now.line or self._line()
                self._word(now)
        self._end(now, out)
        return out

    def _end(self, command: Command, out: list[Command]) -> None:
        command.said = self.said
        if command.words:
            out.append(command)

    def _word(self, command: Command) -> None:
        """Read one word into the command; an assignment or a keyword is obeyed instead."""
        assigns = not command.words or command.words[0] in ASSIGNING
        if assigns and (found := _ASSIGNMENT.match(self.text, self.at)):
            self.at = found.end()
            self._assign(found[1], bool(found[2]))
            return
        if not command.words and (keyword := self._keyword()):
            self.depth += (keyword in OPENING) - (keyword in CLOSING)
            if keyword == "for" and (loop := _NAME.match(self.text, self.at + 1)):
                self.values[loop[0]] = [self._hole(f"${loop[0]}, which a loop sets")]
                self._skip_to("\n;")
            elif keyword == "case":
                self._skip_to("\n")
            return
        command.words += self._fields(split=True)

    def _keyword(self) -> str | None:
        for keyword in KEYWORDS:
            after = self.text[self.at + len(keyword) : self.at + len(keyword) + 1]
            if self.text.startswith(keyword, self.at) and (after in "\n;" or after.isspace()):
                self.at += len(keyword)
                return keyword
        return None

    def _assign(self, name: str, adds: bool) -> None:
        is_array = self.text.startswith("(", self.at)
        value = self._array() if is_array else ["".join(self._fields(split=False))]
        if self.depth:
            value = [self._hole(f"${name}, which is set only under a condition")]
        if adds:
            value = self.values.get(name, []) + value
        self.values[name] = value if is_array else ["".join(value)]

    def _array(self) -> list[str]:
        out: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign == ")":
                self.at += 1
                return out
            if not self._skipped(string.whitespace):
                out += self._fields(split=True)
        raise ValueError("an array is not closed by )")

    # One word

    def _fields(self, split: bool) -> list[str]:
        """Return the words that one word of the script stands for: none, where a redirection or an empty variable
        is."""
        out: list[str] = []
        now, quoted = "", False
        if self.text.startswith(("~/", "~ ", "~\n"), self.at):
            now, self.at = self._value("HOME"), self.at + 1
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign in " \t\n;&|()":
                if sign == "&" and self.text.startswith("&>", self.at):
                    self.at += 1
                    continue
                break
            if sign in "<>":
                self._redirect()
                return out if not now or now.isdigit() else [*out, now]
            if sign == "'":
                end = self._find("'", self.at + 1)
                now, quoted, self.at = now + self.text[self.at + 1 : end], True, end + 1
            elif sign == '"':
                quoted = True
                pieces = self._quoted()
                now += pieces[0] if pieces else ""
                for piece in pieces[1:]:
                    out.append(now)
                    now = piece
                quoted = bool(pieces)
            elif sign == "\\":
                now += "" if self.text.startswith("\\\n", self.at) else self.text[self.at + 1 : self.at + 2]
                quoted, self.at = quoted or not self.text.startswith("\\\n", self.at), self.at + 2
            elif sign in "$`":
                start, values = self.at, self._expansion()
                whole = not split or '"' in self.text[start : self.at]  # ${x:-"a b"} is one word
                pieces = [one for value in values for one in ([value] if whole else value.split())]
                if not pieces:
                    continue
                now += pieces[0]
                for piece in pieces[1:]:
                    out.append(now)
                    now = piece
            else:
                now, self.at = now + sign, self.at + 1
        return [*out, now] if now or quoted else out

    def _quoted(self) -> list[str]:
        """Return what stands in double quotes: several words where it is a whole array, none where that is empty."""
        start = self.at
        self.at += 1
        out: list[str] = []
        now, arrays = "", False
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign == '"':
                self.at += 1
                return [*out, now] if now or out or not arrays else []
            if sign == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                now += self.text[self.at + 1].replace("\n", "")
                self.at += 2
            elif sign in "$`":
                values = self._expansion()
                arrays = arrays or not values
                now += values[0] if values else ""
                for value in values[1:]:
                    out.append(now)
                    now = value
            else:
                now, self.at = now + sign, self.at + 1
        raise ValueError(f'line {self._line(start)}: a " is not closed')

    # $...

    def _expansion(self) -> list[str]:
        text, start = self.text, self.at
        if text.startswith("$((", start):
            end = self._close(start + 3, "(", ")")
            self.at = end + 2
            return [self._arithmetic(text[start + 3 : end], text[start : self.at])]
        if text.startswith("$(", start):
            self.at = self._close(start + 2, "(", ")") + 1
            said = text[start : self.at]
            return [self._value("PWD") if said == "$(pwd)" else self._hole(said)]
        if text[start] == "`":
            self.at = self._find("`", start + 1) + 1
            return [self._hole(text[start : self.at])]
        if text.startswith("${", start):
            end = self._close(start + 2, "{", "}")
            self.at = end + 1
            return self._parameter(text[start + 2 : end], text[start : end + 1])
        if found := re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!]").match(text, start + 1):
            self.at = found.end()
            return self._parameter(found[0], text[start : self.at])
        self.at += 1
        return ["$"]

    def _parameter(self, inside: str, said: str) -> list[str]:
        if inside[:1] in ("@", "*"):
            return []  # the words after the script's name: those after FILE.sh stand for them
        found = _PARAMETER.fullmatch(inside)
        if not found or (found[4] and found[3] not in (":-", "-", ":=", "=")):
            return [self._hole(said)]
        name, whole, change, other = found.groups()
        values = self.values.get(name)
        if change in ("-", ":-", "=", ":=") and (values is None or (":" in change and values == [""])):
            return [self._expanded(other)]
        if values is None:
            return [self._hole(f"{said}, which is not set")]
        if change in (",,", "^^"):
            return [value.lower() if change == ",," else value.upper() for value in values]
        return values if whole else values[:1] or [""]

    def _expanded(self, text: str) -> str:
        """Return a piece of a word, such as what stands behind `:-`, as in double quotes."""
        return "".join(_Reader(text, self.values, self.said, self._line())._fields(split=False))

    def _arithmetic(self, inside: str, said: str) -> str:
        text = re.sub(r"\$\{?(\w+)\}?", r"\1", inside)
        text = _NAME.sub(lambda name: f"({self._value(name[0])})", text)
        try:
            return str(shell_arithmetic.value(text))
        except ValueError:
            return self._hole(said)

    def _value(self, name: str) -> str:
        return (self.values.get(name) or [self._hole(f"${name}, which is not set")])[0]

    def _hole(self, said: str) -> str:
        self.said.append(f"line {self._line()}: {said}")
        return f"{MARK}{len(self.said) - 1}{MARK}"

    # Places

    def _line(self, at: int | None = None) -> int:
        return self.text.count("\n", 0, self.at if at is None else at) + self.first

    def _find(self, sign: str, start: int) -> int:
        end = self.text.find(sign, start)
        if end < 0:
            raise ValueError(f"line {self._line(start)}: a {sign} is not closed")
        return end

    def _close(self, start: int, opening: str, closing: str) -> int:
        depth = 1
        for at in range(start, len(self.text)):
            depth += (self.text[at] == opening) - (self.text[at] == closing)
            if not depth:
                return at
        raise ValueError(f"line {self._line(start)}: a {opening} is not closed")

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _skipped(self, blanks: str) -> bool:
        """Go over one of ``blanks``, a continued line or a comment; False where a word begins."""
        sign = self.text[self.at]
        if sign in blanks:
            self.at += 1
        elif self.text.startswith("\\\n", self.at):
            self.at += 2
        elif sign == "#":
            self._skip_line()
        else:
            return False
        return True

    def _skip_to(self, signs: str) -> None:
        while self.at < len(self.text) and self.text[self.at] not in signs:
            self.at += 1

    def _redirect(self) -> None:
        found = re.compile(r"(<<<|<<-?|<|&?>>?)[&|]?[ \t]*").match(self.text, self.at)
        assert found
        self.at = found.end()
        word = "".join(self._fields(split=False))
        if found[1] in ("<<", "<<-"):
            self.heredocs.append(word)

    def _skip_heredocs(self) -> None:
        for word in self.heredocs:
            while self.at < len(self.text):
                start = self.at
                self._skip_line()
                self.at += 1
                if self.text[start : self.at].strip() == word:
                    break
        self.heredocs = []
