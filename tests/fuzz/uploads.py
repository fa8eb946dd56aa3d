"""What a phone uploads as its user's changes: read, sifted, written anew, and read again as the same."""

from __future__ import annotations

from tests.fuzz.engine import Try, fuzz


def prepare() -> Try:
    from ztp_server.config import shipped_folder
    from ztp_server.domain.overrides import named, shown, sift
    from ztp_server.errors import BadValue
    from ztp_server.vendor_folders import read_folder
    from ztp_server.vendors import load_catalog
    from ztp_server.xml_parameters import read_attributes, write_attributes

    vendors = load_catalog(read_folder(shipped_folder("templates"))).vendors.values()
    rule = next(vendor.overrides for vendor in vendors if vendor.overrides)

    def try_one(body: bytes) -> None:
        try:
            found = read_attributes(body)
        except BadValue:
            return
        sifted = sift(rule, found)
        named(sifted.dropped)
        shown(found)
        written = write_attributes(rule.empty, sifted.kept)
        assert read_attributes(written) == sifted.kept
        assert write_attributes(rule.empty, sift(rule, read_attributes(written)).kept) == written

    return try_one


if __name__ == "__main__":
    fuzz("uploads", prepare)
