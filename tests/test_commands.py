"""The frame of the command lines: `--help` is light, and a wrong argument ends in one line and exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_architecture import loaded_after

import app
from inversion.common.commands import guarded, make_folder


@pytest.mark.parametrize(
    "code",
    [
        "import app; app.main(['--help'])",
        *(f"from inversion.__main__ import main; main(['{name}', '--help'])" for name in ("convert", "parity", "edit")),
    ],
)
def test_help_is_light(code: str) -> None:
    assert loaded_after(f"try:\n    {code}\nexcept SystemExit:\n    pass") == set()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "cuda"], "no CUDA device"),
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
    assert err.startswith("program: cannot create the folder /proc/x") and err.endswith("choose another one\n")
