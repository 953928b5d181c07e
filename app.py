"""Opens the hub: `python app.py`, then http://127.0.0.1:7860. Also the entry point of a Hugging Face Space."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import math
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from inversion.__main__ import allow_every_character
from inversion.common import temporary
from inversion.common.commands import Parser, UsageError, add_device, guarded, positive, zero_gpu
from inversion.common.echo import LogFormatter
from inversion.common.lazy import defer
from inversion.common.memory import keep_freed_memory, settle
from inversion.serving.engines import ENGINES

MAX_PORT = 65535
SWITCH = 0.001  # seconds that a thread may wait for the interpreter while another one runs


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until interrupted. Returns the exit status: 2 after an error, with one line on stderr."""
    parser = Parser(prog="python app.py", description="Compare GAN inversion methods in the browser.")
    add_options(parser)
    allow_every_character()
    args = parser.parse_args(argv)

    def run() -> None:
        prepare()
        check(args)
        serve(args)

    return guarded(parser.prog, run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--share", action="store_true", help="open a public address through Gradio's tunnel")
    parser.add_argument(
        "--public",
        action="store_true",
        default=bool(os.environ.get("HUB_PUBLIC")),
        help="limits for a page that strangers use, see SECURITY.md",
    )
    parser.add_argument("--port", type=int, default=None, help="default: 7860, or the next free port")
    parser.add_argument(
        "--host-name",
        action="append",
        metavar="NAME",
        default=os.environ.get("HUB_HOST_NAME", "").split(","),
        help="a name under which browsers open the page, besides localhost; *.NAME for all names below it",
    )
    add_device(parser)
    add_engine(parser)
    parser.add_argument(
        "--budget",
        type=float,
        default=None,
        help="seconds of one method; default: 300, with --public 120",
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("HUB_MODEL"),
        metavar="NAME|FILE",
        help="the initial model: a name, or a file of yours; default: the best one for the machine",
    )
    add_results(parser)
    parser.add_argument(
        "--preload",
        metavar="NAME,NAME",
        default=os.environ.get("HUB_PRELOAD", ""),
        help="models (at most 4 stay in memory) and encoders to download and load before the server is ready",
    )
    parser.add_argument(
        "--add-files",
        choices=("auto", "on", "off"),
        default="auto",
        help="whether the page takes model files of its users; auto: only if nobody else can open it",
    )
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="who may open the page; default: everybody")
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="also offer the endpoints as tools (MCP) at /gradio_api/mcp/; needs mcp",
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add the flag of the folder that keeps runs."""
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        default=os.environ.get("HUB_RESULTS") or None,
        help="a folder that keeps runs, codes and tuned weights when the server restarts; default: memory only",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add --engine and --lanes."""
    parser.add_argument(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="where runs compute: on this machine, on replicas of Ray Serve, or on ZeroGPU; default: zero on a Space "
        "with ZeroGPU, else local",
    )
    parser.add_argument(
        "--lanes",
        type=positive,
        default=None,
        metavar="N",
        help="processes that compute at once; default: one for each GPU, on the CPU none but the page's own process",
    )


def prepare() -> None:
    """Settings that other imports depend on."""
    if zero_gpu():
        import spaces  # noqa: F401 - its import changes torch's view of CUDA
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    keep_freed_memory()
    # A lane in this process needs the interpreter for a moment after each operation of torch, and would wait 5 ms for
    # it whenever the web server is busy.
    sys.setswitchinterval(SWITCH)
    # The page opens without torch. The thread of the device lane loads it afterwards, by warming the default model.
    defer("torch")
    if os.environ.get("SPACE_ID"):  # its proxy tells the addresses of visitors
        os.environ.setdefault("FORWARDED_ALLOW_IPS", "*")
    use_own_folder()
    # Gradio calls its own address when it starts, and would send even that through a proxy.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))


