from collections import Counter

from downloadd.config.aria2.reasons import REASON_GROUPS, REASONS
from downloadd.config.aria2.rules import RULES


def test_an_option_has_one_reason_or_rules() -> None:
    numbers = Counter(option for options in REASON_GROUPS.values() for option in options)
    assert [option for option, number in numbers.items() if number > 1] == []
    assert {option for rule in RULES for option in rule.options} & set(REASONS) == set()
