"""The batch script that SLURM gets, line by line, without a SLURM: what `plan --show-sbatch` prints."""

from __future__ import annotations

import os
import re
import sys

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.launch import executor, outside_container
from gapo_lab.launch.shell_variables import hidden_from_sbatch
from gapo_lab.launch.slurm_task import patience
from gapo_lab.planning import plan
from gapo_lab.planning.plan import Plan
from gapo_lab.planning.plan_table import asked_of_slurm
from gapo_lab.utils.import_path import importing_from

# `python -m gapo_lab.run -m model=qwen_coder_7b,qwen3_8b algo=gapo_dapo tau=0.1,0.5,0.9 cluster=slurm`
USED_BY = [("model=qwen_coder_7b", "model=qwen3_8b"), ("tau=0.1", "tau=0.5", "tau=0.9")]
SCRIPT = """\
#!/bin/bash

# Parameters
#SBATCH --array=0-29%30
#SBATCH --comment='qwen_coder_7b gapo_dapo tau=0.1 and 5 more cells'
#SBATCH --cpus-per-task=64
#SBATCH --gpus-per-node=8
#SBATCH --job-name=default
#SBATCH --mem=300000MB
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=LOGS/%A_%a_0_log.out
#SBATCH --requeue
#SBATCH --signal=USR2@GRACE
#SBATCH --time=1440

# setup
export PYTHONPATH=CODE
export PYTHONSAFEPATH=1

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output LOGS/%A_%a_%t_log.out --cpus-per-task=64 PYTHON -u -m submitit.core._submit LOGS
"""


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


