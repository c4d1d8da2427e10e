"""The parser in C gives OmegaConf what the one in Python gives it."""

from __future__ import annotations

import pytest
import yaml
from lab import REPO
from omegaconf import OmegaConf, _utils

from gapo_lab.config.fast_yaml import fast_yaml, loader
from gapo_lab.config.search_path import verl_config_folder

TEXT = """
numbers: [1, 1_000, 0x1f, 0o17, 017, 1e3, 1e-5, 1., .5, -1.5E+3, .inf, -.INF, .nan, 1:30, 1:30.5, +12]
words: [yes, No, on, OFF, true, null, ~, '', "a\\tb", '1e3', 2024-01-01]
text: |
  two
   lines
folded: >-
  one
  line
interpolation: ${a.b:${c},d} # a comment
node: &node {a: 1, b: {c: [x, 'é']}}
again: *node
merged: {<<: *node, a: 2}
1: key
? long key
: value
"""
SHIPPED = ("config.yaml", "algo/gapo_grpo.yaml", "backend/vllm.yaml", "model/nano.yaml")


def test_it_is_the_parser_in_c():
    assert yaml.__with_libyaml__ and issubclass(loader(), yaml.cyaml.CParser)


def test_every_kind_of_value_is_the_same():
    assert repr(yaml.load(TEXT, loader())) == repr(yaml.load(TEXT, _utils.get_yaml_loader()))


def test_shipped_files_are_the_same():
    files = [*(REPO / "conf" / name for name in SHIPPED), verl_config_folder() / "actor" / "actor.yaml"]
    slow = [OmegaConf.load(path) for path in files]
    with fast_yaml():
        assert [OmegaConf.load(path) for path in files] == slow


@pytest.mark.parametrize("wrong", ["a: 1\na: 2\n", "a: [1\n", "\ta: 1\n"])
def test_what_is_wrong_is_refused(wrong):
    with pytest.raises(yaml.YAMLError), fast_yaml():
        OmegaConf.create(wrong)
