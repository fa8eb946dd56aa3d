"""What lies in the templates folders, read once: texts, and files that are served as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

VENDOR_FILE = "vendor.toml"
FAMILY_FILE = "family.toml"
PARAMETERS_FILE = "parameters.txt"
REGISTRAR_FILE = "registrar.toml"
KNOWN_FILES = frozenset({VENDOR_FILE, FAMILY_FILE, PARAMETERS_FILE, REGISTRAR_FILE})


@dataclass(frozen=True)
class Folder:
    """One look at the templates folders: texts by their name (`acme/vendor.toml`), served files by theirs.

    `origins` says which file a text came from; a name in the administrator's folder covers the shipped one.
    `unreadable` are files whose text could not be had, and why.
    """

    texts: Mapping[str, str]
    origins: Mapping[str, Path]
    static: Mapping[str, Path]
    unreadable: Mapping[str, str]

    @property
    def vendors(self) -> list[str]:
        return sorted(name.split("/")[0] for name in self.texts if name.endswith("/" + VENDOR_FILE))

    def only(self, vendors: Collection[str]) -> Folder:
        """The same with the facts of these vendors alone; all templates stay, for one may include another's."""
        kept = {name for name in self.texts if name.endswith(".j2") or name.split("/")[0] in vendors}
        return replace(self, texts={name: text for name, text in self.texts.items() if name in kept})

    def family_files(self, vendor_id: str) -> dict[str, str]:
        """The names of a vendor's family files (`acme/desk/family.toml`) by family."""
        names = [name.split("/") for name in sorted(self.texts) if name.endswith("/" + FAMILY_FILE)]
        return {parts[1]: "/".join(parts) for parts in names if len(parts) == 3 and parts[0] == vendor_id}


def read_folder(*folders: Path) -> Folder:
    """Read the folders in order, a later one covering an earlier one file by file."""
    origins: dict[str, Path] = {}
    static: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/**/*")):
            name = path.relative_to(folder).as_posix()
            rest = name.partition("/")[2]
            if not path.is_file() or "/." in f"/{name}":
                continue
            if rest.startswith("files/"):
                static[rest.removeprefix("files/")] = path
            elif path.name in KNOWN_FILES or rest.endswith(".j2"):
                origins[name] = path
    texts, unreadable = _read_texts(origins)
    return Folder(texts, origins, static, unreadable)


def _read_texts(origins: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    texts, unreadable = {}, {}
    for name, path in origins.items():
        try:
            texts[name] = path.read_text("utf-8")
        except OSError as error:
            unreadable[name] = f"cannot be read: {error.strerror}"
        except UnicodeDecodeError as error:
            unreadable[name] = f"not UTF-8 text (byte {error.start})"
    return texts, unreadable
