"""vendor.toml, a family.toml and a list of parameters, one after the other in an input: a catalogue, or TemplateError
naming one of them. What is loaded answers what requests ask of it."""

from __future__ import annotations

from tests.fuzz.engine import Try, fuzz

FILES = ("acme/vendor.toml", "acme/desk/family.toml", "acme/parameters.txt")
BETWEEN = "\n----\n"
# Of every type, and of a size or shape that a reader may not bear.
VALUES = (
    *(b"1", b"-1", b"0", b"1.5", b"nan", b"1e999", b"9" * 5000, b"0x" + b"f" * 5000, b"true", b"false"),
    *(b"1979-05-27", b"07:32:00", b'""', b'"x"', b'"{mac}{mac}"', b'"{model}{mac}"', b'"{x}"', b'"("', b'"["'),
    *(b'"a{1,99999999999}"', b'"(?P<mac>x)(?P<mac>y)"', b'"(?P<model>.)"', b'"\\u0000"', b'"\\ud7ff"'),
    *(b'"' + b"(" * 900, b'"' + b"(" * 500 + b")" * 500 + b'"', b"[" * 900),
    *(b"[]", b"[1]", b'["x"]', b'["("]', b"[[]]", b"[{}]", b"{}", b"{ x = 1 }"),
    *(b"[" * 900 + b"]" * 900, b'{ x = ["y"] }', b'[{ names = ["a"], values = "(" }]', b'"a" * 300', b'"acme/x"'),
)  # fmt: skip


def prepare() -> Try:
    from ztp_server.errors import TemplateError
    from ztp_server.vendor_folders import Folder
    from ztp_server.vendors import load_catalog

    def try_one(data: bytes) -> None:
        texts = dict(zip(FILES, data.decode("utf-8", "replace").split(BETWEEN), strict=False))
        folder = Folder({"acme/desk/settings.j2": "", **texts}, {}, {}, {})
        try:
            catalog = load_catalog(folder)
        except TemplateError as error:
            assert error.file in folder.texts
            return
        for path in ("0c0000aabbcc.conf", "acme/1.2/A210.bin", "x"):
            catalog.match(path)
        catalog.identify("Acme A210 1.2")
        for model in catalog.models.values():
            catalog.family_of(model)
            catalog.parameters_of(model)
            catalog.has_factory_certificate(model)

    return try_one


if __name__ == "__main__":
    fuzz("vendor_facts", prepare, VALUES)
