"""What runs in the sandbox: the answer, then each test, one line of result for each.

A line begins with a word that came on the standard input before the answer was read, so that an answer which only
prints, or ends the process, passes nothing. It is no secret from code that searches this process for it.
"""

import json
import os
import sys


def _run(code: str, name: str, space: dict) -> bool:
    try:
        exec(compile(code, name, "exec"), space)
    except BaseException as error:  # noqa: BLE001 - an answer may also raise SystemExit
        print(f"{name}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
        return False
    return True


def main() -> None:
    mark = sys.stdin.readline().strip()
    with open("tests.json", encoding="utf-8") as file:
        asked = json.load(file)
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    space = {"__name__": "answer", "__builtins__": __builtins__}
    for name in ("setup", "answer"):
        if not _run(asked[name], name, space):
            return
    os.write(out, f"\n{mark} answer\n".encode())
    for number, test in enumerate(asked["tests"]):
        if _run(test, f"test {number}", space):
            os.write(out, f"\n{mark} {number}\n".encode())


main()
