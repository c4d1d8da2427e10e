"""Whether a reward function of the user's own answers, and returns the number that the study is about."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gapo_lab.data.user_rows import rows
from gapo_lab.doctor.finding import Finding, ok, wrong
from gapo_lab.errors import UserError
from gapo_lab.paths import IMPORT_ROOT, SHIPPED_MODULE
from gapo_lab.runs import measures
from gapo_lab.utils.dotted import below, unflatten
from gapo_lab.utils.import_path import importing_from

# Beside the calls: for what the file imports.
STARTING_SECONDS = 60
OWN = "reward.custom_reward_function"


@dataclass(frozen=True)
class Answers:
    """What the function returned for the truth of a row and for an empty answer; `error`: why it did not."""

    place: str
    got: tuple[Mapping[str, Any], ...] = ()
    error: str | None = None


def check_reward(called: str, metric: str | None, answers: Answers) -> Finding:
    """Return the finding. called: as the user has it. metric: the number that was asked for by name."""
    about = f"reward={called}"
    if answers.error is not None:
        return wrong("reward", f"{about}: {answers.error}, for {answers.place}", "A run would end there. Mend it")
    numbers = {name for one in answers.got for name, value in one.items() if isinstance(value, (int, float))}
    if metric is not None and metric not in (*numbers, "reward"):
        return wrong("reward", measures.unmeasured(metric, numbers).replace("the reward", about, 1))
    said = [", ".join(f"{name} {_short(value)}" for name, value in one.items()) for one in answers.got]
    return ok(
        "reward", f"{about}: {answers.place}: its reference answer gets {said[0]}; an empty answer gets {said[1]}"
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else f"{value!r:.30}"


def look(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the finding about the reward of one run on rows of the user's own. settings: by dotted key."""
    path = settings.get(f"{OWN}.path")
    if not path or str(path).startswith(SHIPPED_MODULE) or settings["data.name"] != "parquet":
        return
    called = str(settings["reward.name"])
    try:
        row = _first_row(settings)
    except (UserError, OSError):
        return  # told as a finding about the data
    yield check_reward(called, settings.get("metric"), ask(settings, row, called))


def ask(settings: Mapping[str, Any], row: Mapping[str, Any], called: str) -> Answers:
    """Call the function on the row, in a process of its own and with the run's limit for each call."""
    place, truth = rows.place(row["extra_info"]), str(row["reward_model"]["ground_truth"])
    texts, seconds = [truth, ""], float(settings["reward.timeout"])
    given = {k.removeprefix(f"{OWN}.reward_kwargs."): v for k, v in settings.items() if ".reward_kwargs." in k}
    there, here = os.pipe()
    asked = {"path": settings[f"{OWN}.path"], "name": settings[f"{OWN}.name"], "called": called, "row": row}
    asked |= {"texts": texts, "settings": unflatten(given), "answer": here}
    with os.fdopen(there) as answer:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "gapo_lab.doctor.reward_call"],
                input=json.dumps(asked),
                env={**os.environ, **importing_from(IMPORT_ROOT)},
                pass_fds=[here],
                capture_output=True,
                text=True,
                check=False,
                timeout=STARTING_SECONDS + seconds * len(texts),
            )
        except subprocess.TimeoutExpired:
            return Answers(place, error=f"has not answered for {seconds:g} s")
        finally:
            os.close(here)
        said = answer.read()
    if not said:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        return Answers(place, error=lines[-1][:200] if lines else f"its process ended with code {done.returncode}")
    found = json.loads(said)
    return Answers(place, tuple(found.get("got", ())), found.get("error"))


def _first_row(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first row to train on, as the trainer reads it."""
    data = below(settings, "data")
    few = dict.fromkeys((*rows.SIZES.values(), "ood_size"), 1)
    return rows.rows_of({**data, **few})["train"][0]
