"""Files are downloaded from a Hub on this machine, completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.local_hub import COMMIT, DAMAGE, MODES, REFUSALS, Workplace, use, workplace

from inversion.checkpoints import fetch, store
from inversion.checkpoints.registry import ROOT, BadCheckpoint, HubError, registry

__all__ = ["workplace"]  # a fixture

DATA = bytes(range(256)) * 12_000  # 3 MB: a few chunks
SHA = hashlib.sha256(DATA).hexdigest()
GOOD = ("whole", "cut", "range ignored")
IMPATIENT = {"HF_HUB_DOWNLOAD_TIMEOUT": 0.2, "HF_HUB_ETAG_TIMEOUT": 0.2}  # for servers that say nothing
UNKNOWN = {"sha256": None, "bytes": None, "note": "sha256 unknown"}


def visible(place: Workplace) -> list[Path]:
    """All names in the cache that look like a file of a repository."""
    return [path for path in place.cache.rglob("*") if path.is_file() and {"blobs", "snapshots"} & set(path.parts)]


def become(place: Workplace, mode: str, patch: pytest.MonkeyPatch) -> None:
    """Switch the Hub to a mode, with short timeouts if it will be silent."""
    place.local.mode = mode
    if mode in ("stalled", "silent"):
        use(patch, IMPATIENT)


# --- transfers ---


@pytest.mark.parametrize("mode", GOOD)
def test_good_transfers_end_with_the_right_file(workplace: Workplace, mode: str) -> None:
    entry = workplace.add("tiny", DATA)
    workplace.local.mode = mode
    seen: list[tuple[int, int]] = []
    assert fetch.cached(entry) is None and fetch.verify(entry) == "not cached"
    path = fetch.fetch(entry, lambda done, total: seen.append((done, total)))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA
    assert path == fetch.cached(entry) and f"snapshots/{COMMIT}" in path.as_posix()
    assert seen[-1] == (len(DATA), len(DATA)) and len(seen) > 2
    assert workplace.leftovers() == [] and fetch.verify(entry) == "ok"
    assert workplace.local.gets() == ([""] if mode == "whole" else ["", f"bytes={len(DATA) // 3}-"])


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in (*GOOD, "slow")])
@pytest.mark.parametrize("registered", [True, False])
def test_bad_transfers_leave_nothing(
    workplace: Workplace, mode: str, registered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = workplace.add("tiny", DATA, **({} if registered else UNKNOWN))
    start = time.perf_counter()
    with monkeypatch.context() as patch:
        become(workplace, mode, patch)
        with pytest.raises(HubError, match=r"^tiny: .*weights\.pt|^tiny: the answer is not from the Hub") as caught:
            fetch.fetch(entry)
    assert time.perf_counter() - start < 10
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BadCheckpoint) == (mode in DAMAGE)
    assert fetch.cached(entry) is None and visible(workplace) == []
    workplace.local.mode = "whole"
    assert fetch.fetch(entry).read_bytes() == DATA


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("404", "is missing at revision c"),
        ("gated", "accept its terms at https://huggingface.co/somebody/tiny"),
        ("gated 401", "accept its terms"),
        ("private", "missing or private"),
        ("no revision", "no revision c"),
        ("500", "status 500"),
        ("page", "web page"),
        ("silent", "does not answer"),
        ("stalled", "does not answer"),
        ("always cut", "check the network"),
    ],
)
def test_every_failure_says_how_to_continue(
    workplace: Workplace, mode: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = workplace.add("tiny", DATA)
    become(workplace, mode, monkeypatch)
    with pytest.raises(HubError, match=says):
        fetch.fetch(entry)


def test_a_changed_file_is_refused_before_its_first_byte(workplace: Workplace) -> None:
    for other in (DATA[:-1], DAMAGE["flipped"](DATA)):
        entry = workplace.add("tiny", DATA, serve=other)
        with pytest.raises(BadCheckpoint, match="tiny: .* has changed"):
            fetch.fetch(entry)
    assert workplace.local.gets() == []


def test_a_cancelled_download_leaves_nothing(workplace: Workplace) -> None:
    entry = workplace.add("tiny", DATA)

    def cancel(done: int, total: int) -> None:
        raise KeyError("cancelled")

    with pytest.raises(KeyError, match="cancelled"):
        fetch.fetch(entry, cancel)
    assert visible(workplace) == []


# --- other processes ---


def test_a_process_killed_in_mid_download_leaves_no_half_file(workplace: Workplace) -> None:
    entry = workplace.add("tiny", DATA)
    workplace.local.mode = "slow"
    victim, _ = workplace.process("tiny")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in workplace.cache.rglob("*.incomplete")):
        assert victim.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    victim.kill()
    victim.join()
    assert workplace.leftovers() and fetch.cached(entry) is None
    assert [path for path in visible(workplace) if path.suffix != ".incomplete"] == []
    workplace.local.mode = "whole"
    assert fetch.fetch(entry).read_bytes() == DATA and workplace.leftovers() == []


def test_many_threads_and_processes_fetch_one_file(workplace: Workplace) -> None:
    entry = workplace.add("tiny", DATA, **UNKNOWN)
    processes = [workplace.process("tiny") for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: fetch.fetch(entry), range(8)))
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in found} == {SHA}
    assert [answer.recv() for _, answer in processes] == [SHA] * 4
    assert workplace.leftovers() == [] and len(workplace.local.gets()) == 1


# --- disk and network ---


def test_a_full_disk_is_refused_before_the_first_byte(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = workplace.add("tiny", DATA)
    usage = shutil.disk_usage(workplace.cache)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=len(DATA) - 1))
    with pytest.raises(HubError, match=r"tiny: the disk is too full: 3,072,000 bytes"):
        fetch.fetch(entry)
    assert workplace.local.gets() == [] and visible(workplace) == []


def test_a_disk_that_fills_up_meanwhile(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = workplace.add("tiny", DATA)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HubError, match="tiny: .* does not fit: the disk is full"):
        fetch.fetch(entry)
    assert visible(workplace) == []


def test_without_a_network(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    have, lack = workplace.add("tiny", DATA), workplace.add("other", DATA)
    path = fetch.fetch(have)
    nowhere = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    for settings, says in (
        ({"HF_HUB_OFFLINE": True}, "other: weights.pt is not on this machine, and downloads are off"),
        (
            {
                "HF_HUB_OFFLINE": False,
                "HUGGINGFACE_CO_URL_TEMPLATE": nowhere + "/{repo_id}/resolve/{revision}/{filename}",
            },
            "other: weights.pt from somebody/other cannot be downloaded: check the network",
        ),
    ):
        use(monkeypatch, settings)
        assert fetch.fetch(have) == path
        start = time.perf_counter()
        with pytest.raises(HubError, match=says):
            fetch.fetch(lack)
        assert time.perf_counter() - start < 2


# --- cached files ---


@pytest.mark.parametrize("mode", list(DAMAGE))
def test_a_damaged_file_in_the_cache_is_refused_and_can_be_renewed(workplace: Workplace, mode: str) -> None:
    entry = workplace.add("tiny", DATA)
    path = fetch.fetch(entry)
    path.resolve().write_bytes(DAMAGE[mode](DATA))
    assert "is not the registered file" in fetch.verify(entry)
    with pytest.raises(BadCheckpoint, match=r"tiny: weights.pt is not the registered file .* models --pull tiny"):
        fetch.fetch(entry)
    assert fetch.fetch(entry, renew=True).read_bytes() == DATA


def test_a_file_is_hashed_once_per_process(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = workplace.add("tiny", DATA)
    path = fetch.fetch(entry)
    hashed: list[int] = []
    real = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda: hashed.append(1) or real())
    fetch.fetch(entry)
    assert hashed == []  # known from the download
    store.digests.clear()
    fetch.fetch(entry)
    fetch.fetch(entry)
    assert len(hashed) == 1
    os.utime(path.resolve(), ns=(1, 1))
    fetch.fetch(entry)
    assert len(hashed) == 2


def test_an_unknown_hash_is_kept_and_a_later_change_is_refused(workplace: Workplace) -> None:
    entry = workplace.add("tiny", DATA, **{**UNKNOWN, "revision": "main", "note": "sha256 and revision unknown"})
    assert store.expected(entry) == (None, None)
    path = fetch.fetch(entry)
    assert store.expected(entry) == (SHA, len(DATA))
    learnt = json.loads((workplace.derived / "learnt.json").read_text())
    assert learnt == {"tiny@main": {"sha256": SHA, "bytes": len(DATA)}}
    other = DAMAGE["flipped"](DATA)
    path.resolve().write_bytes(other)
    assert "is not the registered file" in fetch.verify(entry)
    shutil.rmtree(workplace.cache / "models--somebody--tiny")
    workplace.local.add("somebody/tiny", "weights.pt", other)
    with pytest.raises(BadCheckpoint, match="has changed.*delete tiny@main from .*learnt.json"):
        fetch.fetch(entry)
    (workplace.derived / "learnt.json").write_text("{")
    with pytest.raises(HubError, match="learnt.json is damaged"):
        fetch.fetch(entry)


def test_a_manual_download_is_explained(workplace: Workplace) -> None:
    entry = workplace.add(
        "tiny", DATA, repo_id=None, revision=None, **{**UNKNOWN, "source": "https://drive.google.com/uc?id=1"}
    )
    assert entry.by_hand and fetch.cached(entry) is None and fetch.verify(entry) == "not cached"
    with pytest.raises(HubError) as caught:
        fetch.fetch(entry)
    assert "download it manually from https://drive.google.com/uc?id=1" in str(caught.value)
    assert "then run `python -m inversion convert weights.pt --as tiny`" in str(caught.value)


def test_spaces_are_repositories_too(workplace: Workplace) -> None:
    entry = workplace.add("tiny", DATA, repo_type="space", filename="deep/in/weights.pt")
    assert "spaces--somebody--tiny" in str(fetch.fetch(entry))
    assert workplace.local.asked[0][1] == f"/spaces/somebody/tiny/resolve/{COMMIT}/deep/in/weights.pt"


def test_the_user_s_token_goes_to_the_hub_alone(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch.fetch(workplace.add("tiny", DATA))
    assert workplace.local.tokens == {"127.0.0.1": {"Bearer hf_secret"}, "localhost": {None}}


def test_a_cache_that_cannot_be_written(workplace: Workplace) -> None:
    entry = workplace.add("tiny", DATA)
    (workplace.cache / ".locks").write_text("in the way")
    with pytest.raises(HubError, match="cannot write to .*locks.*: set HF_HUB_CACHE"):
        fetch.fetch(entry)


def test_every_registered_file_can_be_verified(workplace: Workplace) -> None:
    for entry in registry(ROOT / "checkpoints.yaml").values():
        state = fetch.verify(entry)
        assert state == ("ok" if entry.file is not None else "not cached"), entry.name


def test_every_mode_is_known() -> None:
    assert set(GOOD) | set(DAMAGE) | set(REFUSALS) < set(MODES)
