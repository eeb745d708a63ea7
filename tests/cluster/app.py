#!/usr/bin/env python3
"""The application of the end-to-end tests: answers, or fails in one chosen way.

Environment: PORT, BIND, MODE (http, silent, close, reset, banner, tls, eat), STATUS, BODY. /missing is always 404 in mode http.
"""
import os, socket, ssl, struct, subprocess, sys, threading

env = os.environ.get
PORT, BIND, MODE = int(env("PORT", "8080")), env("BIND", "0.0.0.0"), env("MODE", "http")
STATUS, BODY = env("STATUS", "200"), env("BODY", "hello from " + socket.gethostname())


def respond(peer):
    head = peer.recv(4096)
    path = head.split(b" ")[1].decode() if head.count(b" ") > 1 else "/"
    status = "404" if path.startswith("/missing") else STATUS
    extra = "location: /elsewhere\r\n" if status.startswith("30") else ""
    body = BODY + "\n"
    peer.sendall(f"HTTP/1.1 {status} X\r\n{extra}content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())


def serve(peer):
    try:
        if MODE == "http":
            respond(peer)
        elif MODE == "tls":
            respond_tls(peer)
            return
        elif MODE == "silent":
            peer.recv(4096)
            threading.Event().wait()
        elif MODE == "close":
            peer.recv(4096)
        elif MODE == "reset":
            peer.recv(4096)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif MODE == "banner":
            peer.sendall(b"220 mail.test ESMTP ready\r\n")
            peer.recv(4096)
    except OSError:
        pass
    finally:
        peer.close()


def respond_tls(peer):
    with context.wrap_socket(peer, server_side=True) as secure:
        respond(secure)


if MODE == "tls":
    subprocess.run("openssl req -x509 -newkey rsa:2048 -nodes -keyout /tmp/k -out /tmp/c -days 9 -subj /CN=web "
                   "-addext subjectAltName=DNS:web", shell=True, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/c", "/tmp/k")
if MODE == "eat":
    hoard = bytearray()
    while True:
        hoard += b"x" * (1 << 20)

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((BIND, PORT))
listener.listen(64)
print(f"{MODE} on {BIND}:{PORT}", file=sys.stderr, flush=True)
while True:
    peer, _ = listener.accept()
    threading.Thread(target=serve, args=(peer,), daemon=True).start()
