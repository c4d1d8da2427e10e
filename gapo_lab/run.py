"""The entry: `python -m gapo_lab.run model=nano algo=gapo_grpo tau=0.5 seed=0 data=micro`.

With `-m` a grid: its plan is shown, then what is missing of it is started (gapo_lab/launch). Every word and every
key of verl can be changed.
"""

from __future__ import annotations

import os
import sys
import traceback
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
from gapo_lab.config import compose, search_path
from gapo_lab.errors import FAILED, INTERRUPTED, USER_ERROR, Interrupted, RunFailed, UserError
from gapo_lab.paths import CONF


def one_run(config: DictConfig) -> float | None:
    """One run of the configuration that Hydra has composed; returns its best ID exact match, which sweepers read."""
    from gapo_lab.launch import executor, foreground

    hydra_config = HydraConfig.get()
    words = tuple(hydra_config.overrides.task)
    alone = hydra_config.mode == RunMode.RUN
    if alone and (hydra_config.sweeper.get("params") or "search" in config):
        said = " ".join(words)
        raise UserError(f"{said}: is a sweep, not one run: python -m gapo_lab.run -m {said}")
    console = Console()
    summary = foreground.run(executor.plan_of_one(words, config), console, wait=not alone)
    return summary.get("best/id/em")


def exit_code(error: BaseException) -> int:
    """The exit code that an error ends in."""
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return INTERRUPTED
    return USER_ERROR if isinstance(error, (UserError, HydraException, OmegaConfBaseException)) else FAILED


def message(error: BaseException) -> str:
    """The line that a person reads of an error."""
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return compose.explain(error)
    if isinstance(error, (UserError, RunFailed, Interrupted, KeyboardInterrupt)):
        return str(error)
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said:.300} (not foreseen; HYDRA_FULL_ERROR=1 shows where)"


def main() -> int:
    """Parse the command line and run. Exit code 0; 1 failed run; 2 user's mistake; 130 interrupted."""
    compose.register()
    hydra_plugin.register()
    # one line of ours instead of Hydra's; HYDRA_FULL_ERROR=1 set by the user shows the traceback as well
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    codes = [0]

    def tell(error: BaseException) -> None:
        if wants_traceback:
            traceback.print_exception(error)
        if text := message(error):
            with suppress(OSError):  # the terminal may be gone
                Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
        codes.append(exit_code(error))

    def task(config: DictConfig) -> float | None:
        try:
            return one_run(config)
        except Exception as error:  # Hydra would print a line of its own before ours
            tell(error)
            if isinstance(error, Interrupted):
                raise KeyboardInterrupt from error  # the rest of a sweep is not started

    try:
        asked, more = get_args_parser().parse_known_args()
        search_path.use([*asked.overrides, *more], asked.config_dir)
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(task)()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a person gets one line
        tell(error)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
