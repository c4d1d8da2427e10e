"""spec.yaml is read in parts, and reads as YAML says."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gapo_lab.errors import UserError
from gapo_lab.runs import spec_file

SCIENCE = st.dictionaries(
    st.from_regex(r"[a-z]{1,6}(\.[a-z]{1,6})?", fullmatch=True),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12), st.just("a & b *c"),
        st.lists(st.integers(), max_size=3), st.dictionaries(st.sampled_from("xy"), st.text(max_size=4), max_size=2),
    ),
    max_size=14,
)  # fmt: skip


@example(science={}, model="\x85", words=[], last={})
@given(science=SCIENCE, model=st.text(max_size=5), words=st.lists(st.text(max_size=8), max_size=3), last=SCIENCE)
def test_a_spec_read_in_parts_is_the_spec(science, model, words, last):
    """Long parts are parsed once for all specs that hold them; what is read belongs to the reader all the same."""
    spec = {"model": model, "overrides": words, "science": science, "differs": last, "key": "1e5"}
    text = spec_file.as_yaml(spec)
    for _ in range(2):
        found = spec_file.parsed(text)
        assert found == yaml.safe_load(text) == spec and list(found) == list(spec)
        found["science"]["changed"] = True


@pytest.mark.parametrize(
    "text",
    [
        "science: &one\n" + "".join(f"  k{n}: {n}\n" for n in range(9)) + "differs: *one\n",
        "science:\n" + "".join(f"  k{n}: {n}\n" for n in range(9)) + "science: 3\n",
        "note: 'a\n\nscience:\n" + "".join(f"  k{n}: {n}\n" for n in range(9)) + "  end'\n",
        "---\nscience:\n" + "".join(f"  - {n}\n" for n in range(9)),
        "# only a comment\n",
        "on: 1\nnull: 2\nseed: 3\n",
        "seed: 3\noverrides:\n- a=1\n- b: 2\n  c: 3\n- 'it''s\n  long'\n-  - x\nkey: 1\n",
        "seed: 3\noverrides: []\nnote: |\n  - a\n  - b\ntau: 1 # half\n",
        "seed: 3\n\nnote: >-\n  a\n\n  b\n",
        "overrides:\n- 'a\n- b'\nseed: 3\n",
        "seed: 3\noverrides:\n- a\n# said\n- b\n",
        "",
    ],
)
def test_a_spec_that_was_written_by_hand_reads_as_yaml_says(text):
    assert spec_file.parsed(text) == yaml.safe_load(text)


@given(science=SCIENCE, words=st.lists(st.text(max_size=8), max_size=3))
def test_a_plain_spec_is_what_yaml_gives_back(science, words):
    spec = {"science": science, "overrides": tuple(words), "key": "1e5"}
    assert spec_file.plain(spec) == yaml.safe_load(yaml.safe_dump(spec, sort_keys=False))


def test_specs_that_are_only_read_share_their_science():
    text = spec_file.as_yaml({"science": {"a": 1, "b": 2.5}, "seed": 3})
    one, other = (spec_file.parsed(text, shared=True) for _ in range(2))
    assert one == other == spec_file.parsed(text) and one["science"] is other["science"]
    assert spec_file.parsed(text)["science"] is not one["science"]


@pytest.mark.parametrize(
    "key", ["0123456789", "on", "a1b2", "12e4567890", "0b10101010", "0x1f", "null", "Yes", "1_000", "y"]
)
def test_a_word_is_text_where_yaml_says_so(key):
    assert spec_file.parsed(f"key: {key}\n{key}: 1\n") == yaml.safe_load(f"key: {key}\n{key}: 1\n")


@pytest.mark.parametrize("content", [b"study: \xff\n", b"study: 2026-99-99\n", b"study: [\n"])
def test_a_spec_that_cannot_be_read_is_said_in_a_line(tmp_path, content):
    (tmp_path / "spec.yaml").write_bytes(content)
    with pytest.raises(UserError, match="is not valid YAML"):
        spec_file.read(tmp_path / "spec.yaml")
