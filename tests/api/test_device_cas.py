"""Makers' CAs and denied certificates over REST."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.serialization import Encoding

from tests.api.conftest import Rest
from tests.conftest import VVX
from tests.services.test_device_cas import HASH, authority, pem, pin

HOSTILE = 'sold "as is" & <b>gone</b> é😀'


async def test_a_ca_is_added_shown_and_removed(rest: Rest) -> None:
    root, below = authority(), authority("Polycom Equipment Policy CA")
    body = {"vendor": "poly", "certificate": pem(root).decode(), "reason": HOSTILE}
    made = await rest.post("/device-cas", body)
    assert made.status == 201 and [ca["sha256"] for ca in made.json["items"]] == [pin(root)]
    der = base64.encodebytes(below.public_bytes(Encoding.DER)).decode()
    assert (await rest.post("/device-cas", {"vendor": "poly", "certificate": der})).status == 201

    listed = await rest.get("/device-cas")
    assert {(ca["sha256"], ca["listener"], ca["own"]) for ca in listed.json["items"]} == {
        (pin(root), "mtls", True), (pin(below), "mtls", True),
    }  # fmt: skip
    assert (await rest.get(f"/device-cas/{pin(root)}")).json["items"] == made.json["items"]
    makers = {maker["vendor"]: maker for maker in (await rest.get("/device-cas/makers")).json["items"]}
    assert makers["poly"]["cas"] == 2 and makers["poly"]["published_at"].startswith("http")
    assert makers["audiocodes"]["cas"] == 0 and makers["audiocodes"]["published_at"] == ""

    assert (await rest.post("/device-cas", body)).status == 409
    assert (await rest.delete(f"/device-cas/{pin(root)}", reason=HOSTILE)).status == 204
    assert (await rest.delete(f"/device-cas/{pin(root)}")).status == 404
    assert (await rest.get(f"/device-cas/{pin(root)}")).status == 404
    audited = await rest.get("/audit", subject=f"ca:{pin(root)}")
    assert [(row["action"], row["reason"]) for row in audited.json["items"]] == [
        ("ca.removed", HOSTILE), ("ca.added", HOSTILE),
    ]  # fmt: skip


async def test_what_is_wrong_with_a_ca_is_named(rest: Rest) -> None:
    good = pem(authority()).decode()
    for body, field in (
        ({"certificate": pem(authority(ca=False)).decode()}, "certificate"),
        ({"certificate": "no certificate & <b>"}, "certificate"),
        ({"certificate": "AAAA"}, "certificate"),
        ({"certificate": pem(authority("Root CA of somebody")).decode()}, "certificate"),
        ({"vendor": "../../etc"}, "vendor"),
        ({"listener": "http"}, "listener"),
    ):
        refused = await rest.post("/device-cas", {"vendor": "poly", "certificate": good, **body})
        assert (refused.status, refused.fields) == (422, [field])
    assert (await rest.delete("/device-cas/not-a-pin")).fields == ["sha256"]
    assert (await rest.get("/device-cas")).json["items"] == []


async def test_a_file_that_cannot_be_read_is_named_to_who_can_mend_it(rest: Rest) -> None:
    broken = rest.data / "certs" / "poly" / "broken.pem"
    broken.parent.mkdir(parents=True)
    broken.write_text("hello")
    listed = await rest.get("/device-cas")
    assert listed.status == 409 and "broken.pem: not a certificate" in listed.json["detail"]
    added = await rest.post("/device-cas", {"vendor": "poly", "certificate": pem(authority()).decode()})
    assert added.status == 409 and [path.name for path in broken.parent.iterdir()] == ["broken.pem"]


async def test_a_certificate_is_denied_listed_and_allowed(rest: Rest) -> None:
    for number in range(3):
        made = await rest.post("/denied-certificates", {"sha256": f"{number}" * 64, "reason": HOSTILE})
        assert made.status == 201 and made.json["denied_by"] == "token:admin"
    first = await rest.get("/denied-certificates", limit=2)
    rest_of = await rest.get("/denied-certificates", limit=2, cursor=first.json["next_cursor"])
    assert [row["sha256"][0] for row in (*first.json["items"], *rest_of.json["items"])] == ["0", "1", "2"]
    assert rest_of.json["next_cursor"] is None and first.json["items"][0]["reason"] == HOSTILE

    assert (await rest.post("/denied-certificates", {"sha256": "0" * 64, "reason": "again"})).status == 409
    assert (await rest.delete(f"/denied-certificates/{'0' * 64}")).status == 204
    assert (await rest.delete(f"/denied-certificates/{'0' * 64}")).status == 404
    for body, field in (
        ({}, "sha256"),
        ({"sha256": HASH, "phone": VVX}, "sha256"),
        ({"sha256": "zz" * 32}, "sha256"),
        ({"phone": VVX}, "phone"),
        ({"sha256": HASH, "reason": ""}, "reason"),
    ):
        assert (await rest.post("/denied-certificates", {"reason": "why", **body})).fields == [field]
    assert (await rest.post("/denied-certificates", {"phone": "0004f2999999", "reason": "why"})).status == 404


async def test_trust_is_looked_at_by_many_and_changed_by_few(rest: Rest) -> None:
    body = {"vendor": "poly", "certificate": pem(authority()).decode()}
    for token in ("viewer-token", "madrid-token"):
        assert (await rest.post("/device-cas", body, token=token)).status == 403
        assert (await rest.delete(f"/device-cas/{HASH}", token=token)).status == 403
        denied = await rest.post("/denied-certificates", {"sha256": HASH, "reason": "why"}, token=token)
        assert denied.status == 403
        assert (await rest.delete(f"/denied-certificates/{HASH}", token=token)).status == 403
    assert (await rest.get("/device-cas", token="viewer-token")).status == 200
    assert (await rest.get("/denied-certificates", token="viewer-token")).status == 200
    assert (await rest.get("/device-cas", token="madrid-token")).status == 403
