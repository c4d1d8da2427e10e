"""What Hydra allows in an override works in a plan as in a run, or says in one line that it does not."""

from __future__ import annotations

import pytest

from gapo_lab.cli.runs import main
from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.sweep_grid import make_cells
from gapo_lab.errors import UserError


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("algo=glob(gapo*)", "glob() is not supported. Name the values: algo=A,B"),
        ("tau=choice(0.1,null,0.9)", "choice() takes no null. Write tau=0.1,null,0.9"),
        ("study=naïve_étude", """quotes inside quotes: 'study="naïve_étude"'"""),
        ("+note=a=b,c", """quotes inside quotes: '+note="a=b,c"'"""),
        ("data.template=/x/epoch=1 (copy).txt", """'data.template="/x/epoch=1 (copy).txt"'"""),
        ("tau=[1", "not a valid override"),
        ("+note=a=b,c", "at the ^ of +note=a^=b,c"),
        ("study=naïve_étude", "at the ^ of study=na^ïve_étude"),
    ],
)
def test_a_word_that_cannot_be_read_shows_what_can(word, says):
    with pytest.raises(UserError) as caught:
        make_cells([word])
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["study=naïve_étude", "data.template=/x/epoch=1 (copy).txt"])
def test_one_run_says_the_same(word):
    with pytest.raises(UserError, match="quotes inside quotes"):
        compose_run([word])


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ('study="naïve_étude"', "study", "naïve_étude"),
        ('+note="a=b,c"', "note", "a=b,c"),
        ("~trainer.logger", "trainer.logger", None),
        ("data.val_batch_size=null", "data.val_batch_size", None),
        ("actor_rollout_ref.actor.optim.betas=[0.8,0.9]", "actor_rollout_ref.actor.optim.betas", [0.8, 0.9]),
    ],
)
def test_what_hydra_allows_is_composed_and_swept(word, key, value):
    assert Composer().compose([word]).resolved.get(key) == value
    assert make_cells([word, "seed=0"]) == [(word, "seed=0")]


def test_a_key_that_is_there_takes_no_plus():
    with pytest.raises(UserError, match=r"^\+trainer.val_before_train: .*Leave the \+ out$"):
        compose_run(["+trainer.val_before_train=true"])


def test_a_plan_takes_what_a_run_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "algo=glob(gapo*)"]) == 2
    assert "glob() is not supported" in capsys.readouterr().err
    assert main(["plan", "-m", "~trainer.logger", "seed=0"]) == 0


def test_all_words_that_are_wrong_are_told_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wrong = ["modl=nano", "trainer.foo=1", "+trainer.val_before_train=true", "algo=nope"]
    with pytest.raises(UserError) as composed:
        Composer().compose(wrong)
    for said in (
        "modl: no such key",
        "trainer.foo: no such key",
        "+trainer.val_before_train: the key",
        "algo=nope: no",
    ):
        assert said in str(composed.value)
    assert main(["plan", "study=naïve", "tau=[1", *wrong, "seed=0"]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 6 and "study=naïve: not" in told and "tau=[1: not" in told
