"""Whatever text an administrator writes: it is refused, naming the field, or a phone reads exactly that text."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.conftest import ADMIN, HD400, VVX, examples, fill, sample_phone
from tests.services.opened import new_data, open_data
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import BadValue
from ztp_server.services.opening import Services

T = TypeVar("T")

PIECES = [
    "", " ", "  ", "\t", "\n", "\r\n", "\x00", "\x1b[2J", "\x7f", "\x85", "\ud800", "\udfff", "\ufffe", "\uffff",
    "\ufeff", "\u2028", "\u202e", "\u200b", "שלום", "مرحبا", "é", "e\u0301", "😀", "\U0001fffe", "\U0010ffff",
    '"', "'", "&", "&amp;", "&#10;", "&#x0;", "<", ">", "]]>", "<!--", "-->", "<![CDATA[", "<?xml ?>", "<!DOCTYPE x>",
    "{{", "}}", "{%", "%}", "{#", "#}", "{{ settings }}", "{% raw %}", "%s", "%41", "${x}", "$(x)", "`x`", "\\n", "\\",
    "=", "==", "a=b", "#", ";", "//", "NULL", "null", "x\nvoip/line/0/id=evil", 'x" reg.1.address="evil', "1001",
]  # fmt: skip
hostile = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.text(max_size=40),
    st.text(st.characters(), max_size=40),
    st.builds(lambda piece, times: piece * times, st.sampled_from([p for p in PIECES if p]), st.integers(1, 3000)),
    st.builds("{}{}{}".format, st.sampled_from(["", " ", "\u00a0"]), st.text(max_size=9), st.sampled_from(["", " "])),
)


class Files:
    """A phone's files, read as the phone reads them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._xml = {n: etree.fromstring(b) for n, b in files.items() if b.startswith(b"<?xml")}
        self._lines = [line for n, b in files.items() if n not in self._xml and "pem" not in n for line in _split(b)]

    def value(self, parameter: str) -> str | None:
        """The value of a parameter, None where no file has it; it stands once."""
        found = self._values(parameter)
        assert len(found) <= 1, f"{parameter} stands {len(found)} times"
        return found[0] if found else None

    def _values(self, parameter: str) -> list[str]:
        attributes = [e.attrib[parameter] for root in self._xml.values() for e in root.iter() if parameter in e.attrib]
        elements = [e.text or "" for root in self._xml.values() for e in root.iter(f"{{*}}{parameter}")]
        return attributes + elements + [value for name, value in self._lines if name == parameter]

    @property
    def names(self) -> list[tuple[str, ...]]:
        """Everything in the files but the values."""
        xml = [(n, e.tag, *e.attrib) for n, root in sorted(self._xml.items()) for e in root.iter()]
        return xml + [(name,) for name, _ in self._lines]


def _split(body: bytes) -> list[tuple[str, str]]:
    text = body.decode()
    assert text.endswith("\n") and "\r" not in text
    pairs = [line.partition("=") for line in text[:-1].split("\n")]
    assert all(equals for _, equals, _ in pairs), "a line without ="
    return [(name, value) for name, _, value in pairs]


@dataclass(frozen=True)
class Field:
    """A place where text is written: on the phone, and under which name of the maker it comes out."""

    name: str
    write: Callable[[Phone, str], Phone]
    parameter: str
    otherwise: str | None = ""  # what stands in the file when the text is empty; None: the parameter is left out


def line(name: str, parameter: str, otherwise: str | None = "") -> Field:
    def write(phone: Phone, text: str) -> Phone:
        return replace(phone, lines=(replace(phone.lines[0], **{name: text}), *phone.lines[1:]))

    return Field(f"lines.1.{name}", write, parameter, otherwise)


def key(number: int, name: str, parameter: str, otherwise: str = "") -> Field:
    def write(phone: Phone, text: str) -> Phone:
        keys = list(phone.line_keys)
        keys[number - 1] = replace(keys[number - 1], **{name: text})
        return replace(phone, line_keys=tuple(keys))

    return Field(f"line_keys.{number}.{name}", write, parameter, otherwise)


def setting(name: str, parameter: str, otherwise: str | None = None) -> Field:
    def write(phone: Phone, text: str) -> Phone:
        return replace(phone, settings={**phone.settings, name: text})

    return Field(f"settings.{name}", write, parameter, otherwise)


