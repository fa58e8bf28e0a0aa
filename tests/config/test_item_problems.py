"""Rules within one table of a list; `test_checks` has them with their places in a file."""

from downloadd.config import CredentialConfig, HookConfig, HostConfig, LimitConfig
from downloadd.config.item_problems import credential_problems, hook_problems, host_problems, limit_problems


def test_limits_that_limit_nothing_are_a_problem() -> None:
    assert [field for field, _ in limit_problems(LimitConfig(hours="08:00-18:00"))] == [""]
    for limit in (LimitConfig(speed_limit=0), LimitConfig(max_concurrent=1), LimitConfig(allow_starts=False)):
        assert list(limit_problems(limit)) == []


def test_problems_are_named_by_their_field() -> None:
    assert [field for field, _ in hook_problems(HookConfig(name="a", url="ftp://a", secret="x"))] == ["url", "secret"]
    assert [field for field, _ in host_problems(HostConfig(host="a", client_key="k"))] == ["client_key"]
    assert [field for field, _ in credential_problems(CredentialConfig(host="a", password="p"))][:2] == ["", "password"]
