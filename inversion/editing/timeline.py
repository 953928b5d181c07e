"""Edits along a timeline: the strengths of every frame between key states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inversion.common.settings import SettingError

MAX_ANIMATION = 240  # frames


def timeline(states: Sequence[Mapping[str, float]], frames: int) -> list[dict[str, float]]:
    """The strengths by direction of each frame: straight lines between the key states, which are frames themselves.

    The first and the last frame are the first and the last state; a direction that a state lacks is at 0 there. Raises
    SettingError for fewer frames than states, and for more than MAX_ANIMATION.
    """
    least = max(2, len(states))
    if not states or not least <= frames <= MAX_ANIMATION:
        raise SettingError(f"The animation needs {least} to {MAX_ANIMATION} frames, not {frames}.")
    names = list(dict.fromkeys(name for state in states for name in state))
    keys = [round(i * (frames - 1) / max(1, len(states) - 1)) for i in range(len(states))]
    moments: list[dict[str, float]] = []
    for frame in range(frames):
        after = next((i for i, key in enumerate(keys) if key >= frame), len(keys) - 1)
        before = max(0, after - 1)
        span = keys[after] - keys[before]
        part = (frame - keys[before]) / span if span else 0.0
        a, b = states[before], states[after]
        moments.append({name: (1 - part) * a.get(name, 0.0) + part * b.get(name, 0.0) for name in names})
    return moments