def use_own_folder() -> None:
    """Put all temporary files, uploads included, into a folder of this process. Remove those of killed processes."""
    chosen = os.environ.get("GRADIO_TEMP_DIR")
    parent = Path(chosen or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    temporary.sweep(parent)
    os.environ["GRADIO_TEMP_DIR"] = str(temporary.use_private_folder(parent) / "gradio")


def check(args: argparse.Namespace) -> None:
    """Raises UserError for arguments with which the page could not run. Imports torch for a GPU that is named only."""
    if args.port is not None and not 1 <= args.port <= MAX_PORT:
        raise UsageError(f"--port must be a number from 1 to {MAX_PORT}, not {args.port}")
    if args.budget is not None and not (math.isfinite(args.budget) and args.budget > 0):
        raise UsageError(f"--budget must be a positive number of seconds, not {args.budget}")
    if args.auth and not all(args.auth.partition(":")):
        raise UsageError("--auth must be a name and a password with a colon between them")
    if args.mcp:
        check_mcp(args)
    from inversion.serving import catalogue, host

    if args.model and args.model not in catalogue.models():
        args.model = own_model(args.model, list(catalogue.models()))
    host.check_names(preloaded(args))
    if args.device in ("cuda", "mps"):
        from inversion.checkpoints.hub import find_device

        find_device(args.device)


def own_model(text: str, known: Sequence[str]) -> str:
    """Add a file of the host's as a model, and return its name. Raises UserError for a file that cannot be used."""
    from inversion.checkpoints import own

    if not own.looks_like_file(text) and not Path(text).is_file():
        raise UsageError(f"There is no model {text!r}. Choose one of: {', '.join(known)}.")
    return own.add_file(Path(text))


def check_mcp(args: argparse.Namespace) -> None:
    """Raises UsageError if the endpoints cannot be tools; without the package, Gradio would only print a line."""
    if importlib.util.find_spec("mcp") is None:
        raise UsageError('--mcp needs the package mcp. Install it with: pip install "mcp>=1.21,<2"')
    if args.auth:
        raise UsageError("--mcp does not work with --auth: tools have no login. Use one of the two")


def serve(args: argparse.Namespace) -> None:
    """Build the page and serve it until interrupted."""
    from inversion.checkpoints import leftovers
    from inversion.common.errors import UserError
    from inversion.serving import engines, host
    from inversion.serving.archive.archive import Archive
    from inversion.serving.limits import PROFILES
    from inversion.serving.session import Session
    from ui import State, build, launch_options, shutdown

    files = [args.model] if args.model else host.best_files(args.device)
    profile = PROFILES["public" if args.public else "private"]
    adds = host.only_local(args.share) and not args.public if args.add_files == "auto" else args.add_files == "on"
    limits = profile.session()
    archive = Archive(args.results, limits) if args.results else None
    session = Session(
        args.device,
        args.dtype,
        args.budget or profile.budget,
        lanes=engines.lanes(engine_of(args), args.device, args.dtype, args.lanes),
        limits=limits,
        additions=adds,
        downloads=profile.downloads,
        archive=archive,
    )
    page, state = build(session, model=files[0], limits=profile.web), State(session.lane_states)
    user, _, password = (args.auth or "").partition(":")
    auth = (user, password) if user else None
    names = host.served_names(args.host_name, args.share)
    options = launch_options(state, adds, profile.web, names, host.on_space())
    options |= {"mcp_server": args.mcp, "prevent_thread_lock": True}
    page.launch(share=args.share, server_port=args.port, auth=auth, **options)
    threading.Thread(target=leftovers.sweep, name="sweep", daemon=True).start()
    state.let_the_page_open()
    try:
        host.preload(session, list(dict.fromkeys([*files[1:], *preloaded(args), files[0]])))
        settle()
        state.ready.set()
    except UserError as error:  # the page works, and a run with this model will show it
        sys.stderr.write(f"not ready: {error}\n")
    shutdown.until_stopped()
    state.ready.clear()
    shutdown.close(page, session)
    if archive is not None:
        archive.close()


def preloaded(args: argparse.Namespace) -> list[str]:
    """The names of --preload."""
    return [name.strip() for name in args.preload.split(",") if name.strip()]


def engine_of(args: argparse.Namespace) -> str:
    """The engine of --engine."""
    return args.engine if args.engine != "auto" else "zero" if zero_gpu() else "local"


if __name__ == "__main__":
    sys.exit(main())
