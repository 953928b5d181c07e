"""Named endpoints for scripts: those of the tabs, and /compare for any task."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from html import unescape

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import Block
from gradio.components import Component
from gradio.state_holder import SessionState
from gradio_client.exceptions import AppError
from gradio_client.utils import json_schema_to_python_type
from starlette.types import ASGIApp, Receive, Scope, Send

from inversion.common.errors import UserError
from ui.blocks import OnceDescribed
from ui.calls import DISK_FULL, disk_is_full
from ui.parts.arguments import short
from ui.parts.combine_endpoint import combine_endpoint
from ui.parts.context import PageContext
from ui.parts.endpoint import LAST, Answer, Endpoint, common_inputs
from ui.parts.events import DEVICE
from ui.parts.inputs import number, whole
from ui.parts.lazy import hide
from ui.parts.values import Parameters, Value
from ui.tabs.base import Tab

UNREADABLE = "The server could not read what this page has sent. Reload the page and try again."
UNEXPECTED = "Something went wrong on the server. Try again; if it fails again, the log of the server says why."


class Page(gr.Blocks):
    """Blocks whose API schema has an exact type and a sentence for every parameter of the endpoints.

    No error leaves it without words, and none with a text that was not written for users.
    """

    def __init__(self, **options: Value) -> None:
        super().__init__(**options)
        self.default_config = OnceDescribed(self)
        self.endpoints: list[Endpoint] = []

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Value], state: SessionState | None, explicit_call: bool = False
    ) -> list[Value]:
        """The values of an event. Those of an endpoint are checked first: Gradio would refuse most without words."""
        if block_fn.fn is None:  # of the browser alone: its values would become those of its outputs
            raise gr.Error(UNREADABLE, print_exception=False)
        endpoint = next((one for one in self.endpoints if one.name == block_fn.api_name), None)
        try:
            given = _checked(block_fn, inputs) if endpoint is None else endpoint.checked(inputs)
            return await super().preprocess_data(block_fn, given, state, explicit_call)
        except UserError as error:
            raise gr.Error(short(str(error)), print_exception=False) from None
        except Exception as error:
            if isinstance(error, AppError) and not error.print_exception:  # our own
                raise
            raise gr.Error(UNREADABLE, print_exception=False) from None

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Value] | dict[Block, Value], state: SessionState | None
    ) -> list[Value]:
        """The values that a browser gets. Only outputs that change are processed.

        Gradio makes a new component for every other output: 1 ms each, in the thread that serves all visitors.
        """
        if not isinstance(predictions, dict) or not any(isinstance(key, Block) for key in predictions):
            return await super().postprocess_data(block_fn, predictions, state)
        changed = {key: value for key, value in predictions.items() if not _is_skip(value)}
        values: dict[Block, Value] = {}
        if changed:
            part = copy(block_fn)
            part.outputs = [output for output in block_fn.outputs if output in changed]
            values = dict(zip(part.outputs, await super().postprocess_data(part, changed, state), strict=True))
        return [values.get(one, None if one.stateful else gr.skip()) for one in block_fn.outputs]

    async def process_api(self, *values: Value, **options: Value) -> dict[str, Value]:
        """Run an event. An unexpected error is printed on the server; the user gets a sentence instead of nothing."""
        event = options.get("event_data")
        if event is not None and not isinstance(event._data, dict):  # handlers ask for attributes, which it looks up
            event._data = {}
        try:
            return await super().process_api(*values, **options)
        except AppError:
            raise
        except Exception as error:
            logging.getLogger(__name__).exception("an event of the page failed")
            raise gr.Error(DISK_FULL if disk_is_full(error) else UNEXPECTED, print_exception=False) from None

    def get_api_info(self, all_endpoints: bool = False, page: str | None = None) -> Value:
        """The schema that clients read."""
        schema: Value = super().get_api_info(all_endpoints, page)
        for endpoint in self.endpoints:
            for parameter in schema["named_endpoints"].get(f"/{endpoint.name}", {}).get("parameters", []):
                name = parameter["parameter_name"]
                kind, sentence = endpoint.schema(name), endpoint.sentences[name]
                parameter["type"] = {**kind, "description": sentence}
                parameter["python_type"] = {"type": json_schema_to_python_type(kind), "description": sentence}
        return schema


def _is_skip(value: Value) -> bool:
    """Whether the value leaves its output as it is."""
    return isinstance(value, dict) and value == gr.skip()


def _checked(event: BlockFunction, given: list[Value]) -> list[Value]:
    """Values of an event without a name. Raises TypeError if one has a type that the page never sends.

    This is for menus, strips of pictures, and keys that a browser keeps. Menus may have any text: their choices change,
    and events that read them without preprocessing allow for that. Raises InputError for a number out of its range;
    Gradio would give no range, and round a fraction without a word.
    """
    for component, value in zip(event.inputs, given, strict=False):
        if isinstance(component, gr.Number | gr.Slider):
            low, high = component.minimum, component.maximum
            known = value is None or type(value) in (int, float)
            if known and value is not None and low is not None and high is not None:
                read = whole if getattr(component, "precision", None) == 0 else number
                read(value, str(component.label), low, high)
        elif isinstance(component, gr.Dataset):
            known = value is None or (type(value) is int and 0 <= value < len(component.samples))
        elif isinstance(component, gr.Dropdown | gr.Radio):
            several = getattr(component, "multiselect", False) and isinstance(value, list)
            chosen = value if several else [value]
            known = all(isinstance(one, str | int | float | None) for one in chosen)
        elif isinstance(component, gr.BrowserState) and component.default_value is None:
            known = isinstance(value, str | None)
        else:
            continue
        if not known:
            raise TypeError(component)
    return given


class FreshSchema:
    """ASGI middleware: the schema is made for each request, because the models in it change. Gradio would keep it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/info"):
            served = scope["app"]
            served.api_info = served.all_app_info = None
            served.page_api_info.clear()
        await self.app(scope, receive, send)