@pytest.fixture
def scripts(composer, tmp_path, monkeypatch):
    """The scripts of these cells, with this machine's paths replaced by words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(executor.slurm, "largest_array", lambda: 1000)

    def of(*cells: tuple[str, ...]) -> list[str]:
        wanted = plan.make(plan.draft(cells, composer))
        return [_plain(text) for text in executor.scripts(wanted)]

    def _plain(text: str) -> str:
        text = re.sub(re.escape(str(tmp_path)) + r"/runs/\.submissions/gapo-[0-9a-f]{8}", "LOGS", text)
        return re.sub(r"export PYTHONPATH=.*", "export PYTHONPATH=CODE", text).replace(sys.executable, "PYTHON")

    return of


def test_the_used_by_command_on_eight_gpus_of_80_gb(scripts):
    cells = [
        ("cluster=slurm", "algo=gapo_dapo", "backend.attention=flash_attention_2", model, tau, f"seed={seed}")
        for model in USED_BY[0]
        for tau in USED_BY[1]
        for seed in range(5)
    ]
    (script,) = scripts(*cells)
    grace = re.search(r"USR2@(\d+)", script)[1]
    assert script == SCRIPT.replace("GRACE", grace)
    assert 300 <= int(grace) <= 3600  # two steps, a validation and a checkpoint of 91 GB


def test_the_code_of_the_submission_comes_before_any_other(tmp_path):
    assert importing_from(tmp_path)["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)


BIG = ("cluster=slurm", "model=qwen_coder_7b", "algo=gapo_dapo")


@pytest.mark.parametrize(
    ("words", "lines", "absent"),
    [
        (["cluster.gpu_type=a100"], ["--gpus-per-node=a100:8"], ["--gres"]),
        (["cluster.gpu_option=gres"], ["--gres=gpu:8"], ["--gpus-per-node"]),
        (["cluster.gpu_option=gres", "cluster.gpu_type=a100"], ["--gres=gpu:a100:8"], ["--gpus-per-node"]),
        (["cluster.gpu_option=none", "+cluster.sbatch.exclusive=true"], ["--exclusive"], ["gpu"]),
        (["cluster.memory=0"], ["--mem=0"], ["MB"]),
        (["+cluster.sbatch.mem-per-cpu=8G"], ["--mem-per-cpu=8G"], ["--mem=", "MB"]),
        (["algo=grpo"], ["--mem=400000MB"], []),
        (["model=qwen_coder_14b"], ["--mem=600000MB"], []),
        (["model=qwen_coder_14b", "algo=grpo"], ["--mem=600000MB"], []),
        (["cluster.cpus_per_gpu=4"], ["--cpus-per-task=32"], ["64"]),
        (["+cluster.sbatch.cpus-per-task=48"], ["--cpus-per-task=48"], ["64"]),
        (["+cluster.sbatch.wckey=w"], ["--wckey=w"], ["submitit\n#"]),
        (["cluster.grace=1800"], ["--signal=USR2@1800"], []),
        (["model=nano", "backend=cpu", "scale=nano"], ["--cpus-per-task=4", "--mem=8000MB"], ["gpu", "gres"]),
        (["cluster.nodes=2"], ["--nodes=2", "--kill-on-bad-exit=1"], []),
    ],
)
def test_what_a_site_says_stands_in_the_script_once(scripts, words, lines, absent):
    (script,) = scripts((*BIG, *words))
    asked = "\n".join(line for line in script.splitlines() if line.startswith(("#SBATCH", "srun")))
    for line in lines:
        assert line in asked
    for text in absent:
        assert text not in asked.replace("gapo", "")
    options = re.findall(r"^#SBATCH --([\w-]+)", script, re.MULTILINE)
    assert len(options) == len(set(options))
    cores = set(re.findall(r"--cpus-per-task=(\d+)", script))
    assert len(cores) == 1 and script.count("--cpus-per-task") == 2  # sbatch's and srun's


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("+cluster.sbatch.output=x", "is decided here. Use the log of a job"),
        ("+cluster.sbatch.gres='gpu:2'", "Use cluster.gpu_option=gres"),
        ("+cluster.sbatch.ntasks-per-node=8", "cluster.nodes"),
        ("cluster.gpu_option=gpu", "must be one of gpus-per-node, gres, none"),
        ("cluster.grace=7200 cluster.hours=1", "is not less than the time limit"),
        ("ray_kwargs.ray_init.num_cpus=32", "a run books 34"),
        ("cluster.memory=-1", "must be a number in [0, inf)"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_submitted(composer, word, says):
    (run,) = plan.draft([(*BIG, *word.split())], composer)
    assert says in run.why


def test_runs_that_need_other_memory_are_another_array(scripts):
    assert len(scripts((*BIG, "algo=grpo"), BIG, (*BIG, "tau=0.9"))) == 2


def test_an_array_is_cut_at_what_the_cluster_allows(scripts, monkeypatch):
    cells = [(*BIG, f"seed={seed}") for seed in range(7)]
    monkeypatch.setattr(executor.slurm, "largest_array", lambda: 3)
    found = [re.findall(r"--array=(\S+)", script) for script in scripts(*cells)]
    assert found == [["0-2%3"], ["0-2%3"], []]
    # no more at a time than in one array
    found = [
        re.findall(r"--array=\S+%(\d+)", script) for script in scripts(*[(*c, "cluster.max_parallel=5") for c in cells])
    ]
    assert found == [["1"], ["2"], []]
    assert len(scripts(*[(*cell, "cluster.array_size=2") for cell in cells])) == 4


def test_variables_of_the_shell_do_not_reach_sbatch(monkeypatch):
    for name in ("SLURM_JOB_ID", "SBATCH_PARTITION", "SLURM_CONF", "SLURM_JWT", "SRUN_X", "HOME_OF_SLURM_"):
        monkeypatch.setenv(name, name)
    with hidden_from_sbatch(["SLURM_JWT"]):
        seen = {name for name in os.environ if "SLURM" in name or "SBATCH" in name or "SRUN" in name}
        assert seen == {"SLURM_CONF", "SLURM_JWT", "HOME_OF_SLURM_"}
    assert os.environ["SBATCH_PARTITION"] == "SBATCH_PARTITION"


def test_a_run_has_most_of_its_grace_to_save():
    assert patience(30) == 22.5 and patience(840) == 780 and patience(1800) == 1740


def test_a_script_with_a_container_asks_scontrol_itself(scripts):
    (script,) = scripts((*BIG, "cluster.container=[apptainer,exec,--nv,image.sif]"))
    assert "apptainer exec --nv image.sif PYTHON -u -m submitit.core._submit LOGS\n" in script
    assert script.rstrip().endswith("exit $code") and 'scontrol $(cat "$note.done")' in script


def test_grace_grows_with_the_step_and_submitit_counts_the_warning(composer):
    def grace(*words: str) -> float:
        (run,) = plan.make(plan.draft([(*BIG, *words)], composer)).runs
        return run.grace

    assert grace("data=git") > grace() >= 120
    for hours in (0.5, 1, 2, 4, 24):
        limit = hours * 3600
        # submitit's rule (job_environment.py): a warning after this time is one of the time limit
        assert limit - grace("data=git", f"cluster.hours={hours}") > min(0.8 * limit, limit - 600)
    (run,) = plan.draft([("cluster=slurm",)], composer)
    assert run.grace == 120
    assert Plan((run,)).runs[0].cluster.memory == 8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (BIG, "1 run asks SLURM for 1 node x 8 GPUs, 64 cores and 300 GB of memory a node, 24 h; warned "),
        ((*BIG, "cluster.memory=0"), "64 cores and all memory a node"),
        ((*BIG, "+cluster.sbatch.mem-per-cpu=8G"), "64 cores and mem-per-cpu=8G a node"),
        ((*BIG, "cluster.nodes=2", "cluster.hours=0.5"), "2 nodes x 8 GPUs"),
        (("cluster=slurm", "cluster.cpus=1"), "1 node, 1 core and 8 GB of memory a node, 24 h; warned 2 min before"),
    ],
)
def test_the_plan_says_what_is_asked_for(composer, words, says):
    (line,) = asked_of_slurm(plan.make(plan.draft([words], composer)))
    assert says in line


def test_a_plan_for_this_machine_asks_for_nothing(composer):
    assert asked_of_slurm(plan.make(plan.draft([()], composer))) == []


def test_the_stand_in_for_scontrol_notes_what_it_is_asked(tmp_path, monkeypatch):
    import subprocess

    stand_in = tmp_path / "scontrol"
    stand_in.write_text(outside_container.STAND_IN)
    stand_in.chmod(0o755)
    note = tmp_path / "note"
    env = {**os.environ, outside_container.NOTE: str(note)}
    subprocess.run([stand_in, "requeue", "12_3"], env=env, check=True)
    assert note.read_text() == "requeue 12_3\n"
