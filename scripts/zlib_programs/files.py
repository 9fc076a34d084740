"""Programs that work on files: git, pigz, dpkg-deb, bsdtar, gpg, objcopy, qemu-img, the tools of libpng."""

import shutil

from harness import ABSENT, DIST, EITHER, MOVED, SOFTWARE, find, job, needs_libz, same
from languages import data, packed

GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@localhost",
       "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@localhost", "GIT_AUTHOR_DATE": "1700000000 +0000",
       "GIT_COMMITTER_DATE": "1700000000 +0000"}


def git(case, *arguments, **options):
    return case.run(needs_libz(find("git")), *arguments, env=GIT, **options)


def stock_git(case, *arguments, **options):
    return case.stock("git", *arguments, env=GIT, **options)


def repository(case, name, packed=True):
    """A copy, for this case, of a repository with two commits; its objects in a pack or loose."""

    def make(path):
        stock_git(case, "init", "--quiet", path)
        shutil.copytree(case.shared_folder / "tree", path / "tree")
        for message in "one", "two":
            stock_git(case, "add", ".", cwd=path)
            stock_git(case, "commit", "--quiet", "-m", message, cwd=path)
            with open(path / "tree/records.json", "ab") as file:
                file.write(b'{"one": "more"}\n' * 1000)
        stock_git(case, "add", ".", cwd=path)
        stock_git(case, "commit", "--quiet", "-m", "three", cwd=path)
        if packed:
            stock_git(case, "gc", "--quiet", cwd=path)

    source = case.shared("repository-packed" if packed else "repository-loose", make)
    shutil.copytree(source, case.file(name))
    return case.file(name)


@job("git add, commit", deflate=MOVED, inflate=SOFTWARE)
def git_add(case):
    stock_git(case, "init", "--quiet", "r")
    shutil.copytree(case.shared_folder / "tree", case.file("r/tree"))
    git(case, "add", ".", cwd=case.file("r"))
    git(case, "commit", "--quiet", "-m", "one", cwd=case.file("r"))
    stock_git(case, "fsck", "--strict", "--no-progress", cwd=case.file("r"))
    stock_git(case, "clone", "--quiet", "r", "back")
    same(case.file("back/tree"), case.shared_folder / "tree")


@job("git gc", deflate=MOVED, inflate=MOVED)
def git_gc(case):
    here = repository(case, "r", packed=False)
    git(case, "gc", "--quiet", cwd=here)
    stock_git(case, "fsck", "--strict", "--no-progress", cwd=here)
    stock_git(case, "clone", "--quiet", "r", "back")
    same(case.file("back/tree"), here / "tree")


@job("git fsck, log -p", inflate=MOVED)
def git_fsck(case):
    here = repository(case, "r")
    git(case, "fsck", "--strict", "--no-progress", cwd=here)
    arguments = ["log", "-p", "--text"]
    same(git(case, *arguments, cwd=here), stock_git(case, *arguments, cwd=here))


@job("git clone", deflate=EITHER, inflate=MOVED)
def git_clone(case):
    here = repository(case, "r")
    git(case, "clone", "--quiet", f"file://{here}", "clone")
    stock_git(case, "fsck", "--strict", "--no-progress", cwd=case.file("clone"))
    same(case.file("clone/tree"), here / "tree")


@job("git archive", deflate=MOVED, inflate=MOVED)
def git_archive(case):
    here = repository(case, "r")
    git(case, "archive", "--format=tar.gz", "--output=../out.tar.gz", "HEAD", cwd=here)
    git(case, "archive", "--format=zip", "--output=../out.zip", "HEAD", cwd=here)
    for name, command in ("tar", ["tar", "-xzf", "../out.tar.gz"]), ("zip", ["unzip", "-q", "../out.zip"]):
        case.file(name).mkdir()
        case.stock(*command, cwd=case.file(name))
        same(case.file(name) / "tree", here / "tree")


