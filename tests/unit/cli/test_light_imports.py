"""What plans, shows and examines loads no heavy library: these commands answer at once."""

from __future__ import annotations

import json
import subprocess
import sys

from lab import REPO

HEAVY = ("torch", "verl", "ray", "mlflow", "transformers")
# What a process does, one after the other, and what it must not have loaded by then.
STEPS = (
    (
        (*HEAVY, "pandas", "numpy"),
        "import gapo_lab.cli.runs, gapo_lab.runs.folder, gapo_lab.runs.provenance, gapo_lab.tracking.live_copy",
    ),
    (
        (*HEAVY, "submitit"),
        (
            "from gapo_lab.cli import runs, sweeps\n"
            "from gapo_lab.config.sweep_grid import make_grid\n"
            "from gapo_lab.launch import executor\n"
            "executor.plan_of(make_grid(['algo=grpo,dapo']).cells())"
        ),
    ),
    (
        HEAVY,
        (
            "import gapo_lab.run, gapo_lab.supervision.supervisor\n"
            "from gapo_lab.config.compose import compose_run\n"
            "from gapo_lab.planning import spec, validation\n"
            "config = compose_run([])\n"
            "validation.check(config)\n"
            "spec.make_spec(config)"
        ),
    ),
    # of a model that is not here no tokenizer is read
    (HEAVY, "from gapo_lab.cli import runs\nruns.main(['doctor', 'model=qwen_coder_7b', 'cluster=slurm'])"),
)
PROGRAM = """
import json, sys
for heavy, code in json.loads(sys.argv[1]):
    exec(code, {})
    if found := [name for name in heavy if name in sys.modules]:
        sys.exit(f"{found} after: {code}")
"""


def test_nothing_heavy_is_imported(tmp_path):
    env = {"PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1", "PATH": "/nowhere", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(STEPS)],
        cwd=tmp_path,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model qwen_coder_7b" in done.stdout, "the last step has come to its end"
