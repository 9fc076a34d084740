"""What the programs work on: text, programs, JSON, noise, and small files; the same on every run on one machine."""

import json
import pathlib
import random

MIB = 1 << 20


def some_of(pattern, folder, length, start):
    """The beginning of what the machine has in files that begin with `start`."""
    found = bytearray()
    for path in sorted(pathlib.Path(folder).glob(pattern)):
        if len(found) >= length:
            break
        if path.is_file() and not path.is_symlink():
            with open(path, "rb") as file:
                if file.read(len(start)) == start:
                    file.seek(0)
                    found += file.read(MIB)
    return bytes(found[:length])


def records(dice, length):
    lines, total, time = [], 0, 1_700_000_000
    while total < length:
        time += dice.randrange(5)
        line = json.dumps({
            "time": time, "level": dice.choice(["info", "info", "info", "warning", "error"]),
            "request": f"{dice.getrandbits(64):016x}", "path": f"/api/v1/items/{dice.randrange(5000)}",
            "status": dice.choice([200, 200, 200, 204, 301, 404, 500]), "took_ms": round(dice.expovariate(0.05), 2),
        })
        lines.append(line)
        total += len(line) + 1
    return "\n".join(lines).encode() + b"\n"


def make(folder):
    dice = random.Random(7)
    folder.mkdir()
    text = some_of("python3.*/**/*.py", "/usr/lib", 3 * MIB, b"")
    program = some_of("*", "/usr/bin", 3 * MIB, b"\x7fELF")
    (folder / "text").write_bytes(text)
    (folder / "program").write_bytes(program)
    (folder / "records.json").write_bytes(records(dice, 3 * MIB))
    (folder / "noise").write_bytes(dice.randbytes(MIB // 2))
    (folder / "small").mkdir()
    for number in range(40):
        start, length = dice.randrange(len(text) - 70_000), dice.choice([0, 1, 100, 3_000, 20_000, 60_000])
        (folder / f"small/{number}.txt").write_bytes(text[start : start + length])
