#!/usr/bin/env python3
"""Full TLS handshakes, one connection each, as a client that trusts one certificate and reuses nothing.

Usage: handshakes.py PORT CERTIFICATE COUNT PROCESSES
Every handshake is followed by a request, whose answer must be complete. Says "half" when half of the first process's
handshakes are done; at the end prints "COUNT done, FAILURES failed" and the causes. Exit status 0: none failed.
"""
import collections
import multiprocessing
import socket
import ssl
import sys

# By what the server must do: TLS 1.3 signs, TLS 1.2 signs, TLS 1.2 with RSA key exchange decrypts.
KINDS = [
    (ssl.TLSVersion.TLSv1_3, None),
    (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM"),
    (ssl.TLSVersion.TLSv1_2, "kRSA+AESGCM"),
]
REQUEST = b"GET /text HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def once(port, certificate, kind, expected):
    version, ciphers = kind
    # A context of its own holds no session to resume.
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            assert not secure.session_reused, "a session was resumed"
            secure.sendall(REQUEST)
            answer = b""
            while part := secure.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head[:80]
    assert body == expected, f"{len(body)} bytes of body"


def worker(arguments):
    port, certificate, count, index, expected = arguments
    causes = collections.Counter()
    for number in range(count):
        if index == 0 and number == count // 2:
            print("half", flush=True)
        try:
            once(port, certificate, KINDS[number % len(KINDS)], expected)
        except (OSError, AssertionError) as error:
            causes[f"{type(error).__name__}: {error}"] += 1
    return causes


def main():
    port, certificate, count, processes = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    expected = sys.stdin.buffer.read()
    shares = [count // processes + (index < count % processes) for index in range(processes)]
    with multiprocessing.Pool(processes) as pool:
        jobs = [(port, certificate, share, index, expected) for index, share in enumerate(shares)]
        causes = sum(pool.map(worker, jobs, chunksize=1), collections.Counter())
    print(f"{count} done, {causes.total()} failed", flush=True)
    for cause, times in causes.most_common(10):
        print(f"{times}: {cause}", flush=True)
    return 1 if causes else 0


if __name__ == "__main__":
    sys.exit(main())
