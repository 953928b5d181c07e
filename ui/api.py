"""Named endpoints for scripts: one a tab, and /compare. Parameter names are public."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from inversion.align import How
from inversion.common.errors import UserError
from inversion.serving.catalogue import DEFAULT_MODEL
from inversion.serving.session import JobView
from inversion.translations import TRANSLATIONS
from ui.parts import export, inputs
from ui.parts.moves import Change, read, recipe
from ui.parts.plots import Tile, sheet
from ui.parts.settings import requests, shared
from ui.parts.uploads import picture_field
from ui.parts.workbench import LANE
from ui.tab import Desk, Tab
from ui.tabs.sketch import MAX_PICTURES, captioned, options_of, translated

FIRST = ["w", "wplus"]
HOLES = ("mask", "centre", "random")
ALIGN = ("auto", "face", "centre")
Answer = tuple[list[dict[str, Any]], list[tuple[str | None, str]], str | None]

COMMON = """
    picture: the file, PNG, JPEG or WebP.
    methods: keys such as "w", "wplus", "mganprior", "pti", or stages joined by +.
    model: name of the generator. seed: whole number. budget: seconds that each method may take.
    settings: {"stage.field": value}, given to the methods that have the stage.
    measured: the picture already is what the task measures (grey, small, holed); then nothing can be scored.
    align: auto (the face, for models of aligned faces; else the centre), face or centre.

Every event, and the last one, is: rows (one object a method, with its figures, settings and state), pictures (a list of
pictures with captions, in the order of the methods that have one), and, in the end, a comparison sheet.
"""


def endpoints(desk: Desk, tabs: Mapping[str, type[Tab]]) -> None:
    """Register the endpoints, on components that no page shows."""
    with gr.Row(visible=False):
        parts, button = _Parts(desk), gr.Button()
        for name, function in _functions(desk).items():
            if name not in ("compare", "sketch") and name not in tabs:
                continue
            names = function.__code__.co_varnames[: function.__code__.co_argcount]
            button.click(
                function,
                [parts.inputs[n] for n in names],
                [parts.rows, parts.pictures, parts.sheet],
                api_name=name,
                api_description=f"{function.__doc__}{'' if name == 'sketch' else COMMON}",
                **LANE,
            )


class _Parts:
    """The components that give the endpoints' parameters their types and defaults."""

    def __init__(self, desk: Desk) -> None:
        self.inputs: dict[str, gr.components.Component] = {
            "picture": picture_field("picture", "api-picture"),
            "mask": picture_field("mask", "api-mask"),
            "task": gr.Dropdown(list(desk.tasks), value="reconstruct", label="task"),
            "methods": gr.Dropdown(
                list(desk.methods), value=FIRST, multiselect=True, allow_custom_value=True, label="methods"
            ),
            "model": gr.Dropdown(list(desk.models), value=DEFAULT_MODEL, label="model"),
            "seed": gr.Number(0, label="seed"),
            "settings": gr.JSON({}, label="settings"),
            "budget": gr.Number(min(120, desk.session.budget), label="budget"),
            "measured": gr.Checkbox(False, label="measured"),
            "factor": gr.Number(4, label="factor"),
            "hole": gr.Dropdown(list(HOLES), value="mask", label="hole"),
            "align": gr.Dropdown(list(ALIGN), value="auto", label="align"),
            "moves": gr.JSON({}, label="moves"),
            "layers": gr.Textbox("", label="layers"),
            "keep": gr.Dropdown([], value=[], multiselect=True, allow_custom_value=True, label="keep"),
            "kind": gr.Dropdown(list(TRANSLATIONS), value="sketch", label="kind"),
            "variations": gr.Number(1, label="variations"),
            "alpha": gr.Number(1, label="alpha"),
            "mix_layers": gr.Number(None, label="mix_layers"),
        }
        self.rows = gr.JSON(label="rows")
        self.pictures = gr.Gallery(format="png", label="pictures")
        self.sheet = gr.Image(format="png", type="filepath", label="sheet")


