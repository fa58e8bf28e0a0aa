import msgspec
import pytest

from downloadd.delivery import Delivery


def test_a_delivery_is_new_until_the_records_number_it_and_no_attempt_failed() -> None:
    delivery = Delivery(event_id="e", hook="chat", download_id="d", body=b"{}", created=1, due=2)
    assert (delivery.number, delivery.tries) == (0, 0)


def test_a_delivery_does_not_change_while_it_is_attempted() -> None:
    delivery = Delivery(event_id="e", hook="chat", download_id="d", body=b"{}", created=1, due=2)
    with pytest.raises(AttributeError):
        delivery.tries = 1  # type: ignore[misc]
    assert msgspec.structs.replace(delivery, tries=1).event_id == delivery.event_id
