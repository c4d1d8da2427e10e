"""What a plan says of its cost before a run exists: hours, disk, attention, data, validations."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from gapo_lab.config.fast_compose import Composer
from gapo_lab.planning.cost import CostInputs, estimated, formula, step_seconds, validation_seconds
from gapo_lab.planning.plan import draft, make
from gapo_lab.planning.plan_notes import notes
from gapo_lab.planning.plan_table import show_plan, totals
from gapo_lab.utils.text import roughly, two_digits

BIG = ("model=qwen_coder_7b", "cluster=slurm")


@pytest.fixture(scope="module")
def plan_of():
    composer = Composer()
    return lambda *words: make(draft([words], composer))


def inputs(plan) -> CostInputs:
    return CostInputs.of(plan.runs[0].settings)


def test_an_estimate_is_no_more_exact_than_it_is(plan_of):
    assert [two_digits(n) for n in (2777, 11.13, 0.456, 98.7, 0)] == ["2,800", "11", "0.46", "99", "0"]
    assert [roughly(n) for n in (8784, 150, 42)] == ["~2.4 h", "~2.5 min", "~42 s"]
    assert "about" in totals(plan_of(*BIG))


def test_tokens_are_those_of_the_data_and_not_the_limits(plan_of):
    micro, git = inputs(plan_of(*BIG)), inputs(plan_of(*BIG, "data=git"))
    assert micro.row_tokens == 220 and git.row_tokens == 2150
    assert step_seconds(git) > 5 * step_seconds(micro)
    assert inputs(plan_of(*BIG, "data=micro_blocks")).row_tokens == 240


def test_tokens_of_rows_of_ones_own_are_measured_by_their_characters(plan_of, tmp_path):
    text = [{"role": "system", "content": "s" * 100}, {"role": "user", "content": "u" * 300}]
    rows = [{"prompt": prompt, "reward_model": {"ground_truth": "t" * 40}} for prompt in (text, "u" * 400)] * 256
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "id.jsonl").write_text(json.dumps(rows[0]) + "\n")
    words = (*BIG, "data=parquet", *(f"data.{name}={tmp_path / name}.jsonl" for name in ("train", "id")))
    # with reward=edit the truth is the answer; with others nobody knows how long an answer will be
    assert inputs(plan_of(*words, "reward=edit")).row_tokens == 100 + 10
    assert inputs(plan_of(*words, "reward=math", "data.max_response_length=512")).row_tokens == 100 + 256
    # nano's tokens are shorter; the limits would make a run of short rows look several times as long
    on_cpu = ("algo=grpo", *words[len(BIG) :], "reward=edit", "data.max_prompt_length=1000")
    assert inputs(plan_of(*on_cpu)).row_tokens == 200 + 20


def test_a_step_of_the_papers_length_takes_what_reading_verl_on_an_h100_gave(plan_of):
    """350 to 450 s with flash attention, validations of two sets and greedy twins among them; right within a factor
    of two."""
    run = inputs(plan_of(*BIG, "data=git", "backend.attention=flash_attention_2"))
    assert 200 < step_seconds(run) < 900


def test_validations_count_and_greedy_twins_too(plan_of):
    every, twins = inputs(plan_of(*BIG)), inputs(plan_of(*BIG, "data.greedy=false"))
    seldom = inputs(plan_of(*BIG, "trainer.test_freq=10"))
    assert (every.test_tasks, twins.test_tasks) == (2 * 1536 + 256, 1536 + 256)  # the dev set has no greedy twin
    saved = (every.validations - seldom.validations) * validation_seconds(every)
    assert formula(every) - formula(seldom) == pytest.approx(saved)
    assert estimated(every).share_of_validations > estimated(seldom).share_of_validations


def test_the_papers_validation_every_step_is_questioned_only_where_it_costs(plan_of):
    papers = (*BIG, "algo=gapo_dapo", "data.id_size=3897")
    assert any("trainer.test_freq=10 saves" in note for note in notes(plan_of(*papers)))
    assert not any("test_freq=" in note for note in notes(plan_of(*papers, "trainer.test_freq=10")))
    assert not any("test_freq=" in note for note in notes(plan_of(*BIG, "data=git")))


def test_mined_data_has_an_estimate(plan_of, tmp_path):
    at_most = plan_of(*BIG, "data=git").runs[0].seconds
    (tmp_path / "about.json").write_text(json.dumps({"digest": "0", "rows": {"train": 51_844, "id": 9}}))
    paper = inputs(plan_of(*BIG, "data=git", f"data.path={tmp_path}"))
    assert at_most and paper.steps == 10 * (51_844 // 512) == 1010


def test_validations_of_mined_edits_count_those_that_are_there(plan_of, tmp_path):
    words = (*BIG, "data=git", f"data.path={tmp_path}", "data.greedy=true")
    for held, tests, dev in ((6, 6, 0), (600, 512, 88), (5_000, 512, 256)):
        (tmp_path / "about.json").write_text(json.dumps({"digest": "0", "rows": {"train": 51_844, "id": held}}))
        run = plan_of(*words).runs[0].settings
        assert CostInputs.of(run).test_tasks == 2 * (tests + run["data.ood_size"]) + dev


def test_a_plan_says_what_its_checkpoints_take(plan_of):
    (line,) = [note for note in notes(plan_of(*BIG)) if "checkpoints" in note]
    assert "180 GB" in line and "30 GB once" in line
    assert not any("checkpoints" in note for note in notes(plan_of(*BIG, "trainer.save_freq=-1")))


def test_the_first_line_says_what_a_large_model_will_train_on(plan_of):
    assert "data=micro" in notes(plan_of(*BIG))[0]
    assert not any("data=micro" in note for note in notes(plan_of(*BIG, "data=git")))


def test_the_attention_is_shown(plan_of):
    assert any("attention is sdpa" in note for note in notes(plan_of(*BIG, "backend.attention=sdpa")))
    assert not any("sdpa" in note for note in notes(plan_of(*BIG, "backend.attention=flash_attention_2")))


def test_a_plan_says_what_its_hours_rest_on(plan_of):
    assert "2e14 FLOP/s a GPU, 2,150 tokens" in notes(plan_of(*BIG, "data=git", "data.repos=[.]"))[-1]
    hours, smoke = (
        next(note for note in notes(plan_of(*BIG, *words)) if "FLOP/s" in note) for words in ((), ("scale=smoke",))
    )
    assert "scale=smoke" in hours and "scale=smoke" not in smoke


def test_a_smoke_run_with_the_test_sets_of_the_real_run_is_told(plan_of):
    small, large = (notes(plan_of(*BIG, "scale=smoke", *words)) for words in ((), ("data.id_size=4000",)))
    wanted = "a smoke run validates 8,016 rows, and its accuracy is no result. Leave data.id_size out: 32 are enough"
    assert wanted in large and not any("smoke run validates" in note for note in small)
    assert not any("validating takes" in note for note in (*small, *large)), "it has two steps"


def test_a_plan_without_gpus_has_no_columns_for_them(plan_of):
    def heads(*words: str) -> str:
        file = io.StringIO()
        show_plan(plan_of(*words), Console(file=file, width=120))
        return next(line for line in file.getvalue().splitlines() if line.startswith("cell "))

    assert heads().split() == ["cell", "seeds", "what", "happens", "a", "run"]
    assert "nodes x GPUs" in heads(*BIG) and "GPU-h" in heads(*BIG)


def test_a_run_without_a_gpu_has_no_notes(plan_of):
    assert notes(plan_of()) == []


@pytest.mark.parametrize("model", ["nano", "nano_large"])
def test_nano_on_real_repositories_is_warned_of(plan_of, model):
    (said,) = notes(plan_of(f"model={model}", "data=git"))
    assert said.startswith(f"model={model}: was taught only generated edits.") and "model=smollm2_135m" in said
    assert not any("generated edits" in note for note in notes(plan_of("model=smollm2_135m", "data=git")))


def test_nano_on_rows_of_ones_own_is_warned_of(plan_of, tmp_path):
    row = {"prompt": "def get(): return x", "reward_model": {"ground_truth": "x"}}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 40)
    words = ("data=parquet", f"data.train={tmp_path}/rows.jsonl", f"data.id={tmp_path}/rows.jsonl", "reward=edit")
    said = notes(plan_of(*words))
    assert any(note.startswith("model=nano: was taught only generated edits. Of your rows") for note in said)
    assert not any("generated edits" in note for note in notes(plan_of(*words, "model=smollm2_135m")))
    assert not any("generated edits" in note for note in notes(plan_of(*words, "scale=rehearsal")))


def test_a_large_model_that_is_not_on_this_machine_is_told(plan_of, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    path = plan_of(*BIG).runs[0].settings["model.path"]
    assert any(note.endswith(f"before they start: hf download {path}") for note in notes(plan_of(*BIG)))
    place = tmp_path / f"models--{path.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    (place / "snapshots" / "abc" / "config.json").write_text("{}")
    assert not any("hf download" in note for note in notes(plan_of(*BIG)))


def test_measuring_on_what_is_trained_on_is_told(plan_of, tmp_path):
    row = {"prompt": [{"role": "user", "content": "1+1"}], "reward_model": {"ground_truth": "2"}, "data_source": "sums"}
    train, copy, other = (tmp_path / f"{name}.jsonl" for name in ("train", "copy", "other"))
    for path, answer in ((train, "2"), (copy, "2"), (other, "3")):
        path.write_text(json.dumps(row | {"reward_model": {"ground_truth": answer}}) + "\n")
    sizes = ("data.train_batch_size=1", "actor_rollout_ref.actor.ppo_mini_batch_size=1")
    words = ("data=parquet", f"data.train={train}", "reward=math", *sizes)

    def told(*more):
        return [note for note in notes(plan_of(*words, *more)) if "memorized" in note]

    assert told(f"data.id={copy}", f"data.ood={{hard: {train}}}")[0].startswith("id and hard: made of a file")
    assert not told(f"data.id={other}")
