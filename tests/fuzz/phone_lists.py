"""A CSV of phones: its rows, what each makes of a phone, and that phone as cells again."""

from __future__ import annotations

from tests.fuzz.engine import Try, fuzz


def prepare() -> Try:
    from ztp_server.config import shipped_folder
    from ztp_server.domain.base_settings import BaseSettings
    from ztp_server.domain.line_key import LineKey
    from ztp_server.domain.phone import Line, Phone
    from ztp_server.domain.site import Site
    from ztp_server.errors import BadValue
    from ztp_server.services.checks import checked_phone
    from ztp_server.services.phone_cells import cells_of, phone_of
    from ztp_server.services.phone_csv import read_rows
    from ztp_server.vendor_folders import read_folder
    from ztp_server.vendors import load_catalog

    catalog = load_catalog(read_folder(shipped_folder("templates")))
    site, base = Site("madrid", "Madrid"), BaseSettings("vvx", "", "vvx-411")
    known = Phone(
        name="Lobby",
        hardware_id="0004f2aabbcc",
        model="vvx-411",
        site="madrid",
        base_settings="vvx",
        lines=(Line("1001", password="p"), Line("1002")),
        line_keys=(LineKey("line", line=1), LineKey("blf", "1003", "x")),
    )

    def try_one(data: bytes) -> None:
        middle = len(data) // 2
        try:
            # In two pieces, as files come.
            rows = list(read_rows([data[:middle], data[middle:]]))
        except BadValue:
            return
        for row in rows:
            for before in (None, known):
                try:
                    phone = phone_of(row, before, catalog.settings)
                except BadValue:
                    continue
                try:
                    phone = checked_phone(catalog, phone, site, base)
                except BadValue:
                    continue
                cells_of(phone, catalog.settings, reveal=True)

    return try_one


if __name__ == "__main__":
    fuzz("phone_lists", prepare)
