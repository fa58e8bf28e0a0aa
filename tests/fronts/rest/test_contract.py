"""Shape of the description of an operation."""

from downloadd.fronts.rest.contract import Contract, ResponseSpec


def test_an_operation_without_more_takes_nothing_and_answers_json() -> None:
    contract = Contract(response=ResponseSpec(description="all is well"))
    assert (contract.query, contract.body, contract.headers, contract.other_responses) == (None, None, (), ())
    assert (contract.response.status, contract.response.media_type) == (200, "application/json")
