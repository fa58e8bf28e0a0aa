"""The explanation of requests, over the real admission of a manager with fake files."""

import pytest
from support.clocks import ManualClock
from support.fake_manager import FakeManager

from downloadd.config import Config, CredentialConfig, DirectoryConfig, DownloadsConfig, ProxyConfig, RuleConfig
from downloadd.download_request import DownloadRequest
from downloadd.download_rules import DownloadRules
from downloadd.events import EventBus
from downloadd.explanation import Explainer, Explanation, ExplanationSources
from downloadd.manager.limits import Limits
from downloadd.origin.settings import OriginSettings
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Rights
from downloadd.states import State
from downloadd.users import Permission, PermissionMissingError, User

USER = User(id="ann", permissions=frozenset({Permission.DOWNLOAD}))


async def explain(config: Config, directory: str = "a/b", url: str = "https://h.example/x") -> Explanation:
    clock, directories = ManualClock(), DirectoryRules(config.directories)
    explainer = Explainer(
        ExplanationSources(
            preview=FakeManager(EventBus(), clock).preview,
            rules=lambda: DownloadRules(config.rules),
            origins=lambda: OriginSettings.load(config, {}),
            limits=lambda: Limits.from_config(config.downloads, config.hosts),
            directories=lambda: directories,
            hooks=lambda download: [],
        ),
        rights=Rights(directories=directories, is_enabled=True),
        clock=clock,
    )
    return await explainer.explain(USER, DownloadRequest(url=url, directory=directory))


async def test_the_quotas_above_the_directory_are_named() -> None:
    config = Config(
        directories=tuple(DirectoryConfig(path=path, quota=quota) for path, quota in [("a", 1), ("ab", 2), ("a/b", 3)])
    )
    assert [quota.directory for quota in (await explain(config)).quotas] == ["a", "a/b"]


async def test_proxy_and_credentials_of_the_host_are_named() -> None:
    config = Config(
        proxies=(ProxyConfig(name="office", url="http://p:1", hosts=("h.example",)),),
        credentials=(CredentialConfig(host="h.example", user="u", password="p"),),
    )
    found = await explain(config)
    assert (found.proxy, found.has_credentials) == ("office", True)
    found = await explain(config, url="https://other.example/x")
    assert (found.proxy, found.has_credentials) == (None, False)


async def test_a_refused_request_has_neither() -> None:
    found = await explain(Config(), url="ftp://h/x")
    assert (found.download.state, found.slots) == (State.FAILED, DownloadsConfig().max_per_host)


async def test_each_rule_that_needs_the_response_is_explained() -> None:
    config = Config(
        directories=(DirectoryConfig(path="films", quota=9),),
        rules=(
            RuleConfig(name="films", types=("video/*",), save_to="films", priority=3),
            RuleConfig(name="rest", save_to="rest", priority=1),
        ),
    )
    found = await explain(config)
    assert (found.rule, found.download.file_path, found.quotas) == ("rest", "rest/x", [])
    [films] = found.alternatives
    assert (films.rule.name, films.download.file_path, films.download.control.priority) == ("films", "films/x", 3)
    assert [quota.limit for quota in films.quotas] == [9]


@pytest.mark.parametrize("types", [(), ("video/*",)])
async def test_a_rule_leads_to_no_directory_that_the_user_may_not_use(types: tuple[str, ...]) -> None:
    config = Config(
        directories=(DirectoryConfig(path="private", users=("bob",)),),
        rules=(RuleConfig(name="r", save_to="private", types=types),),
    )
    with pytest.raises(PermissionMissingError):
        await explain(config)
