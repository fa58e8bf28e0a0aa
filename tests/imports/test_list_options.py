from typing import Any

import pytest
from msgspec import convert, json
from msgspec.structs import asdict

from downloadd.download import Conflict
from downloadd.download_request import StartParameters
from downloadd.import_operation import FileParameters
from downloadd.imports.list_options import MAX_SECONDS, PARSERS, describe_unused, make_parameters


def parameters(**options: str) -> dict[str, Any]:
    """Return the parameters that options stand for, without the defaults."""
    names = {name: name.replace("_", "-") for name in options}
    values = {names[name]: PARSERS[names[name]](text) for name, text in options.items()}
    made = make_parameters(values)
    defaults = asdict(FileParameters())
    return {} if made is None else {key: value for key, value in asdict(made).items() if value != defaults[key]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"split": "99"}, {"segments": 16}),
        ({"split": "2", "max_connection_per_server": "9"}, {"segments": 2}),
        ({"max_connection_per_server": "9"}, {"segments": 5}),
        ({"max_connection_per_server": "1"}, {"segments": 1}),
        ({"max_download_limit": "20K"}, {"speed_limit": 20_480}),
        ({"max_download_limit": "0"}, {}),
        ({"max_tries": "1"}, {"max_retries": 0}),
        ({"max_tries": "5"}, {"max_retries": 4}),
        ({"max_tries": "0"}, {"max_retries": 1000}),
        ({"max_tries": "99999"}, {"max_retries": 1000}),
        ({"retry_wait": "0", "timeout": "0"}, {"retry_wait": 0, "stall_timeout": 0}),
        ({"connect_timeout": "7"}, {"connect_timeout": 7}),
        ({"lowest_speed_limit": "1M"}, {"min_speed": 1 << 20}),
        ({"lowest_speed_limit": "0"}, {}),
        ({"pause": "true"}, {"paused": True}),
        ({"pause": "false"}, {}),
        ({"gid": "00000000000000AB"}, {"gid": "00000000000000ab"}),
        ({"allow_overwrite": "true"}, {"conflict": Conflict.OVERWRITE}),
        ({"allow_overwrite": ""}, {"conflict": Conflict.OVERWRITE}),
        ({"allow_overwrite": "false"}, {"conflict": Conflict.RENAME}),
        ({"allow_overwrite": "false", "auto_file_renaming": "false"}, {"conflict": Conflict.ERROR}),
        ({"auto_file_renaming": "true"}, {"conflict": Conflict.RENAME}),
        ({"conditional_get": "true"}, {"skip_same": True}),
    ],
)
def test_options_become_parameters(options: dict[str, str], expected: dict[str, Any]) -> None:
    assert parameters(**options) == expected


@pytest.mark.parametrize("text", ["", "0", "0" * 16, "12", "x" * 16, "0123456789abcdef0"])
def test_another_text_is_not_a_gid(text: str) -> None:
    with pytest.raises(ValueError, match="expected 16 hexadecimal digits"):
        PARSERS["gid"](text)


def test_every_parsed_value_is_one_that_a_request_accepts() -> None:
    highest = {
        name: str(MAX_SECONDS) if name in {"connect-timeout", "retry-wait", "timeout"} else "9" * 18
        for name in PARSERS.keys() - {"gid", "pause", "allow-overwrite", "auto-file-renaming", "conditional-get"}
    }
    made = make_parameters({name: PARSERS[name](text) for name, text in highest.items()})
    given = {key: value for key, value in asdict(made or FileParameters()).items() if value is not None}
    assert len(given) > 6
    convert(given, StartParameters)
    assert json.decode(json.encode(made), type=FileParameters) == made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("seed-time", "is left out: BitTorrent is not supported"),
        ("https-proxy-user", "is left out: proxies are those that the configuration names"),
        ("no-proxy", "is left out: proxies are those that the configuration names"),
        ("load-cookies", "is not a supported option"),
        ("nonsense", "is not a supported option"),
    ],
)
def test_an_option_without_a_use_has_a_reason(name: str, expected: str) -> None:
    assert describe_unused(name) == expected
