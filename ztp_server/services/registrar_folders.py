"""What lies in templates/registrars: the registrars there are, their facts and the parts of their files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ztp_server.domain.registrar import Registrar
from ztp_server.domain.text import nearest
from ztp_server.errors import NotFound, TemplateError
from ztp_server.render import Renderer

_FACTS = re.compile(r"registrars/([a-z0-9-]+)/registrar\.toml")
# In the order of a file; a registrar without one of them has nothing to say there.
HEAD, DOMAIN, ACCOUNTS, DOMAIN_END, END = "head.j2", "domain.j2", "accounts.j2", "domain_end.j2", "end.j2"
_PARTS = (HEAD, DOMAIN, ACCOUNTS, DOMAIN_END, END)


def registrar_names(renderer: Renderer) -> list[str]:
    """The registrars there are templates for."""
    return sorted(found[1] for name in renderer.sources if (found := _FACTS.fullmatch(name)))


def read_registrar(renderer: Renderer, name: str) -> Registrar:
    """The facts of a registrar, whose templates are fit to be used. Raises NotFound and TemplateError."""
    file = f"registrars/{name}/registrar.toml"
    text = renderer.sources.get(file)
    if text is None or not _FACTS.fullmatch(file):
        raise NotFound(f"no registrar {name[:64]!r}{nearest(name, registrar_names(renderer))}")
    try:
        registrar = Registrar.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(file, 0, str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise TemplateError(file, 0, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for part in _PARTS:
        if f"registrars/{name}/{part}" in renderer.sources:
            renderer.check(f"registrars/{name}/{part}", registrar.format)
    return registrar


def render_part(renderer: Renderer, name: str, registrar: Registrar, part: str, context: Mapping[str, Any]) -> bytes:
    """A part of a registrar's file; nothing where it has none. Raises TemplateError."""
    template = f"registrars/{name}/{part}"
    return renderer.render(template, registrar.format, context) if template in renderer.sources else b""
