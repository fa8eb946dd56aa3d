"""Runs one target under atheris, which changes what is imported and ends the process: always in a process of its own.

    python -m tests.fuzz.<target> [-runs=N] [-max_total_time=SECONDS] [FILE]

All arguments are libFuzzer's. With a FILE that one input is tried. A finding is an exception that is none of ours, an
input that takes longer than SECONDS_EACH or more memory than MEGABYTES: the process ends with an exit code that is not
0, prints what was raised, and writes the input into the folder it was started in.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
SECONDS_EACH = 10
MEGABYTES = 2048
LONGEST_INPUT = 8192

Try = Callable[[bytes], None]
Mutator = Callable[[bytes, int, int], bytes]


def fuzz(
    name: str, prepare: Callable[[], Try], values: Sequence[bytes] = (), watched: Sequence[str] = ("ztp_server",)
) -> None:
    """`prepare` imports what is tried and returns what tries one input. Inputs begin with those of `corpus/<name>`;
    what is found on the way is kept nowhere. With `values` inputs are lines of `name = value`, and values take the
    places of each other; a dictionary is not used then. Of `watched` packages it is seen
    which of their branches an input takes."""
    import atheris

    with atheris.instrument_imports(include=["ztp_server", "tomllib"], exclude=_modules_outside(watched)):
        try_one = prepare()
    limits = (f"-timeout={SECONDS_EACH}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={LONGEST_INPUT}")
    given = sys.argv[1:]
    words = CORPUS / f"{name}.dict"
    words_option = [f"-dict={words}"] if words.exists() else []
    with tempfile.TemporaryDirectory(prefix="ztp-corpus-") as scratch:
        # libFuzzer writes into the first folder and only reads the others.
        inputs = [] if any(not argument.startswith("-") for argument in given) else [scratch, str(CORPUS / name)]
        mutator = {"custom_mutator": _of_lines(values)} if values else {}
        atheris.Setup([sys.argv[0], *limits, *words_option, *given, *inputs], try_one, **mutator)
        atheris.Fuzz()


def _modules_outside(watched: Sequence[str]) -> list[str]:
    """Ours that lie in none of these packages: atheris takes packages whole, and modules out of them."""
    folder = Path(__file__).parents[2]
    names = [".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.glob("ztp_server/**/*.py")]
    return [name for name in names if not any(f"{name}.".startswith(f"{package}.") for package in watched)]


def _of_lines(values: Sequence[bytes]) -> Mutator:
    """A line or three get another value, go, come again elsewhere, or lose or gain some bytes."""

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        choose = random.Random(seed)
        lines = data.split(b"\n")
        for _ in range(choose.randint(1, 3)):
            place = choose.randrange(len(lines))
            line, what = lines[place], choose.randrange(5)
            if what <= 1 and b"=" in line:
                lines[place] = line.partition(b"=")[0] + b"= " + choose.choice(values)
            elif what == 2 and len(lines) > 1:
                del lines[place]
            elif what == 3:
                lines.insert(choose.randrange(len(lines) + 1), line)
            else:
                begin = choose.randint(0, len(line))
                piece = choose.choice((choose.randbytes(2), b"", choose.choice(values), choose.choice(lines)))
                lines[place] = line[:begin] + piece + line[begin + choose.randrange(4) :]
        return b"\n".join(lines)[:most]

    return mutate
