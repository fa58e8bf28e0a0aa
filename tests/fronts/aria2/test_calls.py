"""Calls and outcomes."""

from rich.pretty import pretty_repr

from downloadd.fronts.aria2.calls import Call, EncodedList


def test_a_call_does_not_show_its_token() -> None:
    call = Call(method="aria2.getVersion", params=["token:s3cret"])
    for shown in (repr(call), pretty_repr(call)):
        assert "aria2.getVersion" in shown
        assert "s3cret" not in shown


def test_parameters_may_be_missing() -> None:
    assert Call(method="x").params == []


def test_an_encoded_list_is_json_of_its_structs() -> None:
    structs = [{"gid": "1"}, {"gid": "2"}]
    encoded = EncodedList(structs)
    assert (len(encoded), encoded.nbytes, encoded.decode()) == (2, len('[{"gid":"1"},{"gid":"2"}]'), structs)
