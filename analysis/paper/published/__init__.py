"""Published tables as data: one YAML file a table, the numbers as printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gapo_lab.errors import UserError

FOLDER = Path(__file__).parent
PAPER = ("1", "2", "4", "5")
Printed = tuple[float | None, ...]


@dataclass(frozen=True)
class Delta:
    """A printed row of differences: ``of`` minus ``over``, in points, percent or steps."""

    name: str
    of: str
    over: str
    kind: str
    values: Printed


@dataclass(frozen=True)
class Published:
    """A table of accuracies (percent, rows by method, columns by model), or of counts."""

    table: str
    kind: str
    columns: tuple[str, ...]
    rows: Mapping[str, Printed]
    deltas: tuple[Delta, ...] = ()
    metric: str = ""
    test_cases: int | None = None
    trials: int | None = None
    total: Printed = ()

    def value(self, row: str, column: str) -> float | None:
        """Return the printed number, or None where the cell is empty or not in the table."""
        if row not in self.rows or column not in self.columns:
            return None
        return self.rows[row][self.columns.index(column)]

    def delta(self, of: str, over: str, kind: str, column: str) -> float | None:
        for one in self.deltas:
            if (one.of, one.over, one.kind) == (of, over, kind) and column in self.columns:
                return one.values[self.columns.index(column)]
        return None


def paper() -> list[Published]:
    """Return the paper's Tables 1, 2, 4 and 5."""
    return [load(FOLDER / f"table{name}.yaml") for name in PAPER]


def load(path: Path) -> Published:
    """Return a table from its YAML file; UserError naming what is wrong with it."""
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is not there. Name a table's YAML file (the format: {FOLDER.name}/table2.yaml), or 'paper'"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} is not valid YAML. See analysis/paper/published/table2.yaml for the format") from error
    return _parse(raw, Path(path))


def _parse(raw: Any, path: Path) -> Published:
    if not isinstance(raw, dict) or not {"table", "kind", "columns", "rows"} <= raw.keys():
        raise UserError(f"{path} lacks table, kind, columns or rows. See analysis/paper/published/table2.yaml")
    if raw["kind"] not in ("accuracy", "counts"):
        raise UserError(f"{path}: kind is {raw['kind']!r}, not accuracy or counts")
    columns = tuple(raw["columns"])
    rows = {str(name): _numbers(values, columns, f"{path}: row {name}") for name, values in raw["rows"].items()}
    deltas = tuple(_delta(one, rows, columns, path) for one in raw.get("deltas", ()))
    return Published(
        str(raw["table"]),
        raw["kind"],
        columns,
        rows,
        deltas,
        raw.get("metric", ""),
        raw.get("test_cases"),
        raw.get("trials"),
        _numbers(raw["total"], columns, f"{path}: total") if raw.get("total") else (),
    )


def _delta(raw: Mapping[str, Any], rows: Mapping[str, Printed], columns: Sequence[str], path: Path) -> Delta:
    if not {"name", "of", "over", "kind", "values"} <= raw.keys():
        raise UserError(f"{path}: a delta needs name, of, over, kind and values")
    if raw["kind"] not in ("points", "percent", "steps"):
        raise UserError(f"{path}: delta {raw['name']}: kind is {raw['kind']!r}, not points, percent or steps")
    for row in (raw["of"], raw["over"]):
        if row not in rows:
            raise UserError(f"{path}: delta {raw['name']} names row {row}, which is not there")
    values = _numbers(raw["values"], columns, f"{path}: delta {raw['name']} of {raw['of']}")
    return Delta(raw["name"], raw["of"], raw["over"], raw["kind"], values)


def _numbers(values: Any, columns: Sequence[str], where: str) -> Printed:
    if not isinstance(values, list) or len(values) != len(columns):
        raise UserError(f"{where} has {len(values) if isinstance(values, list) else 'no'} values, not {len(columns)}")
    for value in values:
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise UserError(f"{where}: {value!r} is no number (an empty cell is null)")
    return tuple(None if value is None else float(value) for value in values)
