"""Links, code blocks and settings of all pages."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from docs.pages import DOCS, PAGES, TOP, anchors, blocks, links, name_of, read

from downloadd.config import CredentialConfig, DirectoryConfig, HookConfig, HostConfig, ProxyConfig, UserConfig

EACH: Final = pytest.mark.parametrize("page", PAGES, ids=name_of)

TRIED: Final = {
    ("docs/how-to/origin-logins.md", "curl"): "test_the_commands_about_logins_send_them",
    ("docs/how-to/origin-logins.md", "downloadctl"): "test_the_commands_about_logins_send_them",
    ("README.md", "python3 -m venv .venv &&"): "test_a_new_user_gets_to_the_first_file",
    ("README.md", "pip install '.[test]'"): "test_ci_runs_the_test_command_of_the_readme",
    ("README.md", "downloadctl add --watch"): "test_the_commands_of_the_readme_run",
    ("README.md", "curl"): "test_the_commands_of_the_readme_run",
    ("README.md", "downloadctl import"): "test_the_commands_of_the_readme_run",
    ("docs/contributing.md", "python3 -m venv"): "test_ci_installs_what_contributors_install",
    ("docs/how-to/backup.md", "$ sqlite3"): "test_a_backup_while_the_daemon_runs_can_be_restored",
    ("docs/how-to/backup.md", "$ install"): "test_a_backup_while_the_daemon_runs_can_be_restored",
    ("docs/how-to/cluster.md", "createdb"): "test_the_page_sets_up_three_nodes_and_a_kill_loses_nothing",
    ("docs/how-to/cluster.md", "downloadctl"): "test_the_page_sets_up_three_nodes_and_a_kill_loses_nothing",
    ("docs/how-to/containers.md", "podman"): "test_the_daemon_is_process_1_with_a_read_only_root_and_any_user",
    ("docs/how-to/deployment.md", "sudo python3"): "test_the_commands_that_install_the_service_do_so",
    ("docs/how-to/failed-downloads.md", "curl"): "test_a_failed_download_continues_by_the_commands_of_the_page",
    ("docs/how-to/from-aria2.md", "downloadd"): "test_the_daemon_starts_with_the_aria2_conf_of_the_page",
    ("docs/how-to/from-aria2.md", "downloadctl"): "test_the_daemon_starts_with_the_aria2_conf_of_the_page",
    ("docs/how-to/hooks.md", "printf"): "test_the_command_for_a_secret_prints_a_valid_one",
    ("docs/how-to/hooks.md", "import base64"): "test_the_receiver_of_the_docs_accepts_only_signed_messages",
    ("docs/how-to/imports.md", "downloadctl import"): "test_the_commands_of_the_readme_run",
    ("docs/how-to/known-files.md", "downloadctl"): "test_the_commands_about_known_files_receive_nothing",
    ("docs/how-to/known-files.md", "curl"): "test_the_commands_about_known_files_receive_nothing",
    ("docs/how-to/limits.md", "downloadctl settings"): "test_the_commands_about_limits_change_them",
    ("docs/how-to/limits.md", "curl"): "test_the_commands_about_limits_change_them",
    ("docs/how-to/monitoring.md", "curl"): "test_the_commands_about_metrics_and_the_log_show_them",
    ("docs/how-to/monitoring.md", "promtool check"): "test_the_scrape_configuration_of_the_docs_is_valid",
    ("docs/how-to/monitoring.md", "journalctl"): "test_the_commands_about_metrics_and_the_log_show_them",
    ("docs/how-to/programs.md", "import asyncio"): "test_the_snippets_run_as_they_stand",
    ("docs/how-to/programs.md", "import { Client }"): "test_the_snippets_run_as_they_stand",
    ("docs/how-to/queue.md", "curl"): "test_the_commands_about_the_queue_change_it",
    ("docs/how-to/schedules.md", "downloadctl schedules"): "test_the_commands_about_schedules_change_them",
    ("docs/how-to/schedules.md", "curl"): "test_the_commands_about_schedules_change_them",
    ("docs/how-to/users.md", "downloadctl users"): "test_the_commands_of_the_page_about_users_run",
    ("docs/how-to/users.md", "downloadctl new-token"): "test_a_new_token_is_accepted_by_the_daemon",
    ("docs/tutorial/getting-started.md", ""): "test_a_new_user_gets_to_the_first_file",
    ("docs/tutorial/tour.md", "$ "): "test_the_tour_prints_what_the_page_shows",
}
"""The test that runs the commands and programs of a block, by its page and its beginning."""

LISTS: Final = {
    "hosts": HostConfig,
    "proxies": ProxyConfig,
    "credentials": CredentialConfig,
    "users": UserConfig,
    "directories": DirectoryConfig,
    "hooks": HookConfig,
}


def commands(page: Path) -> list[str]:
    """Return the blocks of a page that are commands or programs."""
    return blocks(page.read_text(encoding="utf-8"), "sh|bash|console|python|js")


def test_links_are_found() -> None:
    assert len({link for page in PAGES for link in links(page.read_text(encoding="utf-8"))}) > 30


@EACH
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        assert file.exists(), link
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), link


def test_the_index_links_every_page() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in links(read("docs/README.md"))}
    assert {page for page in DOCS.rglob("*.md") if page != DOCS / "README.md"} <= linked


def test_every_file_below_docs_is_linked() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in links(page.read_text(encoding="utf-8"))
    }
    assert {path for path in DOCS.rglob("*") if path.is_file()} <= linked


@pytest.mark.parametrize(("name", "start"), TRIED)
def test_every_command_that_is_run_is_on_its_page(name: str, start: str) -> None:
    assert [block for block in commands(TOP / name) if block.startswith(start)]


@EACH
def test_every_command_is_run_by_a_test(page: Path) -> None:
    tests = "".join(path.read_text() for path in (TOP / "tests").rglob("test_*.py"))
    for block in commands(page):
        names = {test for (name, start), test in TRIED.items() if name == name_of(page) and block.startswith(start)}
        assert names, f"no test runs this block of {page.name}:\n{block}"
        for name in names:
            assert f"def {name}(" in tests


def test_every_key_of_a_list_of_tables_is_in_an_example() -> None:
    examples = [tomllib.loads(block) for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), "toml")]
    for name, struct in LISTS.items():
        keys = {key for example in examples for table in example.get(name, []) for key in table}
        assert keys == set(struct.__struct_fields__), name


def test_glossary_terms_are_defined_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", read("docs/glossary.md"), re.MULTILINE)
    assert len(terms) > 25
    assert len(set(terms)) == len(terms)
