"""Moving pictures of edits: a result along a path of key states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inversion.editing.timeline import timeline

if TYPE_CHECKING:
    import numpy as np

    from inversion.editing.requests import Edited, EditOptions

State = Mapping[str, float]  # strengths by direction


def path_of(states: Sequence[State]) -> list[State]:
    """The key states of an animation: a single state is reached from no edit, and left again."""
    return [{}, *states, {}] if len(states) == 1 else list(states)


def animated(
    move: Callable[[EditOptions], Edited], options: EditOptions, states: Sequence[State], frames: int
) -> Iterator[np.ndarray]:
    """Pictures uint8 (R, R, 3) of a result along key states, one at a time, see `timeline`.

    move: edits the result. options: of all frames; a limit of the identity shrinks each key state, so that the motion
    stays even. Raises SettingError for a wrong number of frames.
    """
    timeline(states, frames)
    kept = [_allowed(move, replace(options, moves=state)) for state in states]
    for moves in timeline(kept, frames):
        yield move(replace(options, moves=moves, keep_identity=None)).picture


def _allowed(move: Callable[[EditOptions], Edited], options: EditOptions) -> State:
    """The moves, shrunk if the identity is limited."""
    if options.keep_identity is None or not any(options.moves.values()):
        return options.moves
    return options.part(move(options).factor).moves
