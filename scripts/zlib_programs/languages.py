"""Languages: Python, Perl, PHP, Java."""

import os
import pathlib

from harness import MOVED, SOFTWARE, Skip, find, job, needs_libz, same

PYTHON = "/usr/bin/python3"


def data(case):
    """Text, programs, JSON and noise in one file."""

    def make(path):
        tree = case.shared_folder / "tree"
        path.write_bytes(b"".join((tree / name).read_bytes() for name in ("text", "program", "records.json", "noise")))

    return case.shared("data", make)


def packed(case):
    return case.shared("data.gz", lambda path: case.stock("gzip", "-6", "-c", data(case), output=path))


@job("python3 zlib.compress", deflate=MOVED)
def python_compress(case):
    case.run(PYTHON, "-c", "import sys, zlib; open('out', 'wb').write(zlib.compress(open(sys.argv[1], 'rb').read()))", data(case))
    case.stock_python("import zlib; open('back', 'wb').write(zlib.decompress(open('out', 'rb').read()))")
    same(case.file("back"), data(case))


@job("python3 zlib.decompress", inflate=MOVED)
def python_decompress(case):
    case.stock_python("import sys, zlib; open('in', 'wb').write(zlib.compress(open(sys.argv[1], 'rb').read()))", data(case))
    case.run(PYTHON, "-c", "import zlib; open('out', 'wb').write(zlib.decompress(open('in', 'rb').read()))")
    same(case.file("out"), data(case))


@job("python3 gzip, written by lines", deflate=MOVED)
def python_gzip(case):
    text = case.shared_folder / "tree/records.json"
    program = "import gzip, sys\nwith gzip.open('out.gz', 'wb') as out:\n for line in open(sys.argv[1], 'rb'): out.write(line)"
    case.run(PYTHON, "-c", program, text)
    same(case.stock("gzip", "-dc", "out.gz"), text)


@job("python3 gzip, read", inflate=SOFTWARE)
def python_gunzip(case):
    program = "import gzip, shutil, sys; shutil.copyfileobj(gzip.open(sys.argv[1]), open('out', 'wb'))"
    case.run(PYTHON, "-c", program, packed(case))
    same(case.file("out"), data(case))


@job("python3 tarfile, written", deflate=MOVED)
def python_tar(case):
    case.run(PYTHON, "-m", "tarfile", "-c", case.file("out.tar.gz"), "tree", cwd=case.shared_folder)
    case.stock("tar", "-xzf", "out.tar.gz")
    same(case.file("tree"), case.shared_folder / "tree")


@job("python3 zipfile, written", deflate=MOVED)
def python_zip(case):
    case.run(PYTHON, "-m", "zipfile", "-c", case.file("out.zip"), "tree/", cwd=case.shared_folder)
    case.stock("unzip", "-q", "out.zip")
    same(case.file("tree"), case.shared_folder / "tree")


@job("python3 zipfile and tarfile, read", inflate=SOFTWARE)
def python_unzip(case):
    case.stock(PYTHON, "-m", "zipfile", "-c", case.file("in.zip"), "tree/", cwd=case.shared_folder)
    case.stock("tar", "-czf", case.file("in.tar.gz"), "tree", cwd=case.shared_folder)
    for module, archive in ("zipfile", "in.zip"), ("tarfile", "in.tar.gz"):
        case.run(PYTHON, "-m", module, "-e", archive, case.file(module))
        same(case.file(module) / "tree", case.shared_folder / "tree")


@job("perl Compress::Zlib", deflate=MOVED, inflate=MOVED)
def perl(case):
    program = """use Compress::Zlib; local $/; open F, '<:raw', $ARGV[0]; my $plain = <F>;
        open Z, '>:raw', 'out'; print Z compress($plain); open G, '>:raw', 'out.gz'; print G Compress::Zlib::memGzip($plain);
        open B, '<:raw', 'out' if close Z; die unless uncompress(scalar <B>) eq $plain; print 'same';"""
    same(case.run("/usr/bin/perl", "-e", program, data(case)), b"same")
    same(case.stock("gzip", "-dc", "out.gz"), data(case))
    case.stock_python("import zlib; open('back', 'wb').write(zlib.decompress(open('out', 'rb').read()))")
    same(case.file("back"), data(case))


@job("perl IO::Compress, IO::Uncompress", deflate=MOVED, inflate=SOFTWARE)
def perl_io(case):
    program = """use IO::Compress::Gzip 'gzip'; use IO::Uncompress::Gunzip 'gunzip';
        gzip $ARGV[0] => 'out.gz' or die $IO::Compress::Gzip::GzipError;
        gunzip 'out.gz' => 'back' or die $IO::Uncompress::Gunzip::GunzipError;"""
    case.run("/usr/bin/perl", "-e", program, data(case))
    same(case.file("back"), data(case))
    same(case.stock("gzip", "-dc", "out.gz"), data(case))


