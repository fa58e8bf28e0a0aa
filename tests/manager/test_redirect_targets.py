"""Targets of redirects."""

import pytest

from downloadd.manager import redirect_targets
from downloadd.manager.redirect_targets import FORGET_SECONDS, MAX_TARGETS, MIN_DOWNLOADS, RedirectTargets

A, CDN, MIRROR = "https://a.example", "https://cdn.example.net", "https://mirror.example.org"


def led_to(target: str, *, downloads: int = MIN_DOWNLOADS, now: float = 0) -> RedirectTargets:
    targets = RedirectTargets()
    for seq in range(downloads):
        targets.record(A, target, seq, now=now)
    return targets


def test_a_target_is_likely_after_some_downloads_were_led_there_and_none_elsewhere() -> None:
    assert led_to(CDN).likely(A, now=1) == CDN
    assert led_to(CDN, downloads=MIN_DOWNLOADS - 1).likely(A, now=1) is None
    assert led_to(CDN).likely(CDN, now=1) is None


def test_one_download_alone_proves_nothing() -> None:
    targets = RedirectTargets()
    for _ in range(100):
        targets.record(A, CDN, 1, now=0)
    assert targets.likely(A, now=0) is None


@pytest.mark.parametrize("other", [MIRROR, A])
def test_with_a_second_target_or_a_direct_answer_none_is_likely(other: str) -> None:
    targets = led_to(CDN)
    targets.record(A, other, 99, now=10)
    for seq in range(MIN_DOWNLOADS):
        targets.record(A, CDN, seq, now=20)
    assert targets.likely(A, now=20) is None
    # The other one was not seen for long.
    assert targets.likely(A, now=10 + FORGET_SECONDS) == CDN
    assert targets.likely(A, now=20 + FORGET_SECONDS) is None


def test_an_origin_that_stops_redirecting_has_no_target() -> None:
    targets = led_to(CDN)
    for seq in range(MIN_DOWNLOADS):
        targets.record(A, A, seq, now=FORGET_SECONDS)
    assert targets.likely(A, now=FORGET_SECONDS + 1) is None


def test_origins_without_redirects_take_no_memory() -> None:
    assert led_to(A)._targets == {}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redirect_targets, "MAX_ORIGINS", 2)
    targets = led_to(CDN)
    for number in range(100):
        targets.record("https://b.example", f"https://{number}.example", number, now=number)
    assert len(targets._targets["https://b.example"].seen) == MAX_TARGETS
    targets.record(A, CDN, 1, now=0)
    targets.record("https://c.example", CDN, 1, now=0)
    assert set(targets._targets) == {A, "https://c.example"}
    for seq in range(1000):
        targets.record(A, CDN, seq, now=0)
    assert len(targets._targets[A].seqs) == MIN_DOWNLOADS
