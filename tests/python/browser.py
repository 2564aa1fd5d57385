"""A browser without a window, driven through the protocol that all browsers share (WebDriver)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

# What browsers do by themselves and a test must not: look for updates, report, ask the network.
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
    "--window-size=1440,1000",
]


def missing() -> str | None:
    """Why there is no browser here, or nothing."""
    wanted = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    if wanted:
        return (
            f"no {' and no '.join(wanted)} here: the report is not looked at"
            " (on Debian: apt install chromium chromium-driver)"
        )
    return None


class Browser:
    """Chromium, as long as the ``with`` block lasts."""

    def __enter__(self) -> Browser:
        self.profile = tempfile.mkdtemp(prefix="wrasse-browser-")
        # A browser given a proxy by its environment would ask that even for files.
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=kept,
        )
        assert self.driver.stdout is not None
        for line in self.driver.stdout:
            if "successfully on port " in line:
                port = line.rsplit("successfully on port ", 1)[1].strip(" .\n")
                break
        else:
            raise RuntimeError("chromedriver did not start")
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.address = f"http://127.0.0.1:{port}/session"
        chrome = {
            "binary": shutil.which("chromium"),
            "args": [*QUIET, f"--user-data-dir={self.profile}"],
        }
        wanted = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self.ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.address += "/" + session["sessionId"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.profile, ignore_errors=True)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to the browser's driver."""
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.address + path, data, method=method)
        try:
            with self.opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, file: Path) -> None:
        """Open a page of the report and wait until it has drawn itself."""
        self.ask("POST", "/url", {"url": file.as_uri()})
        self.wait("document.documentElement.dataset.ready === 'yes'")

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a script's ``return``."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str) -> None:
        """Wait for a condition, at most some seconds."""
        script = (
            "const done = arguments[arguments.length - 1]; const begun = Date.now();"
            f"(function look() {{ if ({condition}) done(true);"
            " else if (Date.now() - begun > 20000) done(false); else setTimeout(look, 20); })()"
        )
        assert self.ask("POST", "/execute/async", {"script": script, "args": []}), condition

    def click(self, selector: str) -> None:
        """Click where a person would, on the first element of that selector."""
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        self.ask("POST", f"/element/{next(iter(found.values()))}/click")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask(
            "POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]}
        )

    def text(self, selector: str) -> str:
        """The text a person sees in the first element of that selector."""
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def screenshot(self, file: Path) -> bytes:
        """A picture of the window."""
        data = base64.b64decode(self.ask("GET", "/screenshot"))
        file.write_bytes(data)
        return data

    def complaints(self) -> list[str]:
        """What the page has written to the browser's console since the last call."""
        entries = self.ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]
