"""Values by dotted key are what OmegaConf makes of the whole."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from gapo_lab.config.interpolations import resolved_values
from gapo_lab.errors import UserError
from gapo_lab.utils.dotted import flatten

TREE = {
    "one": 1,
    "plain": "${one}",
    "twice": "${plain}",
    "chosen": "${oc.select:plain,7}",
    "default": "${oc.select:no.such,7}",
    "list": [1, "x"],
    "of_list": "${list}",
    "list_of": ["${one}", 2],
    "of_list_of": "${list_of}",
    "node": {"above": "${one}", "beside": "${.above}", "deep": {"word": "a b"}},
    "of_node": "${node}",
    "below": "${node.deep.word}",
    "nothing": None,
    "of_nothing": "${nothing}",
    "nothing_chosen": "${oc.select:nothing,5}",
    "text": "x${one}",
    "of_text": "${text}",
    "empty": {},
    "of_empty": "${empty}",
}


def test_every_kind_of_reference():
    config = OmegaConf.create(TREE)
    wanted = flatten(OmegaConf.to_container(config, resolve=True))
    found = resolved_values(config)
    assert {key: found[key] for key in wanted} == wanted and repr(found["plain"]) == "1"
    assert found["of_list"] is not found["list"]


@pytest.mark.parametrize("value", ["${no.such}", "${missing}", "${oc.select:missing}x${no}"])
def test_what_stands_for_nothing_is_refused(value):
    with pytest.raises(UserError):
        resolved_values(OmegaConf.create({"a": value, "missing": "???"}))
