#!/usr/bin/env python3
"""The application of the end-to-end tests: answers, or fails in one chosen way.

Environment: PORT, BIND, MODE (http, silent, close, reset, banner, raw, tls, h2, eat, full, worker, greedy, work), STATUS, BODY. /missing is always 404 in mode
http. An IPv6 address in BIND takes IPv6 alone. In mode full the queue of connections is full, and nobody takes one from it.
DELAY is for how many seconds an answer is waited for, by turns where there are several. In mode worker each request is done by a process of its own, which eats memory without end.
In mode greedy it has opened as many files as it may before it is asked, in mode work each answer takes a good part of a second of CPU time.
LOCATION is where a 30x leads, TYPE the type of BODY, HOSTS the only hosts that are answered (others get REFUSAL). RAW is what mode raw sends; it and BODY have PAD
letters for each @. In mode tls the certificate is out of time with CERT=expired and read from /pki with CERT=given, CLIENT=required asks for one of clients, SNI=required for a name.
"""
import hashlib, itertools, os, socket, ssl, struct, subprocess, sys, threading, time

env = os.environ.get
PORT, BIND, MODE = int(env("PORT", "8080")), env("BIND", "0.0.0.0"), env("MODE", "http")
padded = lambda text: text.replace("@", "x" * int(env("PAD", "0")))
STATUS, BODY = env("STATUS", "200"), padded(env("BODY", "hello from " + socket.gethostname()))
delays = itertools.cycle(env("DELAY", "0").split(","))
LOCATION, HOSTS, RAW = env("LOCATION", "/elsewhere"), env("HOSTS"), padded(env("RAW", ""))


EAT = """
hoard = bytearray()
while True:
    hoard += b"x" * (1 << 20)
"""


def respond(peer):
    head = peer.recv(4096)
    # Who only connects asks for nothing.
    time.sleep(float(next(delays)) if head else 0)
    path = head.split(b" ")[1].decode() if head.count(b" ") > 1 else "/"
    status = "404" if path.startswith("/missing") else STATUS
    body = BODY + "\n"
    hosts = [line[5:].strip() for line in head.decode("latin-1").lower().split("\r\n") if line.startswith("host:")]
    if HOSTS and hosts and hosts[0] not in HOSTS.split(","):
        status, body = env("REFUSAL", "400"), "Invalid Host header\n"
    extra = f"location: {LOCATION}\r\n" if status.startswith("30") else ""
    extra += f"content-type: {env('TYPE')}\r\n" if env("TYPE") else ""
    sent = "" if head.startswith(b"HEAD ") else body
    peer.sendall(f"HTTP/1.1 {status} X\r\n{extra}content-length: {len(body)}\r\nconnection: close\r\n\r\n{sent}".encode())


def respond_h2(peer):
    """HTTP/2 with prior knowledge, as far as one GET needs it (RFC 9113); GOAWAY for everybody else."""
    frame = lambda kind, flags, stream, payload=b"": struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
    reader = peer.makefile("rb")
    preface = reader.read(24)
    peer.sendall(frame(4, 0, 0))
    if not preface.startswith(b"PRI * HTTP/2.0"):
        peer.sendall(frame(7, 0, 0, struct.pack(">II", 0, 1)))
        peer.shutdown(socket.SHUT_WR)
    while head := reader.read(9):
        reader.read(int.from_bytes(head[:3], "big"))
        if preface.startswith(b"PRI") and head[3] == 1:
            peer.sendall(frame(4, 1, 0) + frame(1, 5, 1, b"\x88"))


def serve(peer):
    try:
        if MODE == "http":
            respond(peer)
        elif MODE == "work":
            hashlib.pbkdf2_hmac("sha256", b"work", b"", 1_500_000)
            respond(peer)
        elif MODE == "tls":
            respond_tls(peer)
            return
        elif MODE == "h2":
            respond_h2(peer)
        elif MODE == "raw":
            peer.recv(4096)
            peer.sendall(RAW.encode("latin-1"))
        elif MODE == "silent":
            peer.recv(4096)
            threading.Event().wait()
        elif MODE == "close":
            peer.recv(4096)
        elif MODE == "reset":
            peer.recv(4096)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif MODE == "worker":
            # Who only connects asks for nothing.
            if peer.recv(4096):
                subprocess.run([sys.executable, "-c", EAT])
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
    if env("CERT") == "expired":
        subprocess.run("openssl x509 -in /tmp/c -x509toreq -signkey /tmp/k -out /tmp/r && "
                       "openssl x509 -req -in /tmp/r -signkey /tmp/k -days -1 -out /tmp/c", shell=True, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*(("/pki/tls.crt", "/pki/tls.key") if env("CERT") == "given" else ("/tmp/c", "/tmp/k")))
    if env("CLIENT") == "required":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations("/tmp/c")
    if env("SNI") == "required":
        context.sni_callback = lambda _, name, __: None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
if MODE == "eat":
    exec(EAT)

listener = socket.socket(socket.AF_INET6 if ":" in BIND else socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if ":" in BIND:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
listener.bind((BIND, PORT))
listener.listen(0 if MODE == "full" else 1024)
print(f"{MODE} on {BIND}:{PORT}", file=sys.stderr, flush=True)
if MODE == "full":
    # A queue of length 0 holds one connection.
    first = socket.create_connection(("127.0.0.1", PORT))
    threading.Event().wait()
kept = []
while MODE == "greedy":
    try:
        kept.append(open("/dev/null"))
    except OSError:
        break
while True:
    try:
        peer, _ = listener.accept()
    except OSError:
        # No descriptor is left for it, so that it waits.
        time.sleep(1)
        continue
    try:
        threading.Thread(target=serve, args=(peer,), daemon=True).start()
    except RuntimeError:
        # No thread can be made for it.
        peer.close()
