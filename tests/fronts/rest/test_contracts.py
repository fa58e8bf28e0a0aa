"""Contracts of the operations, whose errors are those of the classes."""

import pytest

from downloadd.errors import ERRORS, DownloadError, Occasion
from downloadd.fronts.rest import contracts
from downloadd.fronts.rest.contract import Contract

CONTRACTS = {name: value for name, value in vars(contracts).items() if isinstance(value, Contract)}
EACH = pytest.mark.parametrize("contract", list(CONTRACTS.values()), ids=list(CONTRACTS))


def with_occasion(occasion: Occasion) -> set[str]:
    return {code for code, kind in ERRORS.items() if occasion in kind.occasions}


@EACH
def test_an_operation_lists_each_error_once_for_each_shape(contract: Contract) -> None:
    assert len(set(contract.errors)) == len(contract.errors)
    assert len(set(contract.result_errors)) == len(contract.result_errors)
    assert bool(contract.result_errors) == (contract.result_error_type is not None)


@EACH
def test_every_operation_can_report_an_invalid_parameter(contract: Contract) -> None:
    assert "INVALID_PARAMETER" in {*contract.errors, *contract.result_errors}


@pytest.mark.parametrize(
    ("contract", "occasions"),
    [
        (contracts.START, (Occasion.ADMISSION,)),
        (contracts.BATCH, (Occasion.ADMISSION, Occasion.QUERY, Occasion.BODY)),
        (contracts.AMEND, (Occasion.ACTION, Occasion.BODY)),
        (contracts.CANCEL, (Occasion.ACTION,)),
        (contracts.HISTORY, (Occasion.READ,)),
        (contracts.UPLOAD, (Occasion.IMPORT, Occasion.UPLOAD)),
    ],
)
def test_an_operation_has_the_errors_of_its_occasions(contract: Contract, occasions: tuple[Occasion, ...]) -> None:
    for occasion in occasions:
        assert with_occasion(occasion) <= set(contract.errors)


def test_a_start_that_waits_reports_the_end_of_the_download_and_a_batch_does_not() -> None:
    assert set(contracts.START.result_errors) == with_occasion(Occasion.START) | with_occasion(Occasion.END)
    assert set(contracts.BATCH.result_errors) == with_occasion(Occasion.START)


def test_errors_without_an_operation_are_those_raised_before_one() -> None:
    of_all_requests = with_occasion(Occasion.ANY_REQUEST) | with_occasion(Occasion.AUTHENTICATION)
    listed = {code for contract in CONTRACTS.values() for code in (*contract.errors, *contract.result_errors)}
    assert set(ERRORS) - listed - of_all_requests == {
        "METHOD_NOT_ALLOWED",
        # Ends of a download that are no failures.
        "UNCHANGED",
        "ALREADY_THERE",
        "HTTP_VERSION_NOT_SUPPORTED",
    }
    assert not listed & of_all_requests


def test_every_listed_error_has_a_class() -> None:
    for contract in CONTRACTS.values():
        for code in (*contract.errors, *contract.result_errors):
            assert issubclass(ERRORS[code], DownloadError)
