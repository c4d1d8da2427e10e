"""Calls a reward function of the user's own on one row, in a process of its own.

It reads what to call from stdin (JSON), and writes what each answer got, or the error, to the file descriptor that is
named there.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from gapo_lab.data.user_rows.rows import told
from gapo_lab.training.user_reward import checked
from gapo_lab.utils import python_source
from gapo_lab.utils.text import type_and_line


def main() -> int:
    """Answer one question."""
    asked = json.load(sys.stdin)
    with os.fdopen(asked["answer"], "w") as answer:
        try:
            json.dump({"got": [_call(asked, text) for text in asked["texts"]]}, answer)
        except Exception as error:  # noqa: BLE001 - whatever the user's function does
            json.dump({"error": type_and_line(error)}, answer)
    return 0


def _call(asked: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return what the function says of an answer, as a run would take it."""
    row = asked["row"]
    function = python_source.load(asked["path"], asked["name"])
    source, truth, about = told(row["data_source"], row["reward_model"]["ground_truth"], row["extra_info"])
    words = {"data_source": source, "solution_str": text, "ground_truth": truth, "extra_info": about}
    found = function(**words, **asked["settings"])
    if inspect.isawaitable(found):
        found = asyncio.run(_awaited(found))
    return checked(found, asked["called"], f"{text!r:.40}")


async def _awaited(found: Any) -> Any:
    return await found


if __name__ == "__main__":
    sys.exit(main())
