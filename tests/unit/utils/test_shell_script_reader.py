"""A script is read as bash reads it, without running it; what only bash could say is named with its line."""

import os
import subprocess

import pytest

from gapo_lab.utils.shell_script_reader import read

# What a command in the middle of a script gets is what `show` gets from bash.
SCRIPTS = [
    "show a=1 b='two words' \"c=3\" d=\\$x # a comment",
    "size=4\nshow n=$size m=${size} k=$((size * (2 + 3) / 3)) r=$((-7 / 2)) s=$((7 % 4))",
    'name="Qwen/Qwen3-4B"\nshow path="${name}/x" low=${name,,}',
    'show other=${NOWHERE:-"a b"} second="${NOWHERE:-${HOME}/data}"\nHERE=1',
    "show \\\n  a=1 \\\n  b=2 $@\nshow c=3",
    'files=(a.parquet "b c.parquet")\nfiles+=(d)\nshow "${files[@]}" first=$files',
    "list=\"['a', 'b']\"\nshow rows=\"$list\" logger=['console','wandb'] json='[\"console\"]'",
    "export A=1 B=2\nshow $A$B > /dev/stderr 2>&1; show next",
    "cat << END > /dev/null\nshow inside\nEND\nshow outside",
    "words='x=1   y=2'\nshow $words \"$words\" ''",
    "a=1; b=2 && show $a $b || show never\nshow 'it'\\''s' \"q\\\"q\"",
    'a=x\na+=y\nshow $a ~/data b.c=~/x "$(pwd)"',
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_as_bash_reads_it(script, tmp_path):
    shows = 'show() { printf "<%s>" "$@" >> said; echo >> said; }\n'
    environment = {"HOME": str(tmp_path), "PWD": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run(["bash", "-c", shows + script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    ours = [command.words[1:] for command in read(script, environment) if command.words[0] == "show"]
    ours = [words for words in ours if words != ["never"]]
    assert "".join("".join(f"<{word}>" for word in words) + "\n" for words in ours) == (tmp_path / "said").read_text()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("x=1\nshow a=$(date)", "line 2: $(date)"),
        ("show a=$MISSING", "line 1: $MISSING, which is not set"),
        ("if test -e f; then\n  N=2\nfi\nshow a=$N", "line 2: $N, which is set only under a condition"),
        ("for seed in 1 2; do\n  show a=$seed\ndone", "line 1: $seed, which a loop sets"),
        ("show a=$((2 ** 9))", "line 1: $((2 ** 9))"),
        ("when=`date`\nname=x-$when\nshow a=$name", "line 1: `date`"),
    ],
)
def test_what_cannot_be_known_is_named(script, said):
    command = next(command for command in read(script, {}) if command.words[0] == "show")
    assert command.holes(command.words[1]) == [said]
    assert command.shown(command.words[1]).startswith("a=")


def test_nothing_is_executed(tmp_path):
    read(f"$(touch {tmp_path}/a)\ntouch {tmp_path}/b\nX=`touch {tmp_path}/c`", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["show 'a", 'show "a', "show $(a", "x=(a"])
def test_an_open_quote_is_an_error(script):
    with pytest.raises(ValueError, match="is not closed"):
        read(script, {})
