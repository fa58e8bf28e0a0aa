"""Configuration of the open components after a reload: accounts are real, the others record."""

from pathlib import Path
from unittest.mock import Mock, create_autospec

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from support.app_config import config_for
from support.daemon_process import TOKEN

from downloadd.accounts.known_users import KnownUsers
from downloadd.config import Config, DownloadsConfig, HistoryConfig, HookConfig, HostConfig, LimitConfig
from downloadd.fronts.rest.auth import Accounts
from downloadd.hooks.hooks import Hooks
from downloadd.manager.history_retention import HistoryRetention
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.manager import Manager
from downloadd.origin.settings import OriginSettings
from downloadd.policy.directories import DirectoryRules
from downloadd.reloader import Reloader
from downloadd.transfer.session import Session

HOOK = HookConfig(name="chat", command=("true",))
HOST = HostConfig(host="a.example", connect_timeout=3)


class Components:
    """Open components of a daemon without users."""

    def __init__(self) -> None:
        self.accounts = Accounts(())
        self.session: Mock = create_autospec(Session, instance=True)
        self.manager: Mock = create_autospec(Manager, instance=True)
        self.hours: Mock = create_autospec(HourlyLimits, instance=True)
        self.hooks: Mock = create_autospec(Hooks, instance=True)
        self.retention: Mock = create_autospec(HistoryRetention, instance=True)
        self.reloader = Reloader(
            users=KnownUsers((), self.accounts.replace),
            session=self.session,
            manager=self.manager,
            hours=self.hours,
            hooks=self.hooks,
            retention=self.retention,
        )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        downloads=DownloadsConfig(stall_timeout=7, max_concurrent=5),
        hosts=(HOST,),
        history=HistoryConfig(keep_count=9),
        limits=(LimitConfig(allow_starts=False),),
        hooks=(HOOK,),
        users=config_for(tmp_path).users,
    )


async def test_users_are_replaced(config: Config) -> None:
    parts = Components()
    credentials = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {TOKEN}"}))
    assert parts.accounts.authenticate(credentials) is None
    parts.reloader.apply(config, origins=OriginSettings.load(config, {}), directories=DirectoryRules())
    assert parts.accounts.authenticate(credentials) is not None


def test_each_component_gets_its_part_of_the_configuration(config: Config) -> None:
    parts, origins, directories = Components(), OriginSettings.load(config, {}), DirectoryRules()
    parts.reloader.apply(config, origins=origins, directories=directories)
    parts.session.configure.assert_called_once_with(
        policy=origins.policy,
        credentials=origins.credentials,
        stall_timeout=7,
        tls=origins.tls,
        proxies=origins.proxies,
        hosts=origins.hosts,
    )
    parts.manager.configure.assert_called_once_with(
        policy=origins.policy,
        proxies=origins.proxies,
        directories=directories,
        config=config.downloads,
        hosts=config.hosts,
    )
    parts.hours.configure.assert_called_once_with(config.limits, config.downloads)
    parts.hooks.configure.assert_called_once_with((HOOK,))
    parts.retention.configure.assert_called_once_with(HistoryConfig(keep_count=9))