@job("pigz", deflate=SOFTWARE)
def pigz(case):
    case.run(needs_libz(find("pigz")), "-p", "2", "-c", data(case), output=case.file("out.gz"))
    same(case.stock("gzip", "-dc", "out.gz"), data(case))


# inflateBack is not counted.
@job("pigz -d", inflate=ABSENT)
def unpigz(case):
    case.run(needs_libz(find("pigz")), "-dc", packed(case), output=case.file("out"))
    same(case.file("out"), data(case))


def package(case, folder):
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "DEBIAN/control").write_text(
        "Package: some\nVersion: 1\nArchitecture: all\nMaintainer: a <a@localhost>\nDescription: some files\n"
    )
    shutil.copytree(case.shared_folder / "tree", folder / "tree")


@job("dpkg-deb --build -Zgzip", deflate=MOVED)
def dpkg_build(case):
    package(case, case.file("some"))
    case.run(needs_libz(find("dpkg-deb")), "-Zgzip", "--root-owner-group", "--build", "some", "some.deb")
    case.stock("dpkg-deb", "--extract", "some.deb", "out")
    same(case.file("out/tree"), case.shared_folder / "tree")


@job("dpkg-deb --extract", inflate={"preloaded": SOFTWARE, "drop-in": MOVED})
def dpkg_extract(case):
    package(case, case.file("some"))
    case.stock("dpkg-deb", "-Zgzip", "--root-owner-group", "--build", "some", "some.deb")
    case.run(needs_libz(find("dpkg-deb")), "--extract", "some.deb", "out")
    same(case.file("out/tree"), case.shared_folder / "tree")


@job("bsdtar -cz, --format zip", deflate=MOVED)
def bsdtar_write(case):
    bsdtar = find("bsdtar", "libarchive-tools")
    case.run(bsdtar, "-czf", case.file("out.tar.gz"), "tree", cwd=case.shared_folder)
    case.run(bsdtar, "-cf", case.file("out.zip"), "--format", "zip", "tree", cwd=case.shared_folder)
    for name, command in ("tar", ["tar", "-xzf", "../out.tar.gz"]), ("zip", ["unzip", "-q", "../out.zip"]):
        case.file(name).mkdir()
        case.stock(*command, cwd=case.file(name))
        same(case.file(name) / "tree", case.shared_folder / "tree")


def bsdtar_extract(case, *options):
    case.stock("/usr/bin/python3", "-m", "zipfile", "-c", case.file("in.zip"), "tree/", cwd=case.shared_folder)
    case.stock("tar", "-czf", case.file("in.tar.gz"), "tree", cwd=case.shared_folder)
    for name in "in.zip", "in.tar.gz":
        case.file(name + ".out").mkdir()
        case.run(find("bsdtar", "libarchive-tools"), *options, "-xf", "../" + name, cwd=case.file(name + ".out"))
        same(case.file(name + ".out/tree"), case.shared_folder / "tree")


@job("bsdtar -x", inflate=SOFTWARE)
def bsdtar_read(case):
    bsdtar_extract(case)


# Nothing in a raw stream tells wrong bits from right ones, so no device that writes wrong ones.
@job("bsdtar -b 512 -x, inflate.raw = true", inflate=MOVED, configuration="[inflate]\nraw = true\n", faults=False)
def bsdtar_read_raw(case):
    bsdtar_extract(case, "-b", "512")


def debug_information(case, name):
    """A library with its debug sections, plain."""
    path = case.file(name)
    case.stock("objcopy", "--decompress-debug-sections", DIST / "lib/libwarpdrive_z.so", path)
    return path


@job("objcopy --compress-debug-sections", deflate=MOVED)
def objcopy_write(case):
    plain = debug_information(case, "plain.so")
    case.run(needs_libz(find("objcopy", "binutils")), "--compress-debug-sections=zlib", plain, "out.so")
    case.stock("objcopy", "--decompress-debug-sections", "out.so", "back.so")
    same(case.file("back.so"), plain)


