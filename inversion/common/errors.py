"""The base class of all errors whose text is for the user."""

from __future__ import annotations


class UserError(Exception):
    """Something cannot be done as asked. The text is one line in the user's words: what is wrong and what to do.

    The page shows it as a message, the command line prints it on stderr and exits with status 2. Each room has its own
    subclass, so that code can tell them apart; whoever only has to report one catches this class.
    """
