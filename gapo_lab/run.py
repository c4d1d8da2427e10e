"""The entry: `python -m gapo_lab.run model=nano algo=gapo_grpo tau=0.5 seed=0 data=micro`.

With `-m` a grid: its plan is shown, then what is missing of it is started (gapo_lab/launch). Every word and every
key of verl can be changed.
"""

from __future__ import annotations

import os
import sys
import traceback

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
from gapo_lab.errors import Interrupted, RunFailed, UserError
from gapo_lab.paths import CONF

INTERRUPTED = 130


def one_run(config: DictConfig) -> float | None:
    """One run of a composed configuration; returns its best ID exact match, which sweepers read."""
    from gapo_lab.planning.spec import make_spec
    from gapo_lab.planning.validation import check
    from gapo_lab.supervision import supervisor

    _not_a_grid(config)
    check(config)
    words = tuple(HydraConfig.get().overrides.task) if HydraConfig.initialized() else ()
    overrides = (*words, *search_path.as_words())
    summary = supervisor.run(make_spec(config, overrides), config)
    return summary.get("best/id/em")


def _not_a_grid(config: DictConfig) -> None:
    """Raise UserError where the words of a sweep came without -m: its axes would not be read."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.RUN:
        return
    if HydraConfig.get().sweeper.get("params") or "search" in config:
        words = " ".join(HydraConfig.get().overrides.task)
        raise UserError(f"{words}: is a sweep, not one run: python -m gapo_lab.run -m {words}")


def unforeseen(error: Exception) -> str:
    """One line for an error that no check has foreseen."""
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said:.300} (not foreseen; HYDRA_FULL_ERROR=1 shows where)"


def main() -> int:
    """Parse the command line and run. Exit code 0; 1 failed run; 2 user's mistake; 130 interrupted."""
    compose.register()
    hydra_plugin.register()
    # one line of ours instead of Hydra's; HYDRA_FULL_ERROR=1 set by the user shows the traceback as well
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    codes: list[int] = []

    def tell(error: Exception, text: str, code: int) -> None:
        if wants_traceback:
            traceback.print_exc()
        Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
        codes.append(code)

    def task(config: DictConfig) -> float | None:
        try:
            return one_run(config)
        except UserError as error:
            tell(error, str(error), 2)
        except RunFailed as error:
            tell(error, str(error), 1)
        except Interrupted as error:
            tell(error, str(error), INTERRUPTED)
            raise KeyboardInterrupt from error  # the rest of a grid is not started
        except (HydraException, OmegaConfBaseException):
            raise
        except Exception as error:  # noqa: BLE001 - a person gets one line, and the word that shows the rest
            tell(error, unforeseen(error), 1)

    try:
        asked, more = get_args_parser().parse_known_args()
        search_path.use([*asked.overrides, *more], asked.config_dir)
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(task)()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Interrupted as error:
        tell(error, str(error), INTERRUPTED)
    except RunFailed as error:
        tell(error, str(error), 1)
    except UserError as error:
        tell(error, str(error), 2)
    except (HydraException, OmegaConfBaseException) as error:
        tell(error, compose.explain(error), 2)
    except Exception as error:  # noqa: BLE001
        tell(error, unforeseen(error), 1)
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
