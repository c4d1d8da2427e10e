"""What Ray starts first for each worker, in place of its own script of this name, which imports Ray to do the same.

Sets the variables of the runtime environment, then becomes the worker. Only the standard library, so that it takes a
few hundredths of a second. Ray knows this script by the name of its file.
"""

import sys

if __name__ == "__main__":
    del sys.path[0]  # this folder has names of its own

import json
import os
import re
import shlex

OPTIONS = ("--language=", "--serialized-runtime-env-context=")


def main(words: list[str]) -> None:
    """Become the worker that Ray asks for: a script, its words, and among them what Ray asks of this one."""
    asked = {option: word.removeprefix(option) for word in words for option in OPTIONS if word.startswith(option)}
    context = json.loads(asked.get(OPTIONS[1]) or "{}")
    worker = [word for word in words if not word.startswith(OPTIONS)]
    unusual = context.get("command_prefix") or context.get("override_worker_entrypoint")
    if unusual or asked.get(OPTIONS[0]) != "PYTHON":
        theirs = os.path.join(os.path.dirname(worker[0]), os.path.basename(__file__))
        os.execv(sys.executable, [sys.executable, theirs, *words])
    os.environ["RAY_CLIENT_MODE"] = "0"  # as importing Ray does
    for name, value in (context.get("env_vars") or {}).items():
        os.environ[name] = re.sub(r"\$\{[A-Z0-9_]+\}", "", os.path.expandvars(value))
    python = shlex.split(context.get("py_executable") or shlex.quote(sys.executable))
    os.execvp(python[0], [*python, *worker])


if __name__ == "__main__":
    main(sys.argv[1:])
