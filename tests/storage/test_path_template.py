from datetime import UTC, datetime

import pytest

from downloadd.storage.path_template import PLACEHOLDERS, check_path_template, fill_path_template, template_values

TIME = datetime(2026, 3, 9, tzinfo=UTC)


def values(**changed: str) -> dict[str, str]:
    given = {"directory": "team/a", "user": "ann", "url": "https://h.example:8443/x"} | changed
    return template_values(time=TIME, **given)


def test_each_placeholder_has_a_value() -> None:
    assert set(values()) == set(PLACEHOLDERS)
    path = fill_path_template("/srv/{host}/{directory}/{user}/{year}-{month}-{day}/{{x}}", values())
    assert path == "/srv/h.example/team/a/ann/2026-03-09/{x}"


@pytest.mark.parametrize(
    ("changed", "template"),
    [
        ({"user": "../../etc"}, "/srv/{user}"),
        ({"user": ".."}, "/srv/{user}"),
        ({"user": "a/b"}, "/srv/{user}"),
        ({"directory": "../.."}, "/srv/{directory}"),
        ({"url": "https://../x"}, "/srv/{host}"),
        ({"url": "https://[::1/"}, "/srv/{host}"),
    ],
)
def test_no_value_leads_elsewhere(changed: dict[str, str], template: str) -> None:
    path = fill_path_template(template, values(**changed))
    assert path.startswith("/srv/")
    assert ".." not in path.split("/")


def test_ids_of_users_that_are_no_names_get_different_ones() -> None:
    ids = ["ann", "team/ann", "other/ann", "a:n", "a*n", "a_n", "..", "n" * 300, "n" * 301]
    names = [values(user=id)["user"] for id in ids]
    assert names[0] == "ann"
    assert names[1].startswith("ann-")
    assert len(set(names)) == len(ids)
    assert max(map(len, names)) < 70


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("/srv/{host", "brace"),
        ("/srv/}", "brace"),
        ("/srv/{Host}", "{Host} is not a placeholder"),
        ("/srv/{}", "{} is not a placeholder"),
        ("/srv/{host.x}", "not a placeholder"),
        ("/srv/{host!r}", "not a placeholder"),
        ("/srv/{year:>9}", "not a placeholder"),
    ],
)
def test_a_wrong_template_is_refused(template: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_path_template(template)


def test_a_path_without_placeholders_is_a_template() -> None:
    check_path_template("/srv/archive")
    assert fill_path_template("/srv/archive", values()) == "/srv/archive"
