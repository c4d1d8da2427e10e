"""The entry point: `python -m gapo_lab.run model=nano algo=gapo_grpo tau=0.5 seed=0 data=micro`.

Without `-m` it carries out one run. With `-m` the arguments define a grid: its plan is shown, and the runs that are
missing are started. Every key of verl can be overridden.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from gapo_lab import hydra_plugin
from gapo_lab.config import compose, repository, resolvers, search_path, sweep_grid
from gapo_lab.errors import FAILED, INTERRUPTED, USER_ERROR, Interrupted, RunFailed, UserError
from gapo_lab.paths import CONF
from gapo_lab.runs import measures
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import type_and_line

# What may be on the command line of one run; anything else is for Hydra: -m, --help, --cfg job.
PLAIN = ("overrides", "config_dir", "run")


def one_run(overrides: Sequence[str], wait: bool = False) -> float | None:
    """Carry out one run. Return its best value on the ID test set for sweepers; None if it goes on elsewhere."""
    from gapo_lab.launch import executor, foreground

    console = Console(width=None if Console().is_terminal else 120)
    summary = foreground.run(executor.plan_of_one(overrides), console, wait)
    return measures.best(summary)


def is_plain(asked: argparse.Namespace, others: Sequence[str]) -> bool:
    """Return whether a command line is one run that we compose ourselves, with no argument for Hydra."""
    to_hydra = (word.lstrip("+~").startswith(("hydra.", "hydra/")) for word in asked.overrides)
    return not (others or any(to_hydra) or any(v for name, v in vars(asked).items() if name not in PLAIN))


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error ends in."""
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return INTERRUPTED
    return USER_ERROR if isinstance(error, (UserError, HydraException, OmegaConfBaseException)) else FAILED


def message(error: BaseException, words: Sequence[str] = ()) -> str:
    """Return the message for an error. For one of Hydra's errors it has everything that is wrong with the overrides."""
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return str(compose.refused(error, [word for word in words if _is_one_value(word)]))
    if isinstance(error, (UserError, RunFailed, Interrupted, KeyboardInterrupt)):
        return str(error)
    return f"{type_and_line(error, 300)} (not foreseen; HYDRA_FULL_ERROR=1 shows where)"


def _is_one_value(word: str) -> bool:
    try:
        return not sweep_grid.parse(word).is_sweep_override()
    except UserError:
        return True


def main() -> int:
    """Parse the command line and run. Exit code 0; 1 failed run; 2 user's mistake; 130 interrupted."""
    resolvers.register()
    hydra_plugin.register()
    # one line of ours instead of Hydra's; HYDRA_FULL_ERROR=1 set by the user shows the traceback as well
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    codes: list[int] = [0]
    overrides: list[str] = []

    def tell(error: BaseException) -> None:
        if wants_traceback:
            traceback.print_exception(error)
        if text := message(error, overrides):
            with suppress(OSError):  # the terminal may be gone
                say(Console(stderr=True), text, markup=False)
        codes.append(exit_code(error))

    def task(_config: DictConfig) -> float | None:
        asked = HydraConfig.get()
        try:
            return one_run(asked.overrides.task, wait=asked.mode == RunMode.MULTIRUN)
        except Exception as error:  # Hydra would print a line of its own before ours
            tell(error)
            if isinstance(error, Interrupted):
                raise KeyboardInterrupt from error  # the rest of a sweep is not started
            return None

    try:
        asked, others = get_args_parser().parse_known_args()
        if asked.config_name or asked.config_path:
            raise UserError(
                "--config-name, --config-path: the configuration is always conf/config.yaml. Put files of your own "
                "into a "
                "folder of config groups and name it: --config-dir FOLDER"
            )
        overrides = search_path.use([*asked.overrides, *others], asked.config_dir)
        if is_plain(asked, others):
            one_run(overrides)
        else:
            with repository.for_hydra():
                hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(task)()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a person gets one line
        tell(error)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