XML = [
    line("user", "reg.1.address"),
    line("auth_user", "reg.1.auth.userId", "1001"),
    line("password", "reg.1.auth.password", None),
    line("display_name", "reg.1.displayName", "1001"),
    line("label", "reg.1.label", "1001"),
    key(1, "value", "attendant.resourceList.1.address"),
    key(1, "label", "attendant.resourceList.1.label", "1003"),
    key(2, "value", "ct"),
    key(2, "label", "fn", "+34600000000"),
    setting("custom.a.b", "a.b", ""),
    setting("custom.feature.pass_word-1", "feature.pass_word-1", ""),
    setting("admin_password", "device.auth.localAdminPassword"),
    setting("user_password", "device.auth.localUserPassword"),
    setting("digit_map", "dialplan.digitmap"),
    setting("language", "lcl.ml.lang"),
    setting("date_format", "lcl.datetime.date.format"),
    setting("mwi_address", "msg.mwi.1.callBack"),
    setting("held_token", "feature.E911.HELD.password"),
]
LINES = [
    line("user", "voip/line/0/id"),
    line("auth_user", "voip/line/0/auth_name", "1001"),
    line("password", "voip/line/0/auth_password"),
    line("display_name", "voip/line/0/description", "1001"),
    line("label", "voip/line/0/extension_display", "1001"),
    key(1, "value", "personal_settings/functional_key/0/speed_dial_number"),
    key(1, "label", "personal_settings/functional_key/0/key_label", "+34600000000"),
    setting("custom.voip/x", "voip/x", ""),
    # A raw parameter that the file has as well: it takes that one's place.
    setting("custom.voip/dialing/timeout", "voip/dialing/timeout", ""),
    # Passwords of the phone itself are hashes there: tests/test_md5_crypt.py.
    setting("blf_list_uri", "voip/services/busy_lamp_field/uri", ""),
    setting("digit_map", "voip/signalling/sip/digit_map", ""),
    setting("language", "personal_settings/language"),
    setting("date_format", "system/ntp/date_display_format"),
    setting("mwi_address", "voip/services/msg_waiting_ind/voice_mail_number", ""),
]

PLAIN = {
    VVX: sample_phone(
        lines=(Line("1001", password="secret"),),
        line_keys=(LineKey("blf", "1003"), LineKey("speed_dial", "+34600000000")),
        settings={"held_secondary_url": "", "time_zone": "Etc/UTC"},
    ),
    HD400: sample_phone(
        HD400,
        model="audiocodes-405hd",
        base_settings="400hd",
        lines=(Line("1001", password="secret"),),
        line_keys=(LineKey("speed_dial", "+34600000000"),),
    ),
}


