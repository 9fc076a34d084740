"""Programs that talk to each other over loopback: web servers and clients, rsync, ssh, databases."""

import contextlib
import http.client
import http.server
import os
import pathlib
import shutil
import signal
import threading

from harness import EITHER, MOVED, NOBODY, ROOT, SOFTWARE, UNPACKED, Skip, Wrong, find, free_port, job, needs_libz, same
from languages import data, packed


class Origin(http.server.BaseHTTPRequestHandler):
    """A web server without zlib: `/plain` and, coded, `/packed`, in pieces as they come from a network."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.server.bodies[self.path]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        for at in range(0, len(body), 7000):
            self.wfile.write(body[at : at + 7000])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def origin(case):
    """The origin's address, while it serves."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        server.bodies = {"/plain": data(case).read_bytes(), "/packed": packed(case).read_bytes()}
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def fetch(port, path, coded):
    """One response's body. `coded`: whether gzip is asked for, and must come."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"} if coded else {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200 or (response.headers["Content-Encoding"] == "gzip") != coded:
        raise Wrong(f"{path}: status {response.status}, {response.headers.as_string()}")
    return body


def fetch_coded(case, port, path):
    """A response in gzip, as stock gzip reads it, which must be the data, three times."""
    for _ in range(3):
        same(case.stock("gzip", "-dc", input=fetch(port, path, coded=True)), data(case))


@job("curl --compressed", inflate=SOFTWARE)
def curl(case):
    with origin(case) as address:
        case.run(needs_libz(find("curl")), "--silent", "--show-error", "--compressed", "--output", "out", f"http://{address}/packed")
    same(case.file("out"), data(case))


@job("wget --compression=gzip", inflate=SOFTWARE)
def wget(case):
    with origin(case) as address:
        case.run(needs_libz(find("wget")), "--quiet", "--compression=gzip", "--output-document=out", f"http://{address}/packed")
    same(case.file("out"), data(case))


@contextlib.contextmanager
def nginx(case, server):
    """An nginx whose workers get our environment, which it otherwise clears. Gives its port."""
    port = free_port()
    program = needs_libz(find("nginx"))
    passed = "".join(f"env {name};\n" for name in case.environment() if name not in ("PATH", "HOME"))
    temporary = "".join(f"{name}_temp_path {name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    case.file("nginx.conf").write_text(
        f"""{passed} daemon off; {"user www-data;" if ROOT else ""} worker_processes 2; pid nginx.pid; error_log stderr notice;
        events {{ worker_connections 64; }}
        http {{ access_log off; default_type text/plain; {temporary}
            server {{ listen 127.0.0.1:{port}; root {case.file("html")}; gzip_types text/plain; {server} }} }}"""
    )
    case.file("html").mkdir()
    shutil.copy(data(case), case.file("html/plain"))
    shutil.copy(packed(case), case.file("html/packed.gz"))
    with case.server([program, "-p", case.folder, "-e", "stderr", "-c", case.file("nginx.conf")], b"start worker process ", signal.SIGQUIT) as running:
        yield port
    if b"[alert]" in running.said():
        raise Wrong(running.said().decode())


@job("nginx gzip, of files", deflate=MOVED)
def nginx_gzip(case):
    with nginx(case, "gzip on;") as port:
        fetch_coded(case, port, "/plain")


@job("nginx gzip, of proxied responses", deflate=MOVED)
def nginx_proxy(case):
    with origin(case) as address, nginx(case, f"gzip on; gzip_proxied any; location / {{ proxy_pass http://{address}; }}") as port:
        fetch_coded(case, port, "/plain")


@job("nginx gunzip", inflate=SOFTWARE)
def nginx_gunzip(case):
    with nginx(case, "gunzip on; gzip_static always;") as port:
        same(fetch(port, "/packed", coded=False), data(case))


@contextlib.contextmanager
def apache(case, directives):
    """An Apache, started without apachectl, which would clear the environment. Gives its port."""
    port = free_port()
    program = find("apache2", "apache2-bin")
    modules = pathlib.Path(program).parent.parent / "lib/apache2/modules"
    needs_libz(modules / "mod_deflate.so")
    names = ("mpm_event", "authz_core", "filter", "mime", "deflate")
    loaded = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names)
    case.file("mime.types").write_text("text/plain txt\n")
    case.file("html").mkdir()
    shutil.copy(data(case), case.file("html/plain.txt"))
    shutil.copy(packed(case), case.file("html/packed.txt.gz"))
    case.file("apache.conf").write_text(
        f"""{loaded}
        ServerRoot {case.folder}
        ServerName localhost
        Listen 127.0.0.1:{port}
        PidFile {case.file("apache.pid")}
        DefaultRuntimeDir {case.folder}
        Mutex pthread default
        {"User www-data" if ROOT else ""}
        {"Group www-data" if ROOT else ""}
        ErrorLog /dev/stderr
        TypesConfig {case.file("mime.types")}
        DocumentRoot {case.file("html")}
        {directives}
        """
    )
    with case.server([program, "-DFOREGROUND", "-f", case.file("apache.conf")], b"resuming normal operations"):
        yield port


@job("apache mod_deflate, DEFLATE", deflate=MOVED)
def apache_deflate(case):
    with apache(case, "SetOutputFilter DEFLATE") as port:
        fetch_coded(case, port, "/plain.txt")


@job("apache mod_deflate, INFLATE", inflate=SOFTWARE)
def apache_inflate(case):
    with apache(case, "AddEncoding gzip .gz\nSetOutputFilter INFLATE") as port:
        same(fetch(port, "/packed.txt.gz", coded=False), data(case))


def rsync(case, choice):
    """Twice, with a changed file in between, both ends with our environment; the remote shell is a local one."""
    shell = case.file("rsh")
    shell.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    shell.chmod(0o755)
    program = needs_libz(find("rsync"))
    shutil.copytree(case.shared_folder / "tree", case.file("from"))
    command = [program, "-a", "--checksum", "-z", f"--compress-choice={choice}", "--no-whole-file", "-e", shell, f"--rsync-path={program}"]
    for _ in range(2):
        case.run(*command, "from/", f"localhost:{case.file('to')}/")
        same(case.file("to"), case.file("from"))
        text = case.file("from/text").read_bytes()
        case.file("from/text").write_bytes(text[:1000] + b"more" + text[1000:] + text[: 1 << 20])
    case.run(*command, f"localhost:{case.file('from')}/", "to/")
    same(case.file("to"), case.file("from"))


@job("rsync -z --compress-choice=zlib", deflate=MOVED, inflate=SOFTWARE)
def rsync_zlib(case):
    rsync(case, "zlib")


@job("rsync -z --compress-choice=zlibx", deflate=MOVED, inflate=SOFTWARE)
def rsync_zlibx(case):
    rsync(case, "zlibx")


@job("ssh -C (scp both ways)", deflate=SOFTWARE, inflate=SOFTWARE)
def ssh(case):
    """An sshd of one connection, which the client starts as its proxy command: no port, nothing left."""
    scp, client, server = find("scp", "openssh-client"), needs_libz(find("ssh", "openssh-client")), needs_libz(find("sshd", "openssh-server"))
    user = "tester" if ROOT else os.environ.get("USER") or case.stock("id", "-un").decode().strip()
    for name in "host", "user":
        case.stock("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name)
    shutil.copy(case.file("user.pub"), case.file("authorized"))
    case.file("sshd.conf").write_text(
        f"HostKey {case.file('host')}\nAuthorizedKeysFile {case.file('authorized')}\nStrictModes no\nUsePAM no\n"
        "Subsystem sftp internal-sftp\nForceCommand internal-sftp\nCompression yes\nPidFile none\nLogLevel ERROR\n"
    )
    case.file("to").mkdir()
    case.file("to").chmod(0o777)
    proxy = f"{server} -i -f {case.file('sshd.conf')}"
    if ROOT:
        # A server of root wants a user and a folder that only the installed package brings; one of another user, that this one
        # may log in. In a mount namespace of its own there is such a user.
        number = 2000
        os.chown(case.file("host"), number, number)
        case.file("passwd").write_text(f"root:x:0:0::/:/bin/sh\n{user}:x:{number}:{number}::/:/bin/sh\n")
        identity = f"setpriv --reuid={number} --regid={number} --clear-groups --"
        inside = f"mount --bind {case.file('passwd')} /etc/passwd && exec {identity} {proxy}"
        case.file("sshd.sh").write_text(f"exec unshare --mount sh -c '{inside}'\n")
        proxy = f"sh {case.file('sshd.sh')}"
    options = ["-S", client, "-C", "-q", "-i", case.file("user"), "-F", "none"]
    for option in (f"ProxyCommand={proxy}", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", f"User={user}"):
        options += ["-o", option]
    case.run(scp, *options, data(case), f"here:{case.file('to')}/data")
    same(case.file("to/data"), data(case))
    case.run(scp, *options, f"here:{data(case)}", "back")
    same(case.file("back"), data(case))


def postgres_programs():
    folders = [folder / "bin" for base in (UNPACKED, pathlib.Path("/")) for folder in sorted(base.glob("usr/lib/postgresql/*"))]
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_dump").exists():
            needs_libz(folder / "pg_dump")
            return folder
    raise Skip("no /usr/lib/postgresql/*/bin with initdb and pg_dump, and the packages could not be had")


@contextlib.contextmanager
def postgres(case, under_test=False):
    """A PostgreSQL server with one table, as a user who is not root. Gives the folder of its programs and a client's options."""
    programs = postgres_programs()
    port = free_port()
    user = ["-h", "127.0.0.1", "-U", "owner"]

    def serve(cluster, under_test):
        settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "logging_collector=off"]
        command = [*NOBODY, programs / "postgres", "-D", cluster]
        for setting in settings:
            command += ["-c", setting]
        # SIGINT: end connections, write everything, leave.
        return case.server(command, b"is ready to accept connections", signal.SIGINT, under_test)

    def make(path):
        cluster = path
        cluster.mkdir()
        if ROOT:
            shutil.chown(cluster, "nobody")
        case.stock(*NOBODY, programs / "initdb", "-D", cluster, "-U", "owner", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        with serve(cluster, False):
            table = "create table records (number serial primary key, record text)"
            psql = [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *user, "-p", str(port), "-d", "postgres", "-c"]
            case.stock(*psql, table)
            case.stock(*psql, "\\copy records (record) from pstdin", input=case.shared_folder.joinpath("tree/records.json").read_bytes())

    cluster = case.shared("cluster", make)
    with serve(cluster, under_test):
        yield programs, [*user, "-p", str(port)]


@contextlib.contextmanager
def mariadb(case, under_test=False):
    """A MariaDB server without system tables, as a user who is not root. Gives a client's command."""
    server, client = find("mariadbd", "mariadb-server-core"), find("mariadb", "mariadb-client-core")
    share = pathlib.Path(server).parent.parent / "share/mysql"
    port = free_port()
    cluster = case.file("mariadb")
    cluster.mkdir()
    if ROOT:
        shutil.chown(cluster, "nobody")
    command = [*NOBODY, needs_libz(server), "--no-defaults", "--skip-grant-tables", "--bind-address=127.0.0.1", f"--port={port}",
               f"--datadir={cluster}", f"--socket={cluster}/socket", f"--pid-file={cluster}/pid", f"--lc-messages-dir={share}",
               f"--character-sets-dir={share}/charsets", "--max-allowed-packet=64M", "--local-infile=1"]
    with case.server(command, b"ready for connections", under_test=under_test):
        yield [client, "--no-defaults", "--host=127.0.0.1", f"--port={port}", "--max-allowed-packet=64M", "--batch", "--raw",
               "--skip-column-names", "-e"]


@job("mariadb --compress", deflate=MOVED, inflate=MOVED)
def mariadb_client(case):
    text = case.shared_folder / "tree/text"
    with mariadb(case) as client:
        case.stock(*client, "create database d; create table d.r (t longblob)")
        compressed = [client[0], "--no-defaults", "--compress", "--local-infile=1", *client[2:]]
        # Words that no text has; a source of Python's says "no such field".
        never = "fields terminated by '5b1f~field~c07e' escaped by '' lines terminated by '5b1f~line~c07e'"
        case.run(*compressed, f"load data local infile '{text}' into table d.r {never}")
        case.run(*compressed, "select t from d.r", output=case.file("out"))
        case.stock(*client, "select t from d.r", output=case.file("expected"))
    same(case.file("expected").read_bytes()[:-1], text)
    same(case.file("out"), case.file("expected"))


@job("mariadbd COMPRESS(), UNCOMPRESS()", deflate=MOVED, inflate=MOVED)
def mariadb_server(case):
    # More than 8 MiB in one call stays in software.
    text = case.shared_folder / "tree/records.json"
    with mariadb(case, under_test=True) as client:
        out = case.file("mariadb/out")
        case.stock(*client, f"select compress(load_file('{text}')) into dumpfile '{out}'")
        digest = case.stock(*client, f"select sha1(uncompress(load_file('{out}')))")
    case.stock_python("import sys, zlib; open('back', 'wb').write(zlib.decompress(open(sys.argv[1], 'rb').read()[4:]))", out)
    same(case.file("back"), text)
    if digest.split() != case.stock("sha1sum", text).split()[:1]:
        raise Wrong("UNCOMPRESS() gave another text")


def script(text):
    """A dump as SQL, without the random word that newer versions begin and end it with."""
    return b"\n".join(line for line in text.split(b"\n") if not line.startswith((b"\\restrict", b"\\unrestrict")))


@job("pg_dump -Fc", deflate=MOVED)
def pg_dump_custom(case):
    with postgres(case) as (programs, options):
        case.run(programs / "pg_dump", *options, "-Fc", "-f", "out.dump", "postgres")
        expected = case.stock(programs / "pg_dump", *options, "-Fp", "postgres")
    # A script restored from a dump is the script that would have been dumped.
    same(script(case.stock(programs / "pg_restore", "-f", "-", "out.dump")), script(expected))


@job("pg_dump -Fp -Z 6", deflate=MOVED)
def pg_dump_plain(case):
    with postgres(case) as (programs, options):
        case.run(programs / "pg_dump", *options, "-Fp", "-Z", "6", "-f", "out.gz", "postgres")
        expected = case.stock(programs / "pg_dump", *options, "-Fp", "postgres")
    same(script(case.stock("gzip", "-dc", "out.gz")), script(expected))


@job("pg_restore", inflate=SOFTWARE)
def pg_restore(case):
    with postgres(case) as (programs, options):
        case.stock(programs / "pg_dump", *options, "-Fc", "-f", "in.dump", "postgres")
        expected = case.stock(programs / "pg_dump", *options, "-Fp", "postgres")
    same(script(case.run(programs / "pg_restore", "-f", "-", "in.dump")), script(expected))


@job("postgres, pg_basebackup --compress=server-gzip", deflate=MOVED)
def pg_basebackup(case):
    with postgres(case, under_test=True) as (programs, options):
        backup = ["-D", "backup", "-Ft", "-X", "fetch", "--no-sync", "--checkpoint=fast", "--compress=server-gzip:1"]
        case.stock(programs / "pg_basebackup", *options, *backup)
    case.file("files").mkdir()
    case.stock("tar", "-xzf", "../backup/base.tar.gz", cwd=case.file("files"))
    # Sizes and checksums of all files.
    case.stock(programs / "pg_verifybackup", "--no-parse-wal", "-m", "backup/backup_manifest", "files")
