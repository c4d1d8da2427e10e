"""A spec as it is kept from one command to the next: what tables ask of each run, and the rest as text, which is read
for the few runs of which somebody asks more.

The runs of a cell share their science, which is most of a spec, and its hash.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from gapo_lab.runs import naming


class Label(NamedTuple):
    """What a table asks of a run's spec. ``spec``: reads the whole of it."""

    study: Any
    seed: Any
    cell: str
    spec: Callable[[], dict[str, Any]]


def label_of(spec: dict[str, Any]) -> Label:
    return Label(spec.get("study", ""), spec.get("seed"), naming.cell_id(spec), lambda: spec)


class Packer:
    """Packs specs. Those that share their science (`spec_file.read`) also share the work on it."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, Any], tuple[Any, str]] = {}  # with the science, so that its id stays its own

    def pack(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the spec as plain values that `unpack` and `label` read."""
        science = spec.get("science")
        is_apart = isinstance(science, dict)
        rest = {**spec, "science": None} if is_apart else dict(spec)
        return {
            **({"study": spec["study"]} if "study" in spec else {}),
            "seed": spec.get("seed"),
            "cell": self._cell(spec),
            "rest": _text(rest),
            "science": science if is_apart else None,
        }

    def _cell(self, spec: Mapping[str, Any]) -> str | None:
        """Return the id of the run's cell; None where its science has none: whoever asks for it will hear why."""
        science, model = spec.get("science"), spec.get("model")
        if not isinstance(model, str):
            return _cell_id(spec)
        if (place := (id(science), model)) not in self._cells:
            if (cell := _cell_id(spec)) is None:
                return None
            self._cells[place] = (science, cell)
        return self._cells[place][1]


def _cell_id(spec: Mapping[str, Any]) -> str | None:
    try:
        return naming.cell_id(spec)
    except (TypeError, ValueError):  # keys that do not sort; a science that holds itself
        return None


def _text(values: dict[str, Any]) -> str | dict[str, Any]:
    """Return values as JSON; as they are where JSON does not give them back: a date, NaN, a long number."""
    try:
        text = orjson.dumps(values)
        return text.decode() if orjson.loads(text) == values else values
    except (TypeError, ValueError):
        return values


def unpack(packed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec, the caller's own."""
    rest, science = packed["rest"], packed["science"]
    spec = orjson.loads(rest) if isinstance(rest, str) else copy.deepcopy(rest)
    return spec if science is None else {**spec, "science": dict(science)}


def label(packed: Mapping[str, Any]) -> Label:
    cell = packed["cell"] or naming.cell_id(unpack(packed))
    return Label(packed.get("study", ""), packed["seed"], cell, lambda: unpack(packed))
