import pytest
from support.machine import MUST_RUN_VARIABLE, not_allowed


@pytest.mark.parametrize("must_run", [False, True])
def test_what_the_machine_does_not_allow_is_skipped_but_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, must_run: bool
) -> None:
    monkeypatch.delenv(MUST_RUN_VARIABLE, raising=False)
    if must_run:
        monkeypatch.setenv(MUST_RUN_VARIABLE, "1")
    kind = pytest.fail.Exception if must_run else pytest.skip.Exception
    with pytest.raises(kind, match="this machine does not allow to mount an overlay"):
        not_allowed("mount an overlay")
