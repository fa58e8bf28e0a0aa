"""Users that the configuration names in other tables than `[[users]]`."""

from downloadd.accounts.named_users import find_unknown_users
from downloadd.config import Config, DirectoryConfig, RuleConfig, ScheduleConfig


def test_each_place_that_names_an_unknown_user_is_found() -> None:
    config = Config(
        directories=(DirectoryConfig(path="a", users=("ann", "bob")), DirectoryConfig(path="b")),
        rules=(RuleConfig(name="r", users=("bob", "ann")), RuleConfig(name="all")),
        schedules=(
            ScheduleConfig(name="s", cron="@daily", url="http://a/f", user="bob"),
            ScheduleConfig(name="t", cron="@daily", url="http://a/f"),
        ),
    )
    assert list(find_unknown_users(config, {"ann"})) == [
        ("users of [[directories]] a", "bob"),
        ("users of [[rules]] r", "bob"),
        ("user of [[schedules]] s", "bob"),
    ]
    assert list(find_unknown_users(config, {"ann", "bob"})) == []
