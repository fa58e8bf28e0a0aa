from downloadd.directory_settings import DirectorySettings
from downloadd.download import Conflict


def test_a_directory_without_configuration_restricts_nothing() -> None:
    settings = DirectorySettings()
    assert (settings.quotas, settings.users, settings.owner, settings.mode) == ((), None, None, None)
    assert settings.conflict is Conflict.RENAME
