"""The entry: `python -m gapo_lab.run model=nano algo=gapo_grpo tau=0.5 seed=0 data=micro`.

With `-m` Hydra runs a grid, one run after the other. Every word and every key of verl can be changed.
"""

from __future__ import annotations

import os
import sys
import traceback

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from gapo_lab import compose
from gapo_lab.errors import RunFailed, UserError

INTERRUPTED = 130


def one_run(config: DictConfig) -> float | None:
    """One run of a composed configuration; returns its best ID exact match, which sweepers read."""
    from gapo_lab import supervise
    from gapo_lab.checks import check
    from gapo_lab.spec import make_spec

    check(config)
    overrides = tuple(HydraConfig.get().overrides.task) if HydraConfig.initialized() else ()
    summary = supervise.run(make_spec(config, overrides), config)
    return summary.get("best/id/em")


def main() -> int:
    """Parse the command line and run. Exit code 0; 1 failed run; 2 user's mistake; 130 interrupted."""
    from gapo_lab.supervise import Interrupted

    compose.register()
    # our one line instead of Hydra's; HYDRA_FULL_ERROR=1 set by the user shows the traceback as well
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(config_path=str(compose.CONF), config_name="config", version_base="1.3")(one_run)()
        return 0
    except (UserError, RunFailed, Interrupted, HydraException, OmegaConfBaseException) as error:
        if wants_traceback:
            traceback.print_exc()
        code = {RunFailed: 1, Interrupted: INTERRUPTED}.get(type(error), 2)
        text = str(error) if code != 2 or isinstance(error, UserError) else compose.explain(error)
        Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
        return code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
