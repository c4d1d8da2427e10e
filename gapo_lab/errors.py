"""Errors that end a command with one line, and exit codes. A message says what is wrong and what to do."""

# Exit code of a job that was asked to stop and has saved (EX_TEMPFAIL).
STOPPED_ITSELF = 75


class UserError(Exception):
    """A mistake in what was asked for. Shown as one line, without a traceback; exit code 2."""


class RunFailed(Exception):
    """A run that started and ended badly. The message is what the terminal shows; exit code 1."""


class Interrupted(Exception):
    """SIGTERM or Ctrl-C: end the job, leave a run that can go on."""