class Office:
    """Services that tests which are no coroutines can ask."""

    def __init__(self, runner: asyncio.Runner, services: Services, data: Path) -> None:
        self.runner = runner
        self.services = services
        self.data = data
        self.names: dict[tuple[str, str], list[tuple[str, ...]]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def write(self, phone: Phone) -> Phone:
        before = self.run(self.services.phones.get(ADMIN, phone.hardware_id))
        changes = {**dict.fromkeys(before.settings), **phone.settings}
        written = self.run(
            self.services.phones.edit(
                ADMIN, phone.hardware_id, {"name": phone.name}, changes, phone.lines, phone.line_keys
            )
        )
        kept: Phone = written.phone
        return kept

    def files(self, phone: Phone) -> dict[str, bytes]:
        return self.run(self.services.phones.preview(ADMIN, phone.hardware_id, None, True))


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with asyncio.Runner() as runner:
        data = new_data(tmp_path_factory.mktemp("properties") / "data")
        services = runner.run(open_data(data))
        runner.run(fill(services))
        yield Office(runner, services, data)
        runner.run(services.close())


def hostile_for(fields: list[Field]) -> Any:
    return given(place=st.sampled_from(fields), text=hostile)


few_or_many = settings(
    max_examples=examples(250, 8000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few_or_many
@hostile_for(XML)
@example(XML[0], "a\nb").via("a line break in an attribute")
@example(XML[3], " edges ").via("spaces at the edges are text")
@example(XML[8], "a]]>b").via("the end of CDATA in an element")
def test_xml_says_exactly_what_was_written_or_it_was_refused(office: Office, place: Field, text: str) -> None:
    written_exactly_or_refused(office, PLAIN[VVX], place, text)


@few_or_many
@hostile_for(LINES)
@example(LINES[4], "NULL").via("a word that means something else")
@example(LINES[2], " x").via("a space at the edge")
@example(LINES[7], "a=b=c").via("equals signs in a value")
@example(LINES[3], "\u2028voip/line/0/id=9").via("a line break to Unicode, not to a phone")
def test_a_line_file_says_exactly_what_was_written_or_it_was_refused(office: Office, place: Field, text: str) -> None:
    written_exactly_or_refused(office, PLAIN[HD400], place, text)


def written_exactly_or_refused(office: Office, plain: Phone, place: Field, text: str) -> None:
    try:
        office.write(place.write(plain, text))
    except BadValue as error:
        assert error.field == place.name
        assert "\n" not in str(error)
        return
    files = office.files(plain)
    read = Files(files)
    assert read.value(place.parameter) == (text or place.otherwise)
    if text:
        assert read.names == harmless(office, plain, place), "the text made or unmade a parameter"


def harmless(office: Office, plain: Phone, place: Field) -> list[tuple[str, ...]]:
    """The names that the files hold with a text in that place that harms nobody."""
    if (plain.hardware_id, place.name) not in office.names:
        office.write(place.write(plain, "EUROPEAN" if "date_format" in place.name else "7"))
        office.names[plain.hardware_id, place.name] = Files(office.files(plain)).names
    return office.names[plain.hardware_id, place.name]


@few_or_many
@given(name=hostile)
def test_the_name_of_a_phone_is_kept_exactly_or_refused(office: Office, name: str) -> None:
    try:
        kept = office.write(replace(PLAIN[VVX], name=name))
    except BadValue as error:
        assert error.field == "name"
    else:
        assert kept.name == name and Files(office.files(kept)).value("reg.1.address") == "1001"


@few_or_many
@given(
    name=st.one_of(
        st.sampled_from(["xmlns", "xmlns.a", "xml", "XMLNS", "id", "a..b", "a.", "1a", "a b", "é", "a=b", "a:b"]),
        st.text("abcxmlns.-_:19", min_size=1, max_size=8),
        hostile,
    ),
    mac=st.sampled_from([VVX, HD400]),
)
@example("xmlns", VVX).via("a name that XML keeps for itself")
@example("voip/line/0/id", HD400).via("a parameter that the file has as well")
def test_a_raw_parameter_comes_out_under_its_name_or_is_refused(office: Office, name: str, mac: str) -> None:
    plain = replace(PLAIN[mac], settings={**PLAIN[mac].settings, f"custom.{name}": "raw value"})
    try:
        office.write(plain)
    except BadValue as error:
        # A name that is too long to be read is cut off.
        assert error.field == f"settings.custom.{name}" or f"settings.custom.{name}".startswith(error.field)
    else:
        read = Files({n: b for n, b in office.files(plain).items() if mac == HD400 or n.endswith("-custom.cfg")})
        assert read.value(name) == "raw value"


@few_or_many
@given(secret=hostile)
def test_no_refusal_of_a_secret_repeats_it(office: Office, secret: str) -> None:
    assume(len(secret) > 5)
    for plain, place in (
        (PLAIN[VVX], XML[2]),
        (PLAIN[VVX], XML[11]),
        (PLAIN[HD400], LINES[2]),
        (PLAIN[HD400], LINES[9]),
    ):
        try:
            office.write(place.write(plain, secret))
        except BadValue as error:
            assert secret not in str(error)


@settings(max_examples=examples(10, 200), deadline=None)
@given(text=hostile)
def test_rendering_twice_gives_the_same_bytes(office: Office, text: str) -> None:
    for plain in PLAIN.values():
        phone = replace(plain, settings={**plain.settings, "digit_map": text})
        try:
            office.write(phone)
        except BadValue:
            office.write(plain)
        assert office.files(plain) == office.files(plain)


READ_IN_ANOTHER_PROCESS = """
import asyncio, hashlib, json, sys
from pathlib import Path
from tests.conftest import ADMIN, HD400, VVX
from tests.services.opened import open_data

async def main():
    services = await open_data(Path(sys.argv[1]))
    try:
        files = {}
        for mac in (VVX, HD400):
            files |= await services.phones.preview(ADMIN, mac, None, True)
        print(json.dumps({name: hashlib.sha256(body).hexdigest() for name, body in files.items()}))
    finally:
        await services.close()

asyncio.run(main())
"""


@pytest.mark.slow
def test_time_zone_hash_seed_and_language_of_the_machine_change_no_byte(office: Office) -> None:
    custom = {f"custom.a.{n}": str(n) for n in range(20)}
    office.write(replace(PLAIN[VVX], settings={**custom, "time_zone": "Europe/Madrid"}))
    office.write(replace(PLAIN[HD400], settings={name.replace(".a.", ".a/"): value for name, value in custom.items()}))
    here = {
        name: hashlib.sha256(body).hexdigest()
        for mac in (VVX, HD400)
        for name, body in office.files(PLAIN[mac]).items()
    }
    for zone, seed, language in (
        ("Asia/Tokyo", "0", "C"),
        ("America/St_Johns", "1", "tr_TR.UTF-8"),
        ("", "77", "POSIX"),
    ):
        elsewhere = subprocess.run(
            [sys.executable, "-c", READ_IN_ANOTHER_PROCESS, str(office.data)],
            env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": language, "LANG": language},
            capture_output=True,
            cwd=Path(__file__).parents[1],
            check=True,
        )
        assert json.loads(elsewhere.stdout) == here
