"""`python train_methods.py FOLDER METHOD...`: train each method with the real trainer, one after the other.

One process and one Ray cluster for all of them, because starting costs far more than two steps. A method may bring
words of its own after colons: `group_aware:data=lists`. The metrics of each go to FOLDER/METHOD.json.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import time
import traceback
from pathlib import Path

from lab import TINY
from omegaconf import OmegaConf

from gapo_lab.config.compose import compose_run
from gapo_lab.planning.spec import make_spec
from gapo_lab.planning.validation import check
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training.recorder import Recorder
from gapo_lab.training.train import environment, prepare_rows, ready, train_in_cluster, write_down
from gapo_lab.utils.scratch import scratch_folder

FEW = (
    *TINY,
    "data.id_size=4",
    "data.ood_size=4",
    "trainer.total_training_steps=2",
    "trainer.save_freq=-1",
    "trainer.test_freq=-1",
    "trainer.val_before_train=false",
    "trainer.n_gpus_per_node=1",
)


def main(where: Path, methods: list[str]) -> None:
    runs = {}
    for method in methods:
        name, *words = method.split(":")
        composed = compose_run([*FEW, f"algo={name}", f"run_root={where / name}", *words])
        check(composed)
        config = OmegaConf.create(OmegaConf.to_container(composed, resolve=True))
        folder = RunFolder.open(where / name, make_spec(composed).key, make_spec(composed).as_dict())
        runs[name] = (config, folder, folder.start_attempt())
    with scratch_folder() as scratch:
        first, _, attempt = next(iter(runs.values()))
        os.environ.update(environment(first, attempt, scratch))
        train_all(runs, where, scratch)


def train_all(runs: dict, where: Path, scratch: Path) -> None:
    config, folder, attempt = next(iter(runs.values()))
    with ready(config, scratch, Recorder(folder, attempt)):
        for name, (config, folder, attempt) in runs.items():
            faulthandler.dump_traceback_later(120)  # tells where a method hangs
            try:
                prepared = prepare_rows(config)
                write_down(prepared, folder)
                train_in_cluster(config, prepared, folder, attempt, Recorder(folder, attempt))
                said = {"metrics": {str(k): v for k, v in folder.merged_metrics().items()}}
            except Exception:  # noqa: BLE001  told, and the others still train
                said = {"error": traceback.format_exc()}
            (where / f"{name}.json").write_text(json.dumps(said))
            end_workers()


def end_workers() -> None:
    """End the actors of the run that is over and give its places back."""
    import ray
    from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

    gc.collect()
    # until the names are free: the next run would find an actor that is about to end
    while named := ray.util.list_named_actors(all_namespaces=True):
        for known in named:
            try:
                ray.kill(ray.get_actor(**known))
            except ValueError:
                continue  # it has just ended by itself
        time.sleep(0.05)
    for number, group in placement_group_table().items():
        if group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(number))))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2:])
