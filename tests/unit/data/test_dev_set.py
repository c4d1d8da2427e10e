"""Whether data have a dev set, as a plan, a search and a fair sweep need to know."""

from __future__ import annotations

import json

import pytest

from gapo_lab.data import dev_set
from gapo_lab.errors import UserError
from gapo_lab.planning.plan import draft, make
from gapo_lab.planning.plan_notes import notes
from gapo_lab.search.fair import FairSweep

FAIR = {"by": "val/dev/em_expected", "tuning_seeds": 1, "seeds": 2, "candidates": {"others": ["tau=0.1", "tau=0.5"]}}


def test_rows_of_ones_own_and_generated_ones():
    assert dev_set.lack({"name": "parquet", "dev": None}) == "data.dev is none. Give one: data.dev=FILE"
    assert not dev_set.lack({"name": "parquet", "dev": "dev.jsonl"})
    assert not dev_set.lack({"name": "micro", "dev_size": 256})
    assert dev_set.lack({"name": "micro", "dev_size": 0}).startswith("data.dev_size=0.")


@pytest.mark.parametrize(("held", "smaller"), [(512, 341), (90, 60), (513, None)])
def test_mined_data_of_which_the_test_set_takes_all(tmp_path, held, smaller):
    (tmp_path / "about.json").write_text(json.dumps({"rows": {"train": 900, "id": held}}))
    found = dev_set.lack({"name": "git", "path": str(tmp_path), "dev_size": 256, "id_size": 512})
    assert found.endswith(f"data.id_size={smaller}") if smaller else not found


def test_a_plan_tells_it_and_what_must_choose_is_refused(tmp_path):
    about = {"digest": "0" * 64, "format": 1, "rows": {"train": 900, "id": 300}}
    (tmp_path / "about.json").write_text(json.dumps(about))
    words = ("data=git", f"data.path={tmp_path}", "cluster=slurm", "model=qwen_coder_7b")
    plan = make(draft([words]))
    assert not plan.runs[0].why
    assert any("no dev set" in note and "Give a smaller one: data.id_size=200" in note for note in notes(plan))
    with pytest.raises(UserError, match="fair.by=val/dev/em_expected is measured on a dev set, and .*holds out 300"):
        FairSweep([words], FAIR)
    assert FairSweep([(*words, "data.id_size=200")], FAIR).cells
