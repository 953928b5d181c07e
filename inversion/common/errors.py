"""The base class of all errors whose text is for the user."""

from __future__ import annotations


class UserError(Exception):
    """A request that cannot be fulfilled. The text is one line for the user: what is wrong, then what to do.

    The page shows it as a message; the command line prints it on stderr and exits with status 2. Each package has its
    own subclass. Code that only reports errors catches this class.
    """