def _functions(desk: Desk) -> dict[str, Callable[..., Iterator[Answer]]]:
    """The endpoints by name. What they share stands in COMMON."""

    def reconstruct(
        picture: str,
        methods: list[str],
        model: str,
        seed: float,
        settings: dict[str, Any],
        budget: float,
        align: How = "auto",
    ) -> Iterator[Answer]:
        """Find the code whose picture is the given one."""
        yield from _run(desk, "reconstruct", picture, methods, model, seed, settings, budget, align=align)

    def colorize(
        picture: str,
        methods: list[str],
        model: str,
        seed: float,
        settings: dict[str, Any],
        budget: float,
        measured: bool,
        align: How = "auto",
    ) -> Iterator[Answer]:
        """Give a grey picture its colours; its luminance stays."""
        yield from _run(desk, "colorize", picture, methods, model, seed, settings, budget, measured, align=align)

    def superres(
        picture: str,
        methods: list[str],
        model: str,
        seed: float,
        settings: dict[str, Any],
        budget: float,
        measured: bool,
        factor: float,
        align: How = "auto",
    ) -> Iterator[Answer]:
        """Enlarge a small picture `factor` (2 to 64) times."""
        common = (picture, methods, model, seed, settings, budget, measured)
        yield from _run(desk, "superres", *common, factor=factor, align=align)

    def inpaint(
        picture: str,
        methods: list[str],
        model: str,
        seed: float,
        settings: dict[str, Any],
        budget: float,
        measured: bool,
        mask: str | None = None,
        hole: str = "mask",
        align: How = "auto",
    ) -> Iterator[Answer]:
        """Fill the hole. hole: mask (then white marks it in the file `mask`), centre or random."""
        common = (picture, methods, model, seed, settings, budget, measured)
        yield from _run(desk, "inpaint", *common, mask=mask, hole=hole, align=align)

    def compare(
        picture: str,
        task: str,
        methods: list[str],
        model: str,
        seed: float,
        settings: dict[str, Any],
        budget: float,
        measured: bool,
        factor: float,
        mask: str | None = None,
        hole: str = "mask",
        align: How = "auto",
    ) -> Iterator[Answer]:
        """Run several methods on any of the tasks."""
        common = (picture, methods, model, seed, settings, budget, measured)
        yield from _run(desk, task, *common, factor, mask, hole, align)

    def edit(
        picture: str,
        methods: list[str],
        model: str,
        seed: float,
        settings: dict[str, Any],
        budget: float,
        moves: dict[str, float],
        layers: str = "",
        keep: list[str] | None = None,
        align: How = "auto",
    ) -> Iterator[Answer]:
        """Invert the picture, then move every result along directions; the last event has the edited pictures.

        moves: {"yaw": 1.5}, in standard deviations of random codes. layers: first and last style that is moved, as
        "0-5"; "": all. keep: attributes that the edit is to leave alone.
        """
        with inputs.explained():
            change = read(desk.session.edits.directions(model), moves, layers, keep)
            if not change.moves:
                raise inputs.InputError('Say what to edit: moves such as {"yaw": 1.5}.')
        yield from _run(
            desk, "reconstruct", picture, methods, model, seed, settings, budget, align=align, change=change
        )

    def sketch(
        picture: str,
        kind: str,
        model: str,
        seed: float,
        variations: float,
        alpha: float,
        mix_layers: float | None = None,
        align: How = "auto",
    ) -> Iterator[Answer]:
        """Make pictures of a drawing, of a label map, or of a face that looks aside, in one pass of an encoder.

        picture: the file, PNG, JPEG or WebP. kind: sketch, map, frontalize or toonify. model: name of the generator.
        variations: 1 to 10 pictures, the encoder's own and others whose fine styles are random. alpha: 0 to 1, how far
        those go. mix_layers: the first layer in which they differ. align: of a face, as for inversion.

        The event is: rows (one object), pictures (what the encoder reads, then what it makes), a sheet of them.
        """
        yield from _drawn(desk, picture, kind, model, seed, variations, alpha, mix_layers, align)

    return {f.__name__: f for f in (reconstruct, colorize, superres, inpaint, compare, edit, sketch)}


