"""Errors of imports."""

from downloadd.import_operation import ImportErrorCode
from downloadd.imports.refusal import ImportRefusedError, UnknownImporterError


def test_a_refusal_concerns_the_file_unless_it_says_otherwise() -> None:
    error = ImportRefusedError("reason")
    assert (str(error), error.message, error.code) == ("reason", "reason", ImportErrorCode.INVALID_FILE)


def test_an_unknown_importer_is_a_refusal_with_the_known_keys() -> None:
    error = UnknownImporterError("hip", ("slack", "csv"))
    assert isinstance(error, ImportRefusedError)
    assert error.message == "no importer is called 'hip'; use one of slack, csv"
