"""Schemas of the requests for files."""

from downloadd.fronts.rest.file_schemas import DirectoryFilesQuery, FileLink, FileQuery


def test_the_fields_are_those_of_the_documentation() -> None:
    assert FileQuery.__struct_fields__ == ("disposition", "ticket")
    assert FileLink.__struct_fields__ == ("url", "ticket", "expires", "success")
    assert DirectoryFilesQuery.__struct_fields__ == ("files", "limit", "cursor")
