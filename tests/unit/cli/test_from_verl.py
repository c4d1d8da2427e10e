"""The words of a verl launch script to the words here, and what the plan of such a script says."""

import json
import shlex

import pytest

from gapo_lab.cli import from_verl
from gapo_lab.cli.runs import main
from gapo_lab.errors import UserError

GRPO = """\
set -x
rows=$HOME/apples
train_files="['$rows/train.jsonl']"

python3 -m verl.trainer.main_ppo \\
    algorithm.adv_estimator=grpo \\
    data.train_files="$train_files" \\
    data.val_files=$rows/test.jsonl \\
    data.train_batch_size=16 \\
    data.truncation='error' \\
    actor_rollout_ref.model.path=Qwen/Qwen3-4B \\
    actor_rollout_ref.actor.optim.lr=1e-6 \\
    actor_rollout_ref.actor.ppo_mini_batch_size=8 \\
    actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4 \\
    actor_rollout_ref.actor.grad_clip=0.5 \\
    actor_rollout_ref.actor.clip_ratio=0.1 \\
    actor_rollout_ref.actor.use_token_level_loss=True \\
    actor_rollout_ref.rollout.name=sglang \\
    critic.optim.lr=1e-5 \\
    custom_reward_function.path=$rows/reward.py \\
    custom_reward_function.name=score \\
    trainer.logger='["console","wandb"]' \\
    trainer.project_name='apples' \\
    trainer.experiment_name=$(date +%s) \\
    trainer.no_such_key=1 \\
    trainer.n_gpus_per_node=8 \\
    trainer.nnodes=1 \\
    trainer.total_epochs=2 $@
"""
DAPO = """\
NODES=${NODES:-2}
longest=$((1024 * 2))
options=(algorithm.filter_groups.enable=True algorithm.filter_groups.metric=seq_reward)
ray job submit --no-wait --runtime-env="${RUNTIME_ENV:-env.yaml}" \\
    -- python3 -m recipe.dapo.main_dapo --config-name dapo_trainer \\
    data.train_files="$HOME/apples/train.jsonl" \\
    data.val_files="$HOME/apples/test.jsonl" \\
    algorithm.adv_estimator=grpo \\
    "${options[@]}" \\
    algorithm.filter_groups.max_num_gen_batches=5 \\
    actor_rollout_ref.model.path="/models/Qwen3-4B" \\
    data.max_response_length=${longest} \\
    reward_model.reward_manager=dapo \\
    +reward_model.reward_kwargs.overlong_buffer_cfg.len=$((longest / 4)) \\
    +reward_model.reward_kwargs.max_resp_len=${longest} \\
    +custom_reward_function.overlong_buffer.penalty_factor=0.5 \\
    actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2 \\
    trainer.nnodes="$NODES" \\
    trainer.resume_mode=auto 2>&1 | tee log
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NODES", raising=False)
    (tmp_path / "apples").mkdir()
    row = {"data_source": "my/apples", "prompt": "1+1", "reward_model": {"ground_truth": "2"}}
    for name in ("train", "test"):
        (tmp_path / "apples" / f"{name}.jsonl").write_text((json.dumps(row) + "\n") * 32)
    (tmp_path / "apples" / "reward.py").write_text(
        "def score(data_source, solution_str, ground_truth, extra_info=None):\n    return 1.0\n"
    )
    return tmp_path


def translated(home, capsys, script, *words):
    (home / "run.sh").write_text(script)
    found = from_verl.read("run.sh", words)
    return found, capsys.readouterr().out


def test_a_grpo_script(home, capsys):
    words, said = translated(home, capsys, GRPO)
    rows = f"{home}/apples"
    assert words == [
        "algo=grpo",
        "model=qwen3_4b",
        "recipe=verl",
        "data=parquet",
        f"reward={rows}/reward.py:score",
        f"data.train=['{rows}/train.jsonl']",
        f"data.id={rows}/test.jsonl",
        "data.train_batch_size=16",
        "data.truncation=error",
        "actor_rollout_ref.actor.optim.lr=1e-6",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "actor_rollout_ref.actor.optim.clip_grad=0.5",
        "actor_rollout_ref.actor.clip_ratio_low=0.1",
        "actor_rollout_ref.actor.clip_ratio_high=0.1",
        "actor_rollout_ref.actor.loss_agg_mode=token-mean",
        "study=apples",
        "trainer.n_gpus_per_node=8",
        "trainer.total_epochs=2",
    ]
    for line in (
        "run.sh, line 5: verl.trainer.main_ppo",
        "  added model=qwen3_4b: actor_rollout_ref.model.path is Qwen/Qwen3-4B",
        f"  moved data.val_files={rows}/test.jsonl: to data.id",
        "  dropped actor_rollout_ref.rollout.name=sglang: rollouts are made with vLLM",
        "  dropped critic.optim.lr=1e-5: no method here has a critic",
        "  dropped trainer.experiment_name=$(date +%s): a run is named by its overrides",
        "  dropped trainer.no_such_key=1: verl 0.9 has no such key",
    ):
        assert line in said


def test_the_printed_command_is_the_one_that_is_planned(home, capsys):
    words, said = translated(home, capsys, GRPO, "seed=3")
    command = said[said.index("\npython") :].replace("\\\n", "")
    assert shlex.split(command) == ["python", "-m", "gapo_lab.run", "-m", *words]


def test_a_dapo_script_behind_ray(home, capsys):
    words, said = translated(home, capsys, DAPO)
    for word in (
        "algo=dapo",
        "model=qwen3_4b",
        "model.path=/models/Qwen3-4B",
        "reward=verl.utils.reward_score:default_compute_score",
        "algorithm.filter_groups.metric=score",
        "trainer.v1.sampler.sampler_kwargs.max_refill_batches=5",
        "++reward.reward_kwargs.overlong_buffer_cfg.len=512",
        "++reward.reward_kwargs.max_resp_len=2048",
        "++reward.reward_kwargs.overlong_buffer_cfg.penalty_factor=0.5",
        "cluster.nodes=2",
    ):
        assert word in words
    assert not any("megatron" in word or "resume_mode" in word for word in words)
    assert "dropped --config-name=dapo_trainer: the settings of that file are not read" in said


def test_such_a_script_is_planned(home, capsys):
    (home / "run.sh").write_text(GRPO)
    assert main(["plan", "--from-verl", "run.sh", "cluster=slurm", "check_disk=false", "seed=0"]) == 0
    said = capsys.readouterr().out
    assert "1 runs in 1 cells" in said or "1 run in 1 cell" in said
    assert "invalid" not in said


def test_words_here_win(home, capsys):
    words, _ = translated(home, capsys, GRPO.replace("adv_estimator=grpo", "adv_estimator=gae"), "algo=rloo", "study=x")
    assert [word for word in words if word.startswith(("algo=", "study="))] == ["algo=rloo", "study=x"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("adv_estimator=grpo", "adv_estimator=gae", "no method here has a critic. Choose one"),
        ("main_ppo", "main_eval", "no command that trains with verl"),
        ("verl.trainer.main_ppo", "verl.experimental.fully_async_policy.fully_async_main", "runs are made as by"),
        ("total_epochs=2", "total_epochs=$EPOCHS", "line 28: \\$EPOCHS, which is not set: trainer.total_epochs cannot"),
        ("set -x", "python3 -m verl.trainer.main_ppo a.b=1", "2 commands that train, on lines 1, 5"),
        ("set -x", "echo 'open", "is not closed"),
    ],
)
def test_what_cannot_be_translated_is_said(home, capsys, old, new, says):
    with pytest.raises(UserError, match=says):
        translated(home, capsys, GRPO.replace(old, new))


def test_no_such_script(home):
    with pytest.raises(UserError, match=r"--from-verl no.sh: No such file"):
        from_verl.read("no.sh", ())


def test_lora_is_one_word(home, capsys):
    rollout, model = "actor_rollout_ref.rollout", "actor_rollout_ref.model"
    lora = f"{model}.lora_rank=64 {model}.lora_alpha=32 {rollout}.load_format=safetensors {rollout}.layered_summon=True"
    words, said = translated(home, capsys, GRPO.replace("trainer.nnodes=1", lora))
    assert {"lora=64", f"{model}.lora_alpha=32"} <= set(words)
    assert not any(word.startswith((f"{rollout}.l", f"{model}.lora_rank")) for word in words)
    assert "moved actor_rollout_ref.model.lora_rank=64: to lora" in said and "=safetensors: lora= brings it" in said
