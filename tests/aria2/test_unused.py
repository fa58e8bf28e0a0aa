from collections import Counter

from downloadd.aria2.unused import UNUSED, UNUSED_GROUPS


def test_an_option_has_one_reason() -> None:
    numbers = Counter(option for options in UNUSED_GROUPS.values() for option in options)
    assert [option for option, number in numbers.items() if number > 1] == []
    assert set(numbers) == set(UNUSED)


def test_a_reason_is_the_end_of_a_sentence() -> None:
    assert [reason for reason in UNUSED_GROUPS if reason.endswith(".")] == []
