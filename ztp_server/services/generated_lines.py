"""Lines and passwords that are made for a phone, so that nobody has to think of one."""

from __future__ import annotations

import secrets
import string
from dataclasses import replace

from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import BadValue

# Letters and digits survive every device's form, and being read out; these are 119 bits.
_LETTERS = string.ascii_letters + string.digits
_LENGTH = 20


def new_password() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def completed(phone: Phone, before: Phone | None, extension: str) -> tuple[Phone, dict[int, str]]:
    """The phone with what is made for its category, and the new passwords by the position of their line, to be shown
    once. A line of an unmanaged phone has a password; a webrtc phone has one line, which registers as the extension of
    its user. Raises BadValue when another was asked for."""
    if phone.category == "webrtc":
        phone = replace(phone, lines=(_webrtc_line(phone, before, extension),))
    if phone.category not in ("unmanaged", "webrtc"):
        return phone, {}
    made = {number: new_password() for number, line in enumerate(phone.lines, 1) if not line.password}
    lines = tuple(replace(line, password=made.get(number, line.password)) for number, line in enumerate(phone.lines, 1))
    return replace(phone, lines=lines), made


def _webrtc_line(phone: Phone, before: Phone | None, extension: str) -> Line:
    if not extension and phone.user:
        raise BadValue("user", f"{phone.user} has no extension, with which a webrtc phone registers")
    is_of_another = before is not None and phone.lines == before.lines and phone.lines[0].user != extension
    if not phone.lines or is_of_another:
        return Line(extension)
    if len(phone.lines) > 1:
        raise BadValue("lines.2", "a webrtc phone has one line")
    if phone.lines[0].user != extension:
        raise BadValue("lines.1.user", f"a webrtc phone registers as the extension of its user, {extension}")
    return phone.lines[0]
