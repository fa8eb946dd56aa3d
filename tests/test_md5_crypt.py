"""Passwords as phones keep them: the hashes of crypt(3), the same from the same input."""

from __future__ import annotations

import re

import pytest

from ztp_server.filters import md5_crypt


@pytest.mark.parametrize(
    ("password", "seed", "hashed"),
    [  # each as `openssl passwd -1 -salt SALT` has it
        ("s3cret", "00908f112233", "$1$Km1Yxc/t$yXeM6mNdfIxUlir6c.hHX0"),
        ("a", "00908f112233", "$1$T6R1FXlc$OVnKSlAZ1pioZl0pCaa1V/"),
        ("", "00908f112233", "$1$MUrqHolt$au394DTpnew6xMLbmTV0I1"),
        ("1234567890123456", "00908f112233", "$1$3XZWQGJX$9HkcfmHSv8VRenDjfxXYL0"),
        ("12345678901234567890123", "00908f112233", "$1$skXArnNn$8a8d3X0ql7S.n2WYPGzeV/"),
        ("é😀x", "00908f112233", "$1$jsqn2C2D$eV7PzvlagNOJTv5EQN7tu0"),
        ("x" * 70, "00908f112233", "$1$VIJ63AEY$342kiD1e1ZlIqHQjPtiPm0"),
    ],
)
def test_a_password_is_hashed_as_crypt_does(password: str, seed: str, hashed: str) -> None:
    assert md5_crypt(password, seed) == hashed


def test_the_salt_differs_from_phone_to_phone_and_from_password_to_password() -> None:
    hashes = [md5_crypt(password, seed) for password in ("one", "two") for seed in ("00908f112233", "00908f112234")]
    salts = [re.fullmatch(r"\$1\$([./0-9A-Za-z]{8})\$[./0-9A-Za-z]{22}", hashed) for hashed in hashes]
    assert len({salt[1] for salt in salts if salt}) == 4
