"""Messages: read within bounds or refused with one error, in no time; what is written reads back."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import examples
from tests.sip.peer import ManualClock
from ztp_server.errors import BadValue
from ztp_server.sip.client_transactions import ClientTransactions
from ztp_server.sip.clock import Intervals
from ztp_server.sip.inbound import Inbound
from ztp_server.sip.message import LARGEST, Malformed, address, check_uri, compose, parse, split, via, with_source
from ztp_server.sip.udp import UdpChannel

GOOD = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;rport\r\nFrom: <sip:a@b>;tag=1\r\n"
    b'To: "x" <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContact: <sip:a@[::1]:5;x=y>;q=1\r\n'
    b"Record-Route: <sip:a;lr>\r\nContent-Length: 4\r\n\r\nbody"
)
REQUEST = b"NOTIFY sip:a@b SIP/2.0" + GOOD[14:].replace(b"1 OPTIONS", b"1 NOTIFY")
PIECES = [
    b"\r\n",
    b"\0",
    b":",
    b";",
    b"<",
    b">",
    b'"',
    b"\\",
    b",",
    b" ",
    b"=",
    b"\xff",
    b"self",
    b"SIP/2.0",
    b"tag=",
    b"9" * 30,
]


@given(st.text(max_size=100), st.dictionaries(st.from_regex("[A-Za-z-]{1,20}", fullmatch=True), st.text(max_size=60)))
def test_what_is_written_reads_back_or_was_refused(reason: str, headers: dict[str, str]) -> None:
    extra = [(f"X-{name}", value) for name, value in headers.items()]
    needed = [("Via", "SIP/2.0/UDP a"), ("From", "<sip:a>"), ("To", "<sip:a>"), ("Call-ID", "c"), ("CSeq", "1 X")]
    try:
        raw = compose(f"SIP/2.0 200 {reason}", [*needed, *extra], b"\0body\r\n")
    except BadValue as error:
        assert not any(value in str(error) for value in headers.values() if len(value) > 20)
        return
    assert raw.count(b"\r\n") == 1 + len(needed) + len(extra) + 1 + 1 + 1
    message = parse(raw)
    assert message.body == b"\0body\r\n" and getattr(message, "phrase", "") == reason
    for name, value in extra:
        assert message.headers.getlist(name)[0].split() == value.split()


class Nowhere(UdpChannel):
    """A channel that keeps what is sent."""

    def __init__(self) -> None:
        self.remote = self.local = ("127.0.0.1", 5060)
        self.sent: list[bytes] = []

    def send(self, raw: bytes) -> None:
        self.sent.append(raw)

    def back(self, port: int) -> UdpChannel:
        return self


@settings(max_examples=examples(300, 20_000))
@given(
    st.sampled_from([GOOD, REQUEST, REQUEST.replace(b"NOTIFY", b"OPTIONS")]),
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=20)), max_size=6
    ),
)
def test_nothing_raises_out_of_the_loop_that_receives(base: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    raw = base
    for at, size, piece in cuts:
        raw = raw[:at] + piece + raw[at + size :]
    clock = ManualClock()
    inbound = Inbound(ClientTransactions(clock, Intervals()), clock, Intervals())
    channel = Nowhere()
    inbound.received(raw, channel)
    for answer in channel.sent:
        assert answer.startswith(b"SIP/2.0 ") and parse(answer)
    try:
        message = parse(raw)
        for value in message.headers.getlist("Contact") + message.headers.getlist("Record-Route"):
            for member in split([value]):
                address(member)
        via(message)
    except Malformed:
        pass


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_malformed(raw: bytes) -> None:
    for piece in (raw, b"SIP/2.0 " + raw, b"SIP/2.0 200 OK\r\n" + raw + b"\r\n\r\n"):
        try:
            parse(piece)
        except Malformed as error:
            assert len(str(error)) < 80


LINE = 8100
SLOW = [
    *(piece * (LINE // len(piece)) for piece in (b"<", b'"a" ', b";tag", b"; ", b",", b'a,"', b';a="\\"')),
    b'"' + b"\\" * LINE,
    b" " * LINE + b"x",
    b"a" + b" " * LINE + b"x",
    b"SIP/2.0/UDP a" + b" " * LINE + b"x",
    b"SIP/2.0/UDP " + b"a." * (LINE // 2),
    b"<sip:" + b"a-" * (LINE // 2),
    b"sip:" + b"a." * (LINE // 2) + b"@",
]


@pytest.mark.parametrize("value", SLOW, ids=range(len(SLOW)))
def test_no_value_takes_long_to_read(value: bytes) -> None:
    begin = time.process_time()
    for header in (b"Via", b"From", b"To", b"Contact", b"CSeq", b"Content-Length", b"Call-ID"):
        raw = b"\r\n".join(
            header + b": " + value if line.startswith(header) else line for line in REQUEST.split(b"\r\n")
        )
        Inbound(ClientTransactions(ManualClock(), Intervals()), ManualClock(), Intervals()).received(raw, Nowhere())
    for read in (address, lambda text: split([text]), lambda text: with_source(f"x, {text}", "h", 1)):
        with suppress(Malformed):
            read(value.decode())
    # Linear readers take milliseconds, a quadratic one seconds.
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("control", [b"\0", b"\n", b"\r", b"\x0b", b"\x7f"])
def test_a_control_character_makes_a_message_malformed(control: bytes) -> None:
    assert parse(GOOD.replace(b"Call-ID", b"X-Y : a\tb :c\r\nCall-ID")).headers["X-Y"] == "a\tb :c"
    with pytest.raises(Malformed):
        parse(GOOD.replace(b"Call-ID", b"X-Y: a" + control + b"b\r\nCall-ID"))


def test_a_line_without_a_colon_makes_a_message_malformed() -> None:
    with pytest.raises(Malformed):
        parse(GOOD.replace(b"Call-ID", b"Colonless\r\nCall-ID"))


def test_hosts_and_parameters_are_taken_as_they_are() -> None:
    assert address("<sip:x@pbx1:5060;a=b%20c>;+x=1;TAG=a+b%41").tag == "a+b%41"
    assert address('"A \\" <b>, c" <sip:x,y@pbx1>').uri == "sip:x,y@pbx1"
    assert address("sip:a@b;tag=1") == address("<sip:a@b> ; tag = 1")
    assert split(['"a, b" <sip:c,d>;x=1, sip:e', "f"]) == ['"a, b" <sip:c,d>;x=1', "sip:e", "f"]
    for wrong in ("", "<>", "<sip:a", "a b", '"a <sip:b>', "<sip:a> b"):
        with pytest.raises(Malformed):
            address(wrong)


def test_addresses_that_may_be_sent_to() -> None:
    for good in (
        "sip:100@pbx1",
        "sips:a.b+c%20@[2001:db8::1]:5061;transport=tls",
        "sip:pbx.example",
        "sip:*67;x=y@10.0.0.1",
    ):
        assert check_uri("target", good) == good
    for wrong in (
        "",
        "100",
        "http://x",
        "sip:",
        "sip:a@",
        "sip:a b@c",
        "sip:a@b>",
        "sip:a@b\n",
        "sip:ä@b",
        "sip:a@b@c",
        "sip:" + "a" * 999,
    ):
        with pytest.raises(BadValue, match="target"):
            check_uri("target", wrong)
    with pytest.raises(BadValue):
        compose("OPTIONS sip:a SIP/2.0", [], b"x" * LARGEST)