def _run(
    desk: Desk,
    task: str,
    picture: str,
    methods: list[str],
    model: str,
    seed: float,
    settings: dict[str, Any] | None,
    budget: float,
    measured: bool = False,
    factor: float = 4,
    mask: str | None = None,
    hole: str = "mask",
    align: How = "auto",
    change: Change | None = None,
) -> Iterator[Answer]:
    """Submit one request a method and stream what comes of them; in the end, if told so, edited by `change`."""
    with inputs.explained():
        whole_seed = inputs.whole(seed, "seed")
        fields: dict[str, Any] = {"picture": inputs.picture(picture)}
        fields["crop"] = desk.session.crop(fields["picture"], model, align)
        if task == "superres":
            fields["inputs"] = {"factor": inputs.whole(factor, "factor", 2, 64)}
        if task == "inpaint":
            nothing = np.zeros(fields["picture"].shape[:2], np.uint8)
            kind = "uploaded" if hole == "mask" else hole
            fields["inputs"] = {"mask": inputs.hole(kind, nothing, mask, whole_seed, fields["crop"].quad)}
        chosen = list(dict.fromkeys(methods or []))
        if not isinstance(settings or {}, Mapping):
            raise inputs.InputError('settings must be an object such as {"wplus.steps": 100}.')
        pairs = shared(desk.session, chosen, settings or {})
        limit = inputs.number(budget, "budget", 1, desk.session.budget)
        common = {"model": model, "seed": whole_seed, "measured": measured, "budget": limit}
        key = desk.session.submit(requests(task, pairs, {**fields, **common}))
    with tempfile.TemporaryDirectory() as folder:
        shown = export.Shown(folder)
        try:
            for view in desk.session.follow(key, every=0.5):
                pictures = [
                    (shown.path(str(i), run.image), run.label)
                    for i, run in enumerate(view.runs)
                    if run.image is not None
                ]
                if view.over and change is not None:
                    yield _edited(desk, view, change, shown)
                    return
                files = export.export(view, Path(folder)) if view.over else None
                yield export.rows(view), pictures, None if files is None else str(files.sheet)
        except GeneratorExit:  # a page can come back to its job, a script cannot
            desk.session.cancel(key)
            raise


def _edited(desk: Desk, view: JobView, change: Change, shown: export.Shown) -> Answer:
    """Rows with the edit's figures, edited pictures, and a sheet of them beside the inverted ones."""
    rows, pictures, tiles = export.rows(view), [], []
    for i, run in enumerate(view.runs):
        if run.image is None:
            continue
        try:
            edited = desk.session.edits.move(view.key, i, change.moves, change.layers, change.keep)
        except UserError as error:
            rows[i] |= {"state": "failed", "message": str(error)}
            continue
        rows[i]["edit"] = recipe(change, edited)
        pictures.append((shown.path(f"edited-{i}", edited.picture), run.label))
        tiles += [Tile(run.label, "inverted", run.image), Tile(run.label, "edited", edited.picture)]
    return rows, pictures, _sheet(tiles, shown)


def _drawn(
    desk: Desk,
    picture: str,
    kind: str,
    model: str,
    seed: float,
    variations: float,
    alpha: float,
    mix_layers: float | None,
    align: How,
) -> Iterator[Answer]:
    """The only answer of /sketch."""
    with inputs.explained():
        options = options_of(
            variations=inputs.whole(variations, "variations", 1, MAX_PICTURES),
            alpha=alpha,
            mix_layers=mix_layers,
            seed=seed,
        )
        drawn, row = translated(desk.session, model, kind, inputs.picture(picture), options, align)
    with tempfile.TemporaryDirectory() as folder:
        shown = export.Shown(folder)
        parts = captioned("", drawn, row)
        pictures = [(shown.path(f"{kind}-{i}", one), caption) for i, (caption, one, _) in enumerate(parts)]
        tiles = [Tile(caption, kind if i else "", one) for i, (caption, one, _) in enumerate(parts)]
        yield [row], pictures, _sheet(tiles, shown)


def _sheet(tiles: list[Tile], shown: export.Shown) -> str | None:
    """The file of a comparison sheet, None without pictures."""
    return shown.path("sheet", np.asarray(sheet(tiles))) if tiles else None
