"""Global options that users have changed."""

from downloadd.fronts.aria2.options.global_options import GlobalOptions


def test_options_are_those_of_the_user_who_changed_them() -> None:
    options = GlobalOptions()
    options.change("ann", {"dir": "/x", "split": "2"})
    options.change("ann", {"split": "3"})
    assert options.of("ann") == {"dir": "/x", "split": "3"}
    assert options.of("bob") == {}


def test_only_options_that_downloads_inherit_are_kept() -> None:
    options = GlobalOptions()
    options.change("ann", {"max-concurrent-downloads": "2", "out": "f", "foo": "bar"})
    assert options.of("ann") == {}
