"""Shared parts of the command lines: `--help` is light, and a wrong argument ends in one line and exit status 2."""

from __future__ import annotations

from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest
from test_architecture import loaded_after

import app
from inversion.__main__ import COMMANDS
from inversion.cli.common import add_task_inputs, run_parser
from inversion.common.commands import Parser, guarded, make_folder
from inversion.common.settings import kind_of, mask, setting
from inversion.tasks import RESERVED, TASKS, Task, TaskError, task_fields
from inversion.training.cli import COMMANDS as TRAINING
from ui.tabs import all_tabs

HELP = r"""
import contextlib, re
{imports}
for arguments in {arguments!r}:
    with contextlib.suppress(SystemExit):
        main([*arguments, "--help"])
[peak] = re.findall(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
assert int(peak) <= {limit} * 1024, peak
"""
MAIN = "from inversion.__main__ import main"


@pytest.mark.parametrize(
    ("imports", "arguments", "limit"),
    [
        ("from app import main", [[]], 60),
        (MAIN, [[], *([name] for name in COMMANDS)], 60),
        (MAIN, [["train", name] for name in TRAINING], 60),
    ],
    ids=["page", "commands", "training"],
)
def test_help_of_every_command_is_light(imports: str, arguments: list[list[str]], limit: int) -> None:
    assert loaded_after(HELP.format(imports=imports, arguments=arguments, limit=limit)) == set()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "cuda"], "No CUDA device"),
        (["--device", "tpu"], "--device"),
        (["--port", "99999999"], "--port"),
        (["--port", "0"], "--port"),
        (["--budget", "nan"], "--budget"),
        (["--budget", "0"], "--budget"),
    ],
)
def test_the_page_is_not_built_for_wrong_arguments(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(app, "serve", lambda _: pytest.fail("the page is built"))
    try:
        status: object = app.main(arguments)
    except SystemExit as stop:
        status = stop.code
    err = capsys.readouterr().err
    assert status == 2 and err.count("\n") == 1 and err.startswith("python app.py: ") and says in err


def test_a_folder_that_cannot_be_created_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded("program", lambda: make_folder(Path("/proc/x"))) == 2
    err = capsys.readouterr().err
    assert err.startswith("program: The folder /proc/x") and err.endswith("Choose another one.\n")


def task_with(**declared: Any) -> type[Task]:  # noqa: ANN401 - fields
    """A task with these fields."""
    own = [(name, type(field.default), field) for name, field in declared.items()]
    return make_dataclass("Toy", own, bases=(Task,), frozen=True)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (
            {"factor": setting(4, "Factor", "Another help.", min=2, max=64)},
            "superres and toy declare the field",
        ),
        ({"seed": setting(1, "Seed", "Of the toy.")}, "'seed', which is a reserved name"),
        ({"mask": mask("One", white=0), "more": mask("Two", white=0)}, "several masks: mask, more"),
    ],
)
def test_fields_of_tasks_that_cannot_be_told_apart_are_refused(
    declared: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TASKS, "toy", task_with(**declared))
    with pytest.raises(TaskError, match=says):
        task_fields()
    with pytest.raises(TaskError, match=says):
        all_tabs()
    with pytest.raises(SystemExit):
        run_parser("invert", "")
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and says in err


def test_every_flag_of_a_run_is_reserved_or_a_field() -> None:
    flags = {flag.removeprefix("--") for action in run_parser("invert", "")._actions for flag in action.option_strings}
    known = task_fields()
    switches = {f"invert-{name}" for name, (spec, _) in known.items() if kind_of(spec) == "mask"}
    assert {flag for flag in flags if not flag.startswith("-")} == flags & RESERVED | set(known) | switches


def test_a_yes_or_no_is_read_from_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(TASKS, "toy", task_with(bright=setting(True, "Bright", "Whether it is bright.")))
    parser = Parser(prog="toy")
    add_task_inputs(parser)
    assert parser.parse_args(["--bright", "false"]).bright is False
    assert "for toy: whether it is bright (default True)" in " ".join(parser.format_help().split())
    with pytest.raises(SystemExit):
        parser.parse_args(["--bright", "maybe"])
    assert capsys.readouterr().err == "toy: argument --bright: the value must be true or false, not 'maybe'\n"
