"""A translation as the run of a job: one pass of an encoder, whose pictures are the report of the run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inversion.analysis import Report, Shown
from inversion.common.rows import Row
from inversion.methods.run import versions
from inversion.serving.plans import options_of
from inversion.serving.runs import Event, Finished, Ready, Request, picture_digest
from inversion.translations import TranslationOptions
from inversion.translations.requests import TranslateRequest, picture_titles

if TYPE_CHECKING:
    from inversion.model import Model


def translated(request: Request, model: Model) -> Iterator[Event]:
    """The events of a translation: `Ready` with the encoder's input, then `Finished` with the main result.

    The report holds the encoder's input and all pictures. Raises UserError.
    """
    began, options = time.perf_counter(), options_of(request)
    made = TranslateRequest(request.model, request.translation, request.picture, options, request.crop)(model)
    yield Ready(made.read, made.read)
    pictures = [made.read, *made.pictures]
    shown = [Shown(title, "", one) for title, one in zip(picture_titles(len(pictures)), pictures, strict=True)]
    row = _row(request, model, options, time.perf_counter() - began)
    yield Finished(made.pictures[0], row, {}, made.codes[0], None, "", Report(shown))


def _row(request: Request, model: Model, options: TranslationOptions, seconds: float) -> Row:
    """Everything that is needed to repeat the translation, as plain JSON."""
    return {
        "translation": request.translation,
        "model": request.model,
        "domain": model.domain,
        "licence": model.licence,
        "sha256": model.sha256,
        "seed": options.seed,
        "variations": options.variations,
        "alpha": options.alpha,
        "mix_layers": options.mix_layers,
        "seconds": round(seconds, 3),
        "picture": picture_digest(request.picture),
        **({"picture_name": request.name} if request.name else {}),
        "crop": {"how": request.crop.how, "quad": request.crop.quad, "note": request.crop.note},
        "notes": list(request.notes),
        "versions": versions(),
    }
