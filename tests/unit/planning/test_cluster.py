"""The cluster node of a configuration, typed: no setting of it is ignored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.launch import slurm
from gapo_lab.launch.submission import Submission
from gapo_lab.paths import IMPORT_ROOT
from gapo_lab.planning.cluster import KEYS, ClusterConfig
from gapo_lab.planning.plan import Action, draft


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


@pytest.mark.parametrize("name", ["local", "slurm", "dev", "example"])
def test_it_has_the_settings_of_the_shipped_files(composer, name):
    settings = composer.compose([f"cluster={name}"]).resolved
    cluster = ClusterConfig.of(settings)
    found = {key.split(".")[1] for key in settings if key.startswith("cluster.")}
    assert found <= KEYS and cluster.is_local == (name == "local")
    assert {key: settings[f"cluster.{key}"] for key in ("max_parallel", "nodes")} == {
        "max_parallel": cluster.max_parallel,
        "nodes": cluster.nodes,
    }
    if name != "local":
        assert found == KEYS - {"warm"}  # a job of SLURM has nobody to start from


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["cluster=slurm", "+cluster.partiton=gpu"],
            "cluster.partiton: no such setting (did you mean cluster.partition?)",
        ),
        (["cluster=slurm", "+cluster.exclude=n7"], "cluster.exclude: no such setting"),
        (["cluster.warm=soon"], "cluster.warm=soon: must be true or false"),
        (["cluster=slurm", "cluster.name=pbs"], "cluster.name=pbs: must be local or slurm"),
    ],
)
def test_a_setting_that_there_is_not_is_no_setting(composer, overrides, says):
    (run,) = draft([tuple(overrides)], composer)
    assert run.action is Action.INVALID and says in run.why


def test_a_slip_in_a_sites_own_file_is_told(tmp_path, monkeypatch):
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "site.yaml").write_text("defaults: [slurm, _self_]\npartiton: gpu\n")
    monkeypatch.chdir(tmp_path)
    (run,) = draft([("cluster=site",)])
    assert run.action is Action.INVALID and "did you mean cluster.partition?" in run.why


def test_a_submission_is_read_as_it_was_written(tmp_path, composer):
    words = [
        "cluster=slurm",
        "cluster.setup=[module load x]",
        "cluster.container=[apptainer, exec]",
        "cluster.memory=64",
    ]
    cluster = ClusterConfig.of(composer.compose([*words, "+cluster.sbatch.exclude=n7"]).resolved)
    submission = Submission.new(tmp_path, ["k"], cluster=cluster, code=Path(IMPORT_ROOT), study="s")
    submission.write()
    assert Submission.read(submission.path) == submission
    asked = slurm.parameters(submission)
    assert asked["setup"][0] == "module load x" and asked["mem"] == "64000MB"
    assert asked["additional_parameters"]["exclude"] == "n7" and slurm.python(cluster)[:2] == ["apptainer", "exec"]
    # of an older version
    raw = json.loads(submission.path.read_text())
    del raw["cluster"]["ray_patience"]
    submission.path.write_text(json.dumps({**raw, "cluster": {**raw["cluster"], "gone": 1}}))
    assert Submission.read(submission.path) == submission


def test_the_defaults_are_those_of_this_machine(composer):
    assert ClusterConfig.of(composer.compose([]).resolved) == ClusterConfig()
    with pytest.raises(UserError, match="cluster.name=None"):
        ClusterConfig.of({})