@job("objcopy --decompress-debug-sections", inflate=MOVED)
def objcopy_read(case):
    plain = debug_information(case, "plain.so")
    case.stock("objcopy", "--compress-debug-sections=zlib", plain, "in.so")
    case.run(needs_libz(find("objcopy", "binutils")), "--decompress-debug-sections", "in.so", "out.so")
    same(case.file("out.so"), plain)


@job("gpg, compressed message, written", deflate=MOVED)
def gpg_write(case):
    gpg(case.run, case, "--store", "--compress-algo", "zlib", "-z", "6", "--output", "out.gpg", data(case))
    gpg(case.stock, case, "--output", "back", "--decrypt", "out.gpg")
    same(case.file("back"), data(case))


@job("gpg, compressed message, read", inflate=SOFTWARE)
def gpg_read(case):
    gpg(case.stock, case, "--store", "--compress-algo", "zlib", "--output", "in.gpg", data(case))
    gpg(case.run, case, "--output", "out", "--decrypt", "in.gpg")
    same(case.file("out"), data(case))


def gpg(run, case, *arguments):
    case.file("gnupg").mkdir(mode=0o700, exist_ok=True)
    # Without keys or passphrases there is no use for an agent, which would stay behind.
    return run(needs_libz(find("gpg")), "--homedir", case.file("gnupg"), "--batch", "--quiet", "--no-autostart", *arguments)


def disk(case):
    """A raw image with holes."""

    def make(path):
        with open(path, "wb") as image:
            for at, name in (1 << 20, "text"), (6 << 20, "program"), (12 << 20, "records.json"):
                image.seek(at)
                image.write((case.shared_folder / "tree" / name).read_bytes())
            image.truncate(16 << 20)

    return case.shared("disk", make)


@job("qemu-img convert -c", deflate=MOVED)
def qemu_write(case):
    qemu = needs_libz(find("qemu-img", "qemu-utils"))
    case.run(qemu, "convert", "-c", "-f", "raw", "-O", "qcow2", disk(case), "out.qcow2")
    case.stock(qemu, "check", "out.qcow2")
    case.stock(qemu, "convert", "-f", "qcow2", "-O", "raw", "out.qcow2", "back")
    same(case.file("back"), disk(case))


@job("qemu-img convert, read", inflate=SOFTWARE)
def qemu_read(case):
    qemu = needs_libz(find("qemu-img", "qemu-utils"))
    case.stock(qemu, "convert", "-c", "-f", "raw", "-O", "qcow2", disk(case), "in.qcow2")
    case.run(qemu, "convert", "-f", "qcow2", "-O", "raw", "in.qcow2", "out")
    same(case.file("out"), disk(case))


def picture(case):
    """1200 by 800 points of the machine's programs, in PPM."""

    def make(path):
        points = (case.shared_folder / "tree/program").read_bytes()[: 1200 * 800 * 3]
        path.write_bytes(b"P6\n1200 800\n255\n" + points)

    return case.shared("picture.ppm", make)


@job("pnmtopng (libpng)", deflate=MOVED)
def png_write(case):
    case.run(find("pnmtopng", "netpbm"), picture(case), output=case.file("out.png"))
    case.run(find("pnmtopng", "netpbm"), "-compression", "9", "-interlace", picture(case), output=case.file("out9.png"))
    for name in "out.png", "out9.png":
        same(case.stock("pngtopnm", name), picture(case))


@job("pngtopnm (libpng)", inflate=SOFTWARE)
def png_read(case):
    case.stock("pnmtopng", picture(case), output=case.file("in.png"))
    case.run(find("pngtopnm", "netpbm"), "in.png", output=case.file("out"))
    same(case.file("out"), picture(case))


@job("pngfix (libpng)", inflate=SOFTWARE)
def png_fix(case):
    case.stock("pnmtopng", picture(case), output=case.file("in.png"))
    # Its status tells whether something could be made better, so it goes through a shell.
    case.run("sh", "-c", '"$1" --out=out.png in.png; [ $? -lt 16 ]', "sh", find("pngfix", "libpng-tools"))
    same(case.stock("pngtopnm", "out.png"), picture(case))
