"""Writes the reference pages that follow from the program: settings, support, restart, options, cli, permissions.

python docs/generate.py            write them
python docs/generate.py --check    exit code 1 when one is not what it would write
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ztp_server.cli.main import cli
from ztp_server.config import shipped_folder
from ztp_server.domain.access import PERMISSIONS, ROLES, SHARED_VIEWS, is_per_site
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.clock import format_offset
from ztp_server.domain.notify import Notify, RestartWay
from ztp_server.domain.notify import spelled as spelled_need
from ztp_server.domain.settings import Setting
from ztp_server.domain.settings_table import PRODUCT_SETTINGS
from ztp_server.domain.vendor import Fact, Family, Model, Support, Vendor
from ztp_server.errors import BadValue
from ztp_server.vendor_folders import read_folder
from ztp_server.vendors import load_catalog

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py; change the program, not this page. -->"
# No field takes it, and every check says what it wants instead.
NO_VALUE = "\N{SECTION SIGN} \N{SECTION SIGN}"
# The options that every command has: told once, in options.md.
EVERYWHERE = ("data", "database", "templates", "certs", "secret_key", "config")


def main(arguments: Sequence[str]) -> int:
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(text, "utf-8")
    for name in stale:
        print(
            f"docs/reference/{name}: {'stale; run: python docs/generate.py' if '--check' in arguments else 'written'}"
        )
    return 1 if stale and "--check" in arguments else 0


def pages() -> dict[str, str]:
    catalog = load_catalog(read_folder(shipped_folder("templates")))
    made = {
        "settings.md": settings_page(catalog),
        "support.md": support_page(catalog),
        "restart.md": restart_page(catalog),
        "options.md": options_page(),
        "cli.md": cli_page(),
        "permissions.md": permissions_page(),
    }
    return {name: "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


# ---- settings.md -----------------------------------------------------------------------------------------------------


def settings_page(catalog: Catalog) -> Iterator[str]:
    yield from ("# Settings", "", NOTE, "")
    yield (
        "Every setting may be given to a site, to base settings and to one phone with `--set name=value`. The last "
        "layer that speaks wins: product default → vendor → family → model → site → base settings → phone "
        "([inheritance](../explanation/inheritance.md)). Not every family has every setting: [support](support.md)."
    )
    yield ""
    yield (
        "A switch is written `on` or `off`, a list with commas. A secret is encrypted in the database and shown as "
        "`***`. `custom.<parameter>` sets a maker's own parameter, in base settings and on phones."
    )
    for section in dict.fromkeys(row.section for row in catalog.settings.rows.values()):
        yield from ("", f"## {section}", "")
        rows = [row for row in catalog.settings.rows.values() if row.section == section]
        yield from table(
            ("Setting", "Value", "Default", "Meaning"),
            ((f"`{row.name}`", takes(row), spelled(row.default), f"{row.help}{secret(row)}") for row in rows),
        )


def takes(row: Setting) -> str:
    """What a setting takes, told by its schema, and by its own check where the schema does not know."""
    schema = row.json_schema
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "boolean":
        return "`on`, `off`"
    if schema["type"] == "integer":
        multiple = ", even" if schema.get("multipleOf") == 2 else ""
        return f"{schema['minimum']} to {schema['maximum']}{multiple}"
    if schema["type"] == "array":
        return f"at most {schema['maxItems']}, each {wanted(row)}"
    return wanted(row) or f"text, at most {schema['maxLength']} characters"


def wanted(row: Setting) -> str:
    try:
        row.parse(NO_VALUE)
    except BadValue as error:
        return error.reason.removeprefix("must be ")
    return ""


def secret(row: Setting) -> str:
    return " (secret)" if row.secret else ""


def spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"`{text}`" if text else "(empty)"


# ---- support.md ------------------------------------------------------------------------------------------------------

MARKS = {"parameter": "yes", "server": "server", "absent": "no", "unproven": "?"}


def support_page(catalog: Catalog) -> Iterator[str]:
    families = [(vendor, key, family) for vendor in catalog.vendors.values() for key, family in vendor.family.items()]
    yield from ("# Support of settings by families", "", NOTE, "")
    yield (
        "From the `vendor.toml` of each maker, where the evidence stands beside each fact. What a family is not proven "
        "to understand is refused when it is written; `custom.<parameter>` is the way around."
    )
    yield ""
    yield from table(
        ("Mark", "Meaning"),
        (
            ("yes", "rendered for the phone"),
            ("some", "rendered; only the values named below are proven"),
            ("server", "nothing to tell the phone: this server deals with it, or will"),
            ("no", "the family has no such thing; refused"),
            ("?", "the maker's spelling is not proven; refused"),
        ),
    )
    yield ""
    yield (
        "In the tables of models a question mark behind a fact says that it is a careful guess, a question mark alone "
        "that it is not known. Codecs are MIME names without `audio/`; TLS is the newest version a model speaks."
    )
    yield from ("", "## At a glance", "")
    names = [family.name for _, _, family in families]
    yield from table(
        ("Setting", *names),
        ((f"`{name}`", *(mark(family.support(name)) for _, _, family in families)) for name in PRODUCT_SETTINGS.rows),
    )
    for vendor, key, family in families:
        yield from family_section(catalog, vendor, key, family)


def family_section(catalog: Catalog, vendor: Vendor, key: str, family: Family) -> Iterator[str]:
    yield from ("", f"## {vendor.name}: {family.name}", "")
    yield from (
        f"- folder: `templates/{vendor.id}/{key}/`",
        f"- factory certificate: {'yes' if family.factory_certificate else 'no'}",
        f"- line keys: {', '.join(f'`{kind}`' for kind in family.line_key_types)}"
        f"{', in this order' if family.key_order == 'by_type' else ''}",
        f"- shared lines: {'yes' if family.shared_lines else 'not proven'}",
        f"- time zones: {time_zones(family)}",
        "",
    )
    yield from table(
        ("Setting", "Parameter, or why not", "Proven values"),
        ((f"`{name}`", verdict(family.support(name)), proven(family.support(name))) for name in PRODUCT_SETTINGS.rows),
    )
    yield ""
    yield from table(
        (
            *("Model", "Name", "Part", "Lines", "Line keys", "Speed dials", "Modules × keys", "Codecs"),
            *("Last firmware", "TLS", "Factory certificate", "HELD"),
        ),
        (model_row(catalog, m, family) for m in vendor.model if m.family == key),
    )


def time_zones(family: Family) -> str:
    """What of local time a family can be told."""
    if family.clock == "weekly_dst":
        told = "with daylight saving"
        if not family.last_week:
            told += ", from or to the last week of a month only by hand (`gmt_offset`, `dst_start`, `dst_stop`)"
    else:
        told = "without daylight saving"
    if family.latest_offset != Family.model_fields["latest_offset"].default:
        told += f"; up to {format_offset(family.latest_offset)}"
    return told


def model_row(catalog: Catalog, model: Model, family: Family) -> Sequence[Any]:
    """The facts of a model, those that are not proven with a question mark."""
    modules = f"{model.expansion_modules} × {model.expansion_keys}" if model.expansion_modules else ""
    facts: dict[Fact, Any] = {
        "part": model.part or "?",
        "lines": model.lines,
        "line_keys": model.line_keys,
        "speed_dial_keys": model.speed_dial_keys or "",
        "expansion_modules": modules,
        "codecs": ", ".join(codec.removeprefix("audio/") for codec in model.codecs),
        "last_firmware": model.last_firmware or "?",
        "tls_version": model.tls_version or "?",
        "factory_certificate": "yes" if catalog.has_factory_certificate(model) else "no",
    }
    told = [f"{value} ?" if name in model.unproven and value != "?" else value for name, value in facts.items()]
    held = {"parameter": "yes", "absent": "no"}.get(family.support("held_enabled").state, "?")
    return (f"`{model.id}`", model.name, *told, held)


def mark(support: Support) -> str:
    limited = support.values or support.minimum is not None or support.maximum is not None
    return "some" if support.state == "parameter" and limited else MARKS[support.state]


def verdict(support: Support) -> str:
    note = f" ({support.note})" if support.note else ""
    if support.state == "parameter":
        return f"`{support.parameter}`{note}"
    words = {"server": "server", "absent": "no", "unproven": "not proven"}[support.state]
    return f"{words}: {getattr(support, support.state)}{note}"


def proven(support: Support) -> str:
    if support.state != "parameter":
        return ""
    if support.values:
        return ", ".join(map(spelled, support.values))
    low, high = support.minimum, support.maximum
    if low is None and high is None:
        return "all"
    return f"{'' if low is None else low} to {'' if high is None else high}".strip()


# ---- restart.md ------------------------------------------------------------------------------------------------------


def restart_page(catalog: Catalog) -> Iterator[str]:
    yield from ("# Restart and re-sync by families", "", NOTE, "")
    yield (
        "A **re-sync** asks a phone to look for its files again; a **restart** is another thing. From the "
        "`family.toml` of each family, where the evidence stands beside each fact. The ways to restart are tried in "
        "this order, those that are open to the phone: what it needs are settings, set in base settings or on the "
        "phone, and fetched by it. Where none is open a restart is refused, with what is missing "
        "([how phones are told](../explanation/telling-phones.md))."
    )
    yield ""
    yield "*When idle*: the phone waits until its calls have ended. Where that is asked of another, it is refused."
    for vendor in catalog.vendors.values():
        for family in vendor.family.values():
            yield from ("", f"## {vendor.name}: {family.name}", "", *restart_tables(family.notify))


def restart_tables(notify: Notify) -> Iterator[str]:
    yield f"Re-sync by `{notify.resync}`{' when idle' if notify.idle else ''}: {notify.does or 'not said'}."
    yield ""
    if not notify.restart:
        yield f"Restart: {notify.no_restart or 'no way is known'}."
        return
    yield from table(
        ("Restart by", "Needs", "Firmware", "When idle", "What comes of it", "What it costs"),
        (
            (
                *(restart_name(way), restart_needs(way), way.firmware and f"{way.firmware} or later"),
                *("yes" if way.idle else "no", way.does, way.cost),
            )
            for way in notify.restart
        ),
    )


def restart_name(way: RestartWay) -> str:
    return {
        "event": f"the SIP event `{way.event}`",
        "rest": f"its own HTTP interface, `{way.path}`",
        "resync": "the re-sync",
    }[way.way]


def restart_needs(way: RestartWay) -> str:
    needs = [f"`{name}={spelled_need(value)}`" for name, value in way.needs.items()]
    return ", ".join([*needs, *([f"`{way.password}`"] if way.password else [])])


# ---- permissions.md --------------------------------------------------------------------------------------------------


def permissions_page() -> Iterator[str]:
    yield from ("# Permissions", "", NOTE, "")
    yield (
        "Every door asks for the same permissions. A role is given everywhere or at one site "
        "([accounts and tokens](../how-to/accounts-and-tokens.md)). At a site it allows what can be limited to sites "
        "(**yes** below), and *shows* what all sites share; all else it allows only where it is given everywhere."
    )
    yield ""
    rows = [
        (f"`{name}`", meaning, at_a_site(name), *("✓" if name in role else "" for role in ROLES.values()))
        for name, meaning in PERMISSIONS.items()
    ]
    yield from table(("Permission", "Allows to", "At a site", *ROLES), rows)


def at_a_site(permission: str) -> str:
    return "yes" if is_per_site(permission) else "shows" if permission in SHARED_VIEWS else ""


# ---- options.md and cli.md -------------------------------------------------------------------------------------------


def options_page() -> Iterator[str]:
    serve = dict(commands())["ztp serve"]
    options = [parameter for parameter in serve.params if isinstance(parameter, click.Option)]
    everywhere = [option for option in options if option.name in EVERYWHERE]
    yield from ("# Options", "", NOTE, "")
    yield (
        "An option is taken from the command line, else from its environment variable, else from the TOML file named "
        "by `--config`, else it has its default. In the file, each option is a line such as "
        '`public_name = "ztp.example.net"`; a name the command does not have is an error.'
    )
    yield from ("", "## Of every command", "", *option_table(everywhere))
    yield from ("", "## Of `ztp serve`", "", *option_table(o for o in options if o.name not in EVERYWHERE))


def option_table(options: Iterable[click.Option]) -> Iterator[str]:
    return table(
        ("Option", "Environment", "In the file", "Default", "Meaning"),
        (
            (
                f"`{option.opts[0]}`",
                f"`{option.envvar}`" if option.envvar else "",
                "" if option.name == "config" else f"`{option.name}`",
                default(option),
                (option.help or choices(option)).partition("  [default")[0],
            )
            for option in options
        ),
    )


def default(option: click.Option) -> str:
    told = (option.help or "").partition("[default: ")[2].rstrip("]")
    if told:
        return told
    if isinstance(option.show_default, str):
        return f"`{option.show_default}`"
    if option.is_flag:
        return "`off`"
    return f"`{option.default}`" if isinstance(option.default, str | Path) and option.default != "" else ""


def choices(option: click.Option) -> str:
    return ", ".join(f"`{choice}`" for choice in option.type.choices) if isinstance(option.type, click.Choice) else ""


def cli_page() -> Iterator[str]:
    yield from ("# The command `ztp`", "", NOTE, "")
    yield (
        "Commands read and write the data folder themselves: they work whether a server runs on it or not, and a "
        "running server takes up what they change. Exit code 0: done; 1: refused, with one line that says why; 2: a "
        "wrong call."
    )
    yield ""
    yield (
        "Every command also takes `--data`, `--database`, `--templates`, `--certs` and `--config`: "
        "[options](options.md)."
    )
    yield ""
    yield (
        "A value `@FILE` is read from a file and `@-` from standard input, so that a secret stays out of the process "
        "list; `@@` at the beginning is one `@`. Fields of `--line` and `--key` are separated by commas; a field with "
        "a comma in it is quoted as in CSV: `--line 'user=1001,\"display_name=Sales, Madrid\"'`."
    )
    for name, command in commands():
        yield from (
            "",
            f"## {name}",
            "",
            inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " "),
            "",
        )
        yield from ("```", usage(name, command), "```")
        rest = inspect.cleandoc(command.help or "").partition("\n\n")[2].strip()
        if rest:
            yield from ("", rest)
        options = [p for p in command.params if isinstance(p, click.Option) and p.name not in EVERYWHERE]
        if options and name != "ztp serve":
            yield from ("", *table(("Option", "Meaning"), ((written(o), meaning(o)) for o in options)))
        elif options:
            yield from ("", "Its options: [options](options.md).")


def usage(name: str, command: click.Command) -> str:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    words = [a.make_metavar(click.Context(command)) for a in arguments]
    return " ".join([name, *words, "[OPTIONS]"])


def written(option: click.Option) -> str:
    name = f"{option.opts[0]} {option.make_metavar(click.Context(click.Command('ztp')))}"
    return f"`{option.opts[0] if option.is_flag else name}`".replace("|", "\\|")


def meaning(option: click.Option) -> str:
    words = [(option.help or "").replace("  [default", " [default"), "Required" if option.required else ""]
    words.append("May be repeated" if option.multiple and "may be repeated" not in words[0] else "")
    if isinstance(option.default, str) and option.default and option.show_default:
        words.append(f"[default: `{option.default}`]")
    return " ".join(word if word[-1] in ".]" else f"{word}." for word in words if word)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its whole name."""

    def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield name, command
            return
        context = click.Context(command, info_name=name)
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            if found:
                yield from walk(f"{name} {word}", found)

    return walk("ztp", cli)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
