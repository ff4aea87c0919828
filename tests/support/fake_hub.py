"""A hub on this machine: the few routes of huggingface.co that uploading and downloading a run needs."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


class FakeHub:
    """A server with repositories in memory.

    Attributes:
        repos: for each repository, contents by path.
        private: repositories that were made private.
        messages: messages of all commits.
    """

    def __init__(self):
        self.repos, self.private, self.messages = {}, set(), []
        hub = self

        class Handler(_Handler):
            served = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0]
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        match = re.fullmatch(r"/api/models/(.+)/(preupload|commit)/main", path)
        if match is None or match[1] not in self.served.repos:
            return self._refuse("RepoNotFound")
        if match[2] == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            return self._answer({"files": modes})
        return self._commit(match[1], [json.loads(line) for line in body.splitlines()])

    def do_GET(self):
        path = self.path.split("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            if match[1] not in self.served.repos:
                return self._refuse("RepoNotFound")
            if match[2] not in (None, "main", COMMIT):
                return self._refuse("RevisionNotFound")
            files = self.served.repos[match[1]]
            listed = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            return self._answer({"id": match[1], "sha": COMMIT, "siblings": listed, "tags": [], "downloads": 0})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
            files = self.served.repos[match[1]]
            return self._answer([{"type": "file", "path": n, "size": len(c), "oid": _oid(c)} for n, c in files.items()])
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            content = self.served.repos.get(match[1], {}).get(match[3])
            return self._refuse("EntryNotFound") if content is None else self._send(200, content, _oid(content))
        return self._refuse("RepoNotFound")

    do_HEAD = do_GET

    def _create(self, wanted):
        repo = f"{wanted['organization']}/{wanted['name']}"
        if repo in self.served.repos:
            return self._answer({"url": f"{self.served.url}/{repo}", "name": repo}, 409)
        self.served.repos[repo] = {}
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.served.private.add(repo)
        return self._answer({"url": f"{self.served.url}/{repo}", "name": repo})

    def _commit(self, repo, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.served.messages.append(value["summary"])
            elif line["key"] == "file":
                self.served.repos[repo][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.served.repos[repo][value["path"]]
            else:
                return self._refuse("Unknown")
        return self._answer({"commitUrl": f"{self.served.url}/{repo}/commit/{COMMIT}", "commitOid": COMMIT})

    def _answer(self, value, status=200):
        self._send(status, json.dumps(value).encode())

    def _refuse(self, code):
        self._send(404, b"{}", code=code)

    def _send(self, status, content, etag=None, code=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if etag:
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", COMMIT)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content):
    return hashlib.sha1(content).hexdigest()
