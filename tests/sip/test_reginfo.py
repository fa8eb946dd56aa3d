"""`application/reginfo+xml` (RFC 3680): who is registered, version by version, whatever else it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ztp_server.errors import BadValue
from ztp_server.sip.reginfo import MOST_ELEMENTS, Contact, Registrations, read_reginfo

HEAD = '<?xml version="1.0"?>\n<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" state="{state}">'


def document(*registrations: str, version: int = 0, state: str = "full") -> bytes:
    return (HEAD.format(version=version, state=state) + "".join(registrations) + "</reginfo>").encode()


def registration(*contacts: str, name: str = "r1", state: str = "active") -> str:
    return f'<registration aor="sip:{name}@x" id="{name}" state="{state}">{"".join(contacts)}</registration>'


def contact(name: str, state: str = "active", event: str = "registered") -> str:
    return f'<contact id="{name}" state="{state}" event="{event}"><uri>sip:{name}</uri></contact>'


def test_a_document_is_read_with_all_that_counts() -> None:
    found = read_reginfo(
        document(
            """<registration aor="sip:100@example.org" id="0xb3a" state="active">
                 <contact id="c1" state="active" event="refreshed" expires="3599" duration-registered="7"
                          callid="x" cseq="2" received="" path="" user_agent="Phone &lt;1.0&gt;">
                   <uri>sip:100@192.0.2.7:5060;transport=<![CDATA[tls&x]]></uri>
                   <display-name xml:lang="en">Sales &amp; Co</display-name>
                   <x:other xmlns:x="urn:x"><x:uri>sip:evil</x:uri><uri>sip:evil</uri></x:other>
                 </contact>
                 <contact id="c2" state="terminated" event="expired">
                   <uri>sip:old</uri><unknown-param name="User-Agent">Old one</unknown-param></contact>
               </registration>"""
        )
    )
    assert (found.version, found.is_full) == (0, True)
    one = found.registrations["0xb3a"]
    assert (one.aor, one.state) == ("sip:100@example.org", "active")
    assert one.contacts["c1"] == Contact(
        *("c1", "sip:100@192.0.2.7:5060;transport=tls&x", "active", "refreshed", 3599, 7), "Phone <1.0>", "Sales & Co"
    )
    assert one.contacts["c2"] == Contact("c2", "sip:old", "terminated", "expired", user_agent="Old one")


def test_versions_are_taken_in_order() -> None:
    told = Registrations()
    assert told.take(read_reginfo(document(registration(contact("a"), contact("b")), version=3)))
    assert told.is_complete and set(told.known["r1"].contacts) == {"a", "b"}
    # One that is late, and one that came twice.
    late = [document(registration(name="late"), version=version, state="partial") for version in (2, 3)]
    assert not any(told.take(read_reginfo(body)) for body in late) and set(told.known) == {"r1"}
    partial = document(registration(contact("a", "terminated", "expired"), contact("c")), version=4, state="partial")
    assert told.take(read_reginfo(partial)) and set(told.known["r1"].contacts) == {"b", "c"} and told.is_complete
    # One was missed: known as far as it goes, until a full one comes.
    partial = document(registration(contact("d"), name="r2"), version=6, state="partial")
    assert told.take(read_reginfo(partial)) and not told.is_complete and set(told.known) == {"r1", "r2"}
    gone = document(registration(state="terminated"), version=7, state="partial")
    assert told.take(read_reginfo(gone)) and not told.is_complete and set(told.known) == {"r2"}
    assert told.take(read_reginfo(document(registration(state="init"), version=8)))
    assert told.is_complete and not told.known["r1"].contacts
    # Kamailio calls each of its full ones 0.
    assert told.take(read_reginfo(document(registration(contact("e")), version=0))) and told.known["r1"].contacts


def test_what_is_known_stays_bounded() -> None:
    told = Registrations()
    many = "".join(registration(name=f"r{number}") for number in range(900))
    assert told.take(read_reginfo(document(many)))
    for version in (1, 2):
        more = "".join(registration(name=f"v{version}-{number}") for number in range(600))
        told.take(read_reginfo(document(more, version=version, state="partial")))
    assert len(told.known) <= MOST_ELEMENTS and not told.is_complete


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
) + "]>"  # fmt: skip
WRONG = {
    "empty": b"",
    "garbage": b"\xff\xfe\0",
    "not whole": document()[:-3],
    "other root": b"<a/>",
    "other namespace": b'<reginfo version="0" state="full"/>',
    "no state": document(state="none"),
    "no number": document().replace(b'version="0"', b'version="-1"'),
    "long number": document().replace(b'version="0"', b'version="' + b"9" * 5000 + b'"'),
    "bomb": (BOMB + HEAD.format(version=0, state="full").partition("\n")[2] + "&i;</reginfo>").encode(),
    "bomb in UTF-16": ('<?xml version="1.0" encoding="utf-16"?>' + BOMB + "<a>&i;</a>").encode("utf-16"),
    "harmless DOCTYPE": document().replace(b"<reginfo", b"<!DOCTYPE reginfo><reginfo"),
    "external": b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    "too large": document(" " * 70_000),
    "too many": document(registration() * 10 + "<x/>" * MOST_ELEMENTS),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_what_is_no_such_document_is_refused(body: bytes) -> None:
    with pytest.raises(BadValue, match="reginfo"):
        read_reginfo(body)


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_no_bytes_do_anything_but_be_read_or_refused(junk: bytes, begin: int, end: int) -> None:
    good = document(registration(contact("a"), contact("b")))
    for body in (junk, good[:begin] + junk + good[end:]):
        try:
            found = read_reginfo(body)
        except BadValue:
            continue
        Registrations().take(found)


def test_depth_costs_nothing() -> None:
    with pytest.raises(BadValue):
        read_reginfo(document("<a>" * 15_000))
