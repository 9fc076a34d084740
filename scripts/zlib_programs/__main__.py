"""The programs of scripts/zlib-programs, and the judge. Arguments: words; only jobs whose names hold one of them are run."""

import pathlib
import shutil
import sys
import tempfile
import time

import material
from harness import FORMS, JOBS, Case, Skip, Wrong

import files  # noqa: F401, its jobs register themselves
import languages  # noqa: F401
import network  # noqa: F401


def measured(rows):
    """Both rows in a line."""
    total = sum(row["hardware"] for row in rows.values()), sum(row["hardware_bytes"] for row in rows.values())
    parts = []
    for name, row in rows.items():
        reasons = " ".join(f"{reason} {count}" for reason, count in sorted(row["software"].items()) if count)
        if row["hardware"] or reasons:
            part = f"{name} {share(row)}"
            parts.append(part + (f", software: {reasons}" if reasons else ""))
    return f"hardware {total[0]} requests {total[1]} bytes ({'; '.join(parts) or 'not counted'})"


def share(row):
    """Of the plain text, by which engine."""
    whole = row["hardware_bytes"] + row["software_bytes"]
    return f"{100 * row['hardware_bytes'] / whole:.0f} %" if whole else "-"


def cell(shares, name):
    """Of one row in both forms, for the table."""
    texts = []
    for row in (shares[form][name] for form in FORMS if form in shares):
        reasons = ", ".join(sorted(reason for reason, count in row["software"].items() if count))
        texts.append(share(row) if row["hardware"] else f"software: {reasons}" if reasons else "")
    return texts[0] if len(set(texts)) == 1 else f"{texts[0]}; drop-in: {texts[1]}"


def run(job, form, devices, shared):
    with Case(job, form, devices, shared) as case:
        job.work(case)
        return case.judge()


def main():
    wanted = [job for job in JOBS if not sys.argv[1:] or any(word in job.name for word in sys.argv[1:])]
    # Beside the cases' own folders, readable for the users whom servers become.
    shared = pathlib.Path(tempfile.mkdtemp(prefix="wzp-shared-"))
    shared.chmod(0o755)
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    table = []

    def tell(verdict, text):
        counts[verdict] += 1
        print(f"{verdict:<4}  {text}", flush=True)

    try:
        material.make(shared / "tree")
        for job in wanted:
            shares = {}
            for form in FORMS:
                for devices in job.devices(form):
                    name = f"{job.name}, {form}, {devices}"
                    begin = time.monotonic()
                    try:
                        rows = run(job, form, devices, shared)
                    except Skip as skip:
                        tell("skip", f"{name}: {skip}")
                    except Wrong as wrong:
                        tell("FAIL", f"{name}: {wrong}")
                    except Exception as surprise:
                        tell("FAIL", f"{name}: {surprise!r}")
                    else:
                        tell("ok", f"{name}: {measured(rows)}, {time.monotonic() - begin:.1f} s")
                        if devices == "simulated":
                            shares[form] = rows
            if shares:
                table.append(f"| {job.name} | {cell(shares, 'deflate')} | {cell(shares, 'inflate')} |")
    finally:
        shutil.rmtree(shared, ignore_errors=True)
    print("\n| Program | `deflate` | `inflate` |\n|---|---|---|")
    print("\n".join(table))
    print(f"\n{counts['ok']} ok, {counts['FAIL']} failed, {counts['skip']} skipped")
    sys.exit(bool(counts["FAIL"]))


main()
