import resource
from collections.abc import Callable, Iterator

import pytest
import structlog

from downloadd.config import Config, DownloadsConfig
from downloadd.daemon.descriptors import fit_to_descriptors, max_clients, max_runs, raise_descriptor_limit

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.fixture
def set_limit() -> Iterator[Callable[[int], None]]:
    """Return a function that sets the soft limit of open files; restore it after the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_half_of_the_descriptors_are_for_clients(set_limit: Callable[[int], None]) -> None:
    set_limit(1032)
    assert max_clients() == 500


def test_downloads_are_reduced_to_what_the_other_half_is_enough_for(set_limit: Callable[[int], None]) -> None:
    set_limit(512)
    assert max_runs() == 48
    with structlog.testing.capture_logs() as lines:
        config = fit_to_descriptors(Config(downloads=DownloadsConfig(max_concurrent=1000)))
    assert config.downloads.max_concurrent == 48
    [line] = lines
    assert (line["event"], line["limit"], line["wanted"]) == ("descriptor_limit_low", 512, 1000)


def test_a_configuration_that_fits_stays(set_limit: Callable[[int], None]) -> None:
    set_limit(512)
    config = Config(downloads=DownloadsConfig(max_concurrent=40))
    assert fit_to_descriptors(config) is config


def test_the_soft_limit_becomes_the_hard_one(set_limit: Callable[[int], None]) -> None:
    set_limit(512)
    raise_descriptor_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (HARD, HARD)
