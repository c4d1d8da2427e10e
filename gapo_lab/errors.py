"""The three ways in which a command ends badly, and the exit codes of all ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# exit codes
FAILED = 1
USER_ERROR = 2
INTERRUPTED = 130
# of a training job that was told to stop and has saved (EX_TEMPFAIL)
STOPPED = 75
# of one that has saved by itself, to be resumed at once by the next attempt (`scale.resume_after`)
RESUME = 76


class UserError(Exception):
    """A mistake in what was asked for. Shown as one line, without a traceback; exit code 2."""


class RefusedWords(UserError):
    """Words of a command line that no configuration takes. ``rest``: those that are left without them,
    () where it is not known which are wrong."""

    def __init__(self, lines: Iterable[str], rest: Sequence[str]) -> None:
        super().__init__("\n".join(dict.fromkeys(lines)))
        self.rest = tuple(rest)


class RunFailed(Exception):
    """A run that started and ended badly. The message is what the terminal shows; exit code 1."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM. What was running has been ended and can be resumed; exit code 130."""
