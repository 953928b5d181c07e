"""Opens the hub: `python app.py`, then http://127.0.0.1:7860. Also the entry point of a Hugging Face Space."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from inversion.common.lazy import defer


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the page until interrupted."""
    parser = argparse.ArgumentParser(description="Compare GAN inversion methods in the browser.")
    parser.add_argument("--share", action="store_true", help="open a public address through Gradio's tunnel")
    parser.add_argument("--port", type=int, default=None, help="default: 7860, or the next free port")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--budget", type=float, default=300.0, help="time limit of one method in seconds")
    args = parser.parse_args(argv)
    # Gradio calls its own address when it starts, and would send even that through a proxy.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    # The page opens without torch. The thread of the device lane loads it afterwards, by warming the default model.
    defer("torch")
    from inversion.serving.catalogue import DEFAULT_MODEL
    from inversion.serving.session import Session
    from ui import build, launch_options

    session = Session(args.device, args.dtype, args.budget)
    page = build(session)
    page.launch(share=args.share, server_port=args.port, prevent_thread_lock=True, **launch_options())
    session.warm(DEFAULT_MODEL)
    page.block_thread()


if __name__ == "__main__":
    main()