def add_endpoints(page: Page, context: PageContext, tabs: Sequence[Tab]) -> None:
    """Register the endpoints, on components that no page shows."""
    with gr.Row(visible=False) as box:
        common = common_inputs(context)
        made = [tab.endpoint(common) for tab in tabs]
        endpoints = [endpoint for endpoint in made if endpoint is not None]
        outputs: list[Component] = [
            gr.JSON(label="rows"),
            gr.Gallery(format="png", label="pictures"),
            gr.Image(format="png", type="filepath", label="sheet"),
        ]
        button = gr.Button()
        tasks = {one.task: one for one in endpoints if one.task}
        page.endpoints = [*endpoints, *([compare(tasks, common), combine_endpoint(context, common)] if tasks else [])]
        for one in page.endpoints:
            button.click(
                function(one),
                list(one.inputs.values()),
                outputs,
                api_name=one.name,
                api_description=one.description,
                **DEVICE,
            )
    hide(box)


def compare(tasks: Mapping[str, Endpoint], common: Mapping[str, Component]) -> Endpoint:
    """Runs any task; its parameters are those of all the tasks' endpoints."""
    inputs = {"picture": common["picture"], "task": gr.Dropdown(list(tasks), value=next(iter(tasks)), label="task")}
    for endpoint in tasks.values():
        inputs |= {name: part for name, part in endpoint.inputs.items() if name not in (*inputs, *LAST)}

    def run(values: Parameters) -> Iterator[Answer]:
        yield from tasks[values["task"]].run(values)

    inputs |= {name: common[name] for name in LAST}
    notes = {"task": f"One of {', '.join(tasks)}; parameters of other tasks are ignored."}
    for endpoint in tasks.values():
        notes |= endpoint.notes
    return Endpoint("compare", "Run several methods on any of the tasks.", inputs, run, notes)


def function(endpoint: Endpoint) -> Callable[..., Iterator[Answer]]:
    """The endpoint as a generator function with a signature, from which Gradio takes the names of the parameters."""
    names = list(endpoint.inputs)

    def call(*values: Value) -> Iterator[Answer]:
        try:
            yield from endpoint.run(dict(zip(names, values, strict=True)))
        except (gr.Error, UserError) as error:  # those of the page are HTML
            text = unescape(str(error.message)) if isinstance(error, gr.Error) else str(error)
            raise gr.Error(short(text), print_exception=False) from None

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first, *others = endpoint.inputs.items()
    parameters = [inspect.Parameter(first[0], kind)]
    parameters += [inspect.Parameter(name, kind, default=getattr(part, "value", None)) for name, part in others]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__name__ = endpoint.name
    lines = "".join(f"    {name}: {sentence}\n" for name, sentence in endpoint.sentences.items())
    call.__doc__ = f"{endpoint.summary}\n\nParameters:\n{lines}"  # where Gradio looks for the words of a tool
    return call
