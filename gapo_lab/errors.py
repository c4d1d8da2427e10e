"""Errors a user can mend: one line that names the value and the remedy."""


class UserError(Exception):
    """A mistake in what was asked for. Shown as one line, without a traceback; exit code 2."""


class RunFailed(Exception):
    """A run that started and ended badly. The message is what the terminal shows; exit code 1."""
