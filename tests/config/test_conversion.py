import pytest

from downloadd.config import conversion
from downloadd.config.fields import Setting, read_settings
from downloadd.config.hook_settings import HookConfig
from downloadd.config.list_settings import CredentialConfig
from downloadd.config.settings import DownloadsConfig, ServerConfig

DOWNLOADS = read_settings("downloads", DownloadsConfig)
SERVER = read_settings("server", ServerConfig)
HOOKS = read_settings("hooks", HookConfig)
CREDENTIALS = read_settings("credentials", CredentialConfig)


@pytest.mark.parametrize(
    ("setting", "value", "converted"),
    [
        (DOWNLOADS["max_size"], "4 GiB", 4 << 30),
        (DOWNLOADS["max_size"], 5, 5),
        (DOWNLOADS["stall_timeout"], 5, 5.0),
        (DOWNLOADS["allowed_ports"], [80, "81-82"], (80, "81-82")),
        (DOWNLOADS["allowed_domains"], [], ()),
    ],
)
def test_a_value_becomes_the_type_of_its_setting(setting: Setting, value: object, converted: object) -> None:
    assert conversion.convert(setting, value) == converted


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        (SERVER["port"], 65536, "expected an integer from 0 to 65535, got 65536"),
        (SERVER["host"], "", 'expected a text in quotes that is not empty, got ""'),
        (DOWNLOADS["max_size"], "1 XB", "expected a size in one of the units"),
        (DOWNLOADS["enabled"], "yes", 'expected true or false, got "yes"'),
        (CREDENTIALS["password"], 5, "expected a text in quotes"),
        (CREDENTIALS["headers"], {"a": 1}, "expected a table of texts"),
        (HOOKS["events"], [], "expected a list of events, got a list"),
    ],
)
def test_a_value_of_another_type_is_refused(setting: Setting, value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared
        conversion.convert(setting, value)
    assert str(caught.value).startswith(message)
    if setting.is_secret:
        assert str(caught.value) == message


def test_unknown_texts_of_a_list_are_problems() -> None:
    assert list(conversion.check_choices(HOOKS["events"], ("failed", "complete"))) == [
        '"complete": unknown event; did you mean completed?'
    ]
    assert list(conversion.check_choices(DOWNLOADS["allowed_domains"], ("anything",))) == []


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (DOWNLOADS["enabled"], " ON ", True),
        (DOWNLOADS["enabled"], "perhaps", "perhaps"),
        (SERVER["port"], "8_0", 80),
        (SERVER["port"], "1" * 5000, "1" * 5000),
        (DOWNLOADS["stall_timeout"], "1.5", 1.5),
        (DOWNLOADS["stall_timeout"], "soon", "soon"),
        (DOWNLOADS["allowed_domains"], "a, b,", ["a", "b"]),
        (DOWNLOADS["allowed_domains"], ' ["a"]', ["a"]),
        (SERVER["host"], "[x", "[x"),
    ],
)
def test_the_text_of_a_variable_is_read_by_the_type_of_its_setting(setting: Setting, text: str, value: object) -> None:
    assert conversion.parse_text(setting, text) == value


@pytest.mark.parametrize("text", ["[", "[" * 100_000])
def test_a_malformed_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a list in JSON"):
        conversion.parse_json_list(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        ("a\nb", '"a\\nb"'),
        (10**60, "a huge number"),
        (1.5, "1.5"),
        (["a"], "a list"),
        ([1], "a list of other things"),
        ({}, "a table"),
        (None, "a date or time"),
        ("x" * 100, '"' + "x" * 59 + "…"),
    ],
)
def test_values_in_messages_are_short(value: object, shown: str) -> None:
    assert conversion.format_value(value) == shown


def test_an_unknown_word_is_answered_by_the_most_similar_one() -> None:
    candidates = {"port": "server.port", "host": "server.host"}
    assert conversion.describe_unknown("prt", candidates) == "unknown key; did you mean server.port?"
    assert conversion.describe_unknown("zzz", candidates) == "unknown key; known ones: server.port, server.host"
    assert "storage.root" in conversion.describe_unknown("root", candidates, {"root": "storage.root"})