def php(case, program, *arguments):
    interpreter = needs_libz(find("php[0-9].[0-9]", "php-cli"))
    return case.run(interpreter, "-n", "-d", "memory_limit=512M", "-r", program, "--", *arguments)


@job("php gzcompress, gzencode", deflate=MOVED)
def php_compress(case):
    program = "$p = file_get_contents($argv[1]); file_put_contents('out.gz', gzencode($p)); file_put_contents('out', gzcompress($p));"
    php(case, program, data(case))
    same(case.stock("gzip", "-dc", "out.gz"), data(case))
    case.stock_python("import zlib; open('back', 'wb').write(zlib.decompress(open('out', 'rb').read()))")
    same(case.file("back"), data(case))


@job("php gzuncompress, gzdecode", inflate=MOVED)
def php_uncompress(case):
    case.stock_python("import sys, zlib; open('in', 'wb').write(zlib.compress(open(sys.argv[1], 'rb').read()))", data(case))
    program = """file_put_contents('out', gzuncompress(file_get_contents('in')));
        file_put_contents('out2', gzdecode(file_get_contents($argv[1])));"""
    php(case, program, packed(case))
    same(case.file("out"), data(case))
    same(case.file("out2"), data(case))


@job("php gzopen, written", deflate=MOVED)
def php_write(case):
    program = "$z = gzopen('out.gz', 'w'); foreach (new SplFileObject($argv[1]) as $line) gzwrite($z, $line); gzclose($z);"
    text = case.shared_folder / "tree/records.json"
    php(case, program, text)
    same(case.stock("gzip", "-dc", "out.gz"), text)


@job("php gzopen, read", inflate={"preloaded": SOFTWARE, "drop-in": MOVED})
def php_read(case):
    program = "$z = gzopen($argv[1], 'r'); $o = fopen('out', 'w'); while (!gzeof($z)) fwrite($o, gzread($z, 8192));"
    php(case, program, packed(case))
    same(case.file("out"), data(case))


JAVA = """
import java.io.*;
import java.nio.file.*;
import java.util.zip.*;

public class Streams {
    public static void main(String[] names) throws Exception {
        byte[] plain = Files.readAllBytes(Path.of(names[1]));
        switch (names[0]) {
            case "gzip":
                try (var out = new GZIPOutputStream(new FileOutputStream("out.gz"))) { out.write(plain); }
                try (var out = new ZipOutputStream(new FileOutputStream("out.zip"))) {
                    out.putNextEntry(new ZipEntry("data"));
                    for (int at = 0; at < plain.length; at += 8192) out.write(plain, at, Math.min(8192, plain.length - at));
                }
                break;
            case "gunzip":
                try (var in = new GZIPInputStream(new FileInputStream(names[2])); var out = new FileOutputStream("out")) {
                    in.transferTo(out);
                }
                break;
            case "deflater":
                var deflater = new Deflater();
                deflater.setInput(plain);
                deflater.finish();
                byte[] packed = new byte[plain.length + plain.length / 8 + 1024];
                int length = 0;
                while (!deflater.finished()) length += deflater.deflate(packed, length, packed.length - length);
                try (var out = new FileOutputStream("out")) { out.write(packed, 0, length); }
                var inflater = new Inflater();
                inflater.setInput(packed, 0, length);
                byte[] back = new byte[plain.length];
                int got = 0;
                while (!inflater.finished()) got += inflater.inflate(back, got, back.length - got);
                if (!java.util.Arrays.equals(back, plain)) throw new Exception("another text");
        }
    }
}
"""


def java(case, *arguments):
    program = needs_libjvm_zip(find("java", "default-jdk-headless"))
    find("javac", "default-jdk-headless")

    def make(path):
        path.mkdir()
        (path / "Streams.java").write_text(JAVA)
        case.stock("javac", "-d", path, path / "Streams.java")

    classes = case.shared("java", make)
    case.run(program, "-Xmx512m", "-cp", classes, "Streams", *arguments)


def needs_libjvm_zip(program):
    """A JDK whose libzip.so is linked with the system's libz; others bring their own."""
    home = pathlib.Path(os.path.realpath(program)).parent.parent
    library = home / "lib/libzip.so"
    if not library.exists():
        raise Skip(f"{home} has no lib/libzip.so")
    needs_libz(library)
    return program


@job("java GZIPOutputStream, ZipOutputStream", deflate=MOVED)
def java_gzip(case):
    java(case, "gzip", data(case))
    same(case.stock("gzip", "-dc", "out.gz"), data(case))
    same(case.stock("unzip", "-p", "out.zip", "data"), data(case))


@job("java GZIPInputStream", inflate=SOFTWARE)
def java_gunzip(case):
    java(case, "gunzip", data(case), packed(case))
    same(case.file("out"), data(case))


@job("java Deflater, Inflater", deflate=MOVED, inflate=MOVED)
def java_deflater(case):
    java(case, "deflater", data(case))
    case.stock_python("import zlib; open('back', 'wb').write(zlib.decompress(open('out', 'rb').read()))")
    same(case.file("back"), data(case))
