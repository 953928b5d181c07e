"""The whole page: masthead, tabs, endpoints; and the options to serve it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence

import gradio as gr
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from inversion.common.errors import UserError
from inversion.serving import catalogue
from inversion.serving.additions import MAX_BYTES
from inversion.serving.limits import PROFILES, WebLimits
from inversion.serving.session import Session
from ui import api
from ui.admission import caller, limit_events
from ui.arrivals import Arrivals
from ui.calls import Calls
from ui.compression import CompressedEvents, CompressedFiles
from ui.examples import examples
from ui.guard import Guard
from ui.health import Health, State
from ui.history.reader import Reader
from ui.languages import chooser
from ui.machines import Machines
from ui.parts.context import PageContext
from ui.parts.events import MODELS, PRIVATE, QUIET, VIEWS
from ui.parts.lazy import delay
from ui.parts.originals import EDITOR_SIDE
from ui.parts.own_jobs import OwnJobs
from ui.parts.settings import model_choices
from ui.parts.values import Options, Update
from ui.static import page_scripts, script, template
from ui.tabs import Tab, all_tabs
from ui.theme import CSS, FOOTER, theme

TITLE = "Inversion Hub"
MASTHEAD = """
<h1>Inversion Hub</h1>
<p>Compare GAN inversion methods on your own picture: choose a task and some methods, and watch them side by side.</p>
"""
FOOTNOTE = """
Pictures stay in the memory and cache of the server that runs this page, for little more than an hour; runs as long as
the tab History says. The built-in models were trained on drawn faces and drawn houses only, without any photograph of
a person.
"""
HOUR = 3600
# Seconds between two looks of Gradio at its queue, and at progress bars, of which the page has none. It looks every
# millisecond, which takes 8 % of a slow core while nobody uses the page.
RESTS = {"sleep_when_free": 0.01, "progress_update_sleep_when_free": 1.0}
VIEWER = ("viewer_pictures", "viewer", "viewer_control", "sending", "several", "arrivals", "reopen")  # scripts
PRIVATE_LIMITS = PROFILES["private"].web


def build(
    session: Session,
    tabs: Mapping[str, type[Tab]] | None = None,
    model: str = catalogue.DEFAULT_MODEL,
    limits: WebLimits = PRIVATE_LIMITS,
) -> gr.Blocks:
    """The page for a session, not launched yet.

    tabs: by key; the default is all registered ones. model: the one that is chosen when the page opens.
    """
    session.address = caller
    with api.Page(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 6, HOUR)) as page:
        gr.HTML(MASTHEAD, elem_id="masthead")
        context = PageContext(session, catalogue.methods(), catalogue.models(), examples(), OwnJobs(session), model)
        reader = Reader(session, context.own_jobs, context.openers)
        made = [kind(context) for kind in (all_tabs() if tabs is None else tabs).values()]
        context.own_jobs.tabs |= {tab.key: tab.label for tab in made}
        with gr.Tabs(overflow_behavior="wrap"):
            for tab in made:
                with gr.Tab(tab.label, id=tab.key, elem_id=f"{tab.key}-tab") as place:
                    tab.build(place)
                    if tab is not made[0]:
                        delay(place)
        gr.Markdown(FOOTNOTE, elem_classes="note")
        for tab in made:
            tab.on_load(page)
        context.own_jobs.wire(page)
        reader.wire(page)
        page.load(None, js=script("page"), **QUIET)
        targets = [{"key": tab.key, "label": tab.label, "paints": tab.paints} for tab in made if tab.takes_pictures]
        constants = {"VIEWER_TEMPLATE": template("viewer"), "TARGETS": targets, "EDITOR_SIDE": EDITOR_SIDE}
        page.load(None, js=page_scripts(*VIEWER, **constants), **QUIET)
        _offer_methods(page, context, made)
        _refresh_models(page, context, made)
        api.add_endpoints(page, context, made)
    page.queue(max_size=64, api_open=False)
    for field, seconds in RESTS.items():
        setattr(page._queue, field, max(seconds, getattr(page._queue, field, 0.0)))
    limit_events(page, session, limits)
    return page


def _offer_methods(page: gr.Blocks, context: PageContext, tabs: Sequence[Tab]) -> None:
    """When the page opens, wait until the first model is loaded, and leave out the methods that it cannot run."""
    outputs = [component for tab in tabs for component in tab.method_menus()]

    def offer() -> Update:
        try:
            missing, lacking = context.session.unavailable(context.model)
        except UserError:  # a run with this model will show it
            return dict.fromkeys(outputs, gr.skip())
        return {part: update for tab in tabs for part, update in tab.offered(missing, lacking).items()}

    page.load(offer, None, outputs, **MODELS, **PRIVATE)


def _refresh_models(page: gr.Blocks, context: PageContext, tabs: Sequence[Tab]) -> None:
    """When the page or a menu opens, or a tab adds or removes models, show which ones are available."""
    menus = [menu for tab in tabs for menu in tab.model_menus()]

    def refresh(*chosen: object) -> list[object]:
        choices = model_choices(catalogue.models())
        known = {key for _, key in choices}
        return [gr.update(choices=choices, **_kept(value, known, context.model)) for value in chosen]

    # Without preprocessing: a chosen model may have been removed.
    options: Options = {"preprocess": False, **VIEWS, **PRIVATE}
    # Without inputs: Gradio would update each of them after every message of the server.
    page.load(lambda: refresh(*(menu.value for menu in menus)), None, menus, **options)
    for change in [change for tab in tabs for change in tab.model_changes()]:
        change.then(refresh, menus, menus, **options)
    for menu in menus:  # another window may have added a file since
        menu.focus(lambda chosen: refresh(chosen)[0], menu, menu, preprocess=False, **QUIET)  # type: ignore[attr-defined]


def _kept(chosen: object, known: Collection[str], default: str) -> Options:
    """The new value of a menu if a chosen model is no longer known; nothing if the choice stays."""
    if not isinstance(chosen, list):
        return {} if chosen in known else {"value": default}
    left = [name for name in chosen if name in known]
    return {} if left == chosen else {"value": left or [default]}


def launch_options(
    state: State | None = None,
    additions: bool = False,
    limits: WebLimits = PRIVATE_LIMITS,
    hosts: Collection[str] = (),
    framed: bool = False,
) -> Options:
    """Arguments of `launch` that make the page look right and stay private.

    state: what /readyz answers; by default, that models are loading. additions: users may upload model files. hosts,
    framed: as of `Guard`.
    """
    processing_utils.hash_seed = secrets.token_bytes(32)  # it names uploads; the one of the installation may be public
    uploads = MAX_BYTES + limits.body if additions else limits.body
    middleware = [
        Middleware(Health, state or State()),
        Middleware(api.FreshSchema),
        Middleware(Guard, limits=limits, hosts=hosts, uploads=uploads, framed=framed),
        Middleware(CompressedFiles),
        Middleware(CompressedEvents),
        Middleware(GZipMiddleware, compresslevel=6),  # all other answers
        Middleware(Machines),
        Middleware(Arrivals),
        Middleware(Calls),
    ]
    return {
        "theme": theme(),
        "css": CSS,
        "head": f"{FOOTER}<script>{script('events')}{chooser()}</script>",
        "app_kwargs": {"middleware": middleware, "openapi_url": None},
        "state_session_capacity": limits.sessions,
        "max_threads": 2 * limits.events,  # a stream waits in a thread; the other half answers clicks
        "max_file_size": MAX_BYTES if additions else "32mb",
        "show_error": False,
        "_frontend": False,  # no check that the page's own address answers: it would draw the whole page once more
        "enable_monitoring": False,
        "run_history": False,
        "allowed_paths": [],
        "strict_cors": True,
        "footer_links": ["api", "settings"],
    }
