"""A hub on this machine that speaks as much of the protocol as downloading a file needs.

It can be told to misbehave: each fault in `faults` spoils one GET, in order.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class HubStandIn:
    """What the stand-in serves, how it misbehaves, and what it was asked.

    Attributes
    ----------
    files : dict of (repo, filename) to bytes
        Other files of these repositories, and other repositories, do not exist.
    refusals : dict of repo to (status, X-Error-Code)
        Answered instead of a file.
    faults : list of str or int
        One per GET: "corrupt" flips a byte, "short" ends the file early as if that were right,
        "ignore range" sends all, "busy" answers 503, and a number cuts the line after as many
        bytes.
    etags : dict of filename to str
        Instead of the sha256.
    cdn : str
        Where to send those who ask for a file; "" serves it here.
    """

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    faults: list[str | int] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)
    cdn: str = ""
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of each GET."""
        return [asked.range for asked in self.asked if asked.method == "GET"]


@contextmanager
def serving(stand_in: HubStandIn) -> Iterator[HubStandIn]:
    """Serve on a free port until the block ends."""

    class Handler(_Handler):
        hub = stand_in

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        self.hub.asked.append(
            Asked(self.command, self.path, self.headers["Range"], self.headers["Authorization"])
        )
        owner, name, _resolve, _revision, *parts = self.path.strip("/").split("/")
        repo, filename = f"{owner}/{name}", "/".join(parts)
        if repo in self.hub.refusals:
            self._refuse(*self.hub.refusals[repo])
        elif repo not in {known for known, _ in self.hub.files}:
            self._refuse(404, "RepoNotFound")
        elif (repo, filename) not in self.hub.files:
            self._refuse(404, "EntryNotFound")
        elif self.hub.cdn:
            self._redirect(filename, self.hub.files[repo, filename])
        else:
            self._send_file(filename, self.hub.files[repo, filename])

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _redirect(self, filename: str, content: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", f"{self.hub.cdn}{self.path}")
        self.send_header("X-Linked-Size", str(len(content)))
        self._describe(filename, content, prefix="X-Linked-")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, filename: str, content: bytes) -> None:
        fault = self.hub.faults.pop(0) if self.command == "GET" and self.hub.faults else None
        if fault == "busy":
            self._refuse(503, "")
            return
        body, start = content, 0
        if fault == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault == "short":
            body = body[: len(body) // 2]
        if self.headers["Range"] and fault != "ignore range":
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(body):
            self._refuse(416, "")
            return
        self.send_response(206 if start else 200)
        self._describe(filename, content)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "GET":
            end = start + fault if isinstance(fault, int) else len(body)
            self.wfile.write(body[start:end])  # cut short, the line closes before its promised end

    def _describe(self, filename: str, content: bytes, prefix: str = "") -> None:
        etag = self.hub.etags.get(filename, hashlib.sha256(content).hexdigest())
        self.send_header(f"{prefix}ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
