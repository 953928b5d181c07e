"""Requests of plain data, run on one device: the lane, and the session that shares it among many callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inversion.common.lazy import attributes

if TYPE_CHECKING:
    from inversion.serving.jobs import Busy, JobView, RunView, SessionError, StoredResult, UnknownJob
    from inversion.serving.lane import Lane
    from inversion.serving.limits import Limits
    from inversion.serving.runs import LaneError, Request
    from inversion.serving.session import Session, Status

# A script that only runs requests does not import the session, and the command line's help imports neither.
__getattr__ = attributes(
    __name__,
    {
        "jobs": "Busy JobView RunView SessionError StoredResult UnknownJob",
        "lane": "Lane LaneError Request",
        "limits": "Limits",
        "session": "Session Status",
    },
)

__all__ = [
    "Busy",
    "JobView",
    "Lane",
    "LaneError",
    "Limits",
    "Request",
    "RunView",
    "Session",
    "SessionError",
    "Status",
    "StoredResult",
    "UnknownJob",
]
