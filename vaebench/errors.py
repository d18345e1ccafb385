"""Errors that are the user's to mend."""


class UserError(Exception):
    """Bad input. The message is one line that says what to do; the runner prints it and exits 2."""
