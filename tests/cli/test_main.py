"""Exit codes of the console script."""

import sys

import pytest

from downloadd.cli import main as module
from downloadd.cli.errors import CommandError, ExitStatus


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--version"], ExitStatus.DONE),
        (["new-token"], ExitStatus.DONE),
        (["nonsense"], ExitStatus.USAGE),
        (["--url", "ftp://a", "list"], ExitStatus.USAGE),
        (["--url", "http://127.0.0.1:9", "list"], ExitStatus.UNREACHABLE),
    ],
)
def test_each_outcome_has_an_exit_code(
    arguments: list[str], status: ExitStatus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["downloadctl", *arguments])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert (ended.value.code or 0) == status
    assert bool(capsys.readouterr().err) == (status is not ExitStatus.DONE)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (CommandError(ExitStatus.DENIED, "No."), ExitStatus.DENIED)]
)
def test_an_interruption_and_an_error_have_their_exit_codes(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(module.downloadctl, "main", fail)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == status
