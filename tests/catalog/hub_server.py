"""A stand-in of the Hugging Face hub: repositories, their commits and files, as far as its client asks for them without LFS.

What it does not show, and the hub alone could: LFS and Xet uploads, gating, rate limits, what a README becomes on the page.
"""

import base64
import functools
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Hub:
    """Repositories at `url`: name -> {commit: {path: content}}, the last of which is main.

    token: what may write. before: name of an endpoint -> called before it answers. down: answers 503 to all. asked: all
    requests.
    """

    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    token: str = "hf_right"
    before: dict[str, object] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def commit(self, name: str, files: dict[str, bytes]) -> str:
        """A commit with these files. Returns its hash."""
        commits = self.repositories.setdefault(name, {})
        commit = hashlib.sha1(f"{name}{len(commits)}{sorted(files.items())}".encode()).hexdigest()
        commits[commit] = dict(files)
        return commit

    def files(self, name: str) -> dict[str, bytes]:
        """Those of main."""
        return list(self.repositories[name].values())[-1]

    def find(self, name: str, revision: str) -> str | None:
        commits = self.repositories[name]
        return revision if revision in commits else list(commits)[-1] if revision == "main" else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *given, hub: Hub):
        self.hub = hub
        super().__init__(*given)

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.down:
            return self.send(503, b"")
        for pattern, method in ROUTES:
            if found := re.fullmatch(pattern, path):
                if before := self.hub.before.pop(method, None):
                    before()
                return getattr(self, method)(*found.groups(), body=body)
        raise AssertionError(f"{self.command} {path}: the stand-in does not know that")

    def info(self, name, revision=None, *, body):
        if (commit := self.known(name, revision or "main")) is None:
            return
        files = self.hub.repositories[name][commit]
        siblings = [{"rfilename": path, "size": len(content)} for path, content in files.items()]
        self.json({"_id": "0", "id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []})

    def tree(self, name, revision, *, body):
        if (commit := self.known(name, revision)) is None:
            return
        files = self.hub.repositories[name][commit]
        self.json([{"type": "file", "oid": oid(each), "size": len(each), "path": path} for path, each in files.items()])

    def resolve(self, name, revision, path, *, body):
        if (commit := self.known(name, revision)) is None:
            return
        content = self.hub.repositories[name][commit].get(path)
        told = {"X-Repo-Commit": commit}
        if content is None:
            return self.send(404, b"", {**told, "X-Error-Code": "EntryNotFound"})
        self.send(200, content, {**told, "ETag": f'"{oid(content)}"'})

    def create(self, *, body):
        given = json.loads(body)
        name = f"{given['organization']}/{given['name']}"
        if not self.may_write():
            return
        if name in self.hub.repositories:
            return self.json({"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"}, 409)
        self.hub.commit(name, {".gitattributes": b""})
        self.json({"url": f"{self.hub.url}/{name}", "name": name, "id": "0"})

    def validate(self, *, body):
        self.json({"errors": [], "warnings": []})

    def preupload(self, name, revision, *, body):
        files = [
            {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in json.loads(body)["files"]
        ]
        self.json({"files": files})

    def write(self, name, revision, *, body):
        if not self.may_write():
            return
        files = dict(self.hub.files(name))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit") not in (None, self.hub.find(name, "main")):
                return self.json({"error": "The expected commit is not the last one"}, 412)
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "deletedFile":
                del files[value["path"]]
        commit = self.hub.commit(name, files)
        self.json({"success": True, "commitOid": commit, "commitUrl": f"{self.hub.url}/{name}/commit/{commit}"})

    def known(self, name, revision):
        """The commit, or None after the answer that there is none."""
        if name not in self.hub.repositories:
            return self.send(401, b"", {"X-Error-Code": "RepoNotFound"})
        if (commit := self.hub.find(name, revision)) is None:
            return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        return commit

    def may_write(self):
        if self.headers.get("Authorization") == f"Bearer {self.hub.token}":
            return True
        self.json({"error": "Invalid username or password."}, 401)
        return False

    def json(self, content, code=200):
        self.send(code, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def send(self, code, content, headers=()):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = (
    (rf"/api/models/{NAME}", "info"),
    (rf"/api/models/{NAME}/revision/(.+)", "info"),
    (rf"/api/models/{NAME}/tree/(.+)", "tree"),
    (rf"/{NAME}/resolve/([^/]+)/(.+)", "resolve"),
    (r"/api/repos/create", "create"),
    (r"/api/validate-yaml", "validate"),
    (rf"/api/models/{NAME}/preupload/(.+)", "preupload"),
    (rf"/api/models/{NAME}/commit/(.+)", "write"),
)


def oid(content: bytes) -> str:
    """git's hash of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def serve(monkeypatch, cache):
    """A generator for a fixture: the Hub, where the client looks until the test ends; its cache is the folder, and no token is
    known."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    hub = Hub()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, hub=hub)) as server:
        server.daemon_threads, server.block_on_close = True, False
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub
        server.shutdown()
        thread.join()
