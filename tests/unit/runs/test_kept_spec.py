"""A spec that was packed reads as it was, and says at once what tables ask."""

from __future__ import annotations

import datetime
import json
import math

import pytest

from gapo_lab.runs import kept_spec, naming
from gapo_lab.runs.kept_spec import Packer

SPEC = {"study": "s", "model": "nano", "science": {"x": 1, "y": [1.5, None]}, "overrides": ["a=1"], "seed": 3}


@pytest.mark.parametrize(
    "spec",
    [SPEC, {}, {"science": None}, {"science": [1]}, {"model": ["a"], "science": {}}, {**SPEC, "science": {}},
     {**SPEC, "overrides": [datetime.date(2001, 1, 1)]}, {**SPEC, "seed": 2**70}, {**SPEC, "more": {1: 2}}],
)  # fmt: skip
def test_it_reads_as_it_was(spec: dict) -> None:
    packed = Packer().pack(spec)
    read, label = kept_spec.unpack(packed), kept_spec.label(packed)
    assert read == spec == label.spec() and list(read) == list(spec)
    assert label[:3] == kept_spec.label_of(spec)[:3] == (spec.get("study", ""), spec.get("seed"), naming.cell_id(spec))


def test_what_json_does_not_give_back_stays_as_it_is() -> None:
    assert math.isnan(kept_spec.unpack(Packer().pack({"tau": math.nan}))["tau"])


def test_what_is_read_belongs_to_the_reader() -> None:
    packed = json.loads(json.dumps(Packer().pack(SPEC)))
    kept_spec.unpack(packed)["science"]["x"] = 2
    kept_spec.unpack(packed)["overrides"].append("b=2")
    assert kept_spec.unpack(packed) == SPEC


def test_runs_that_share_their_science_share_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    packer, hashed = Packer(), []
    monkeypatch.setattr(naming, "cell_id", lambda spec: hashed.append(spec) or f"cell {len(hashed)}")
    cells = [packer.pack({**SPEC, "seed": seed, "model": model})["cell"] for model in "ab" for seed in range(3)]
    assert cells == ["cell 1"] * 3 + ["cell 2"] * 3


def test_a_science_without_a_hash_is_read_all_the_same() -> None:
    packed = Packer().pack(spec := {"model": "nano", "science": {1: 2, "a": 3}})
    assert kept_spec.unpack(packed) == spec
    with pytest.raises(TypeError):
        kept_spec.label(packed)
    endless: dict = {}
    endless["x"] = endless
    assert kept_spec.unpack(Packer().pack({"model": "nano", "science": endless}))["science"]["x"] is endless


def test_what_json_does_not_give_back_belongs_to_the_reader_too() -> None:
    packed = Packer().pack({"tau": math.inf, "differs": {"x": 1}})
    kept_spec.unpack(packed)["differs"]["x"] = 2
    assert kept_spec.unpack(packed)["differs"] == {"x": 1}
