"""The two servers of the cable suite behind one face: a stock Rails with Puma and Redis, and the sandbox.

Everything that is started is a process or a thread of its own, on a free port or a socket in a temporary folder, and is stopped by its pid.
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from loadkit.cable import frames
from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, ask, reply
from tests.support import eventually

APP = Path(__file__).with_name("rails") / "config.ru"
REDIS = "redis-check-rdb"
"""Debian's redis-server is this program under another name, which its package redis-tools has without the service."""


class Server(Protocol):
    """What the suite asks of a server; `broadcast` sends a `message.created` whose `echo_id` is the marker."""

    @property
    def url(self) -> str: ...

    def token(self) -> str: ...

    def lasting(self) -> str: ...

    def broadcast(self, token: str, marker: str) -> int: ...

    def disconnect(self) -> None: ...

    def lose_redis(self) -> None: ...

    def restart(self) -> None: ...

    def stop(self) -> None: ...


class SandboxServer:
    """The sandbox without service times."""

    def __init__(self) -> None:
        self._sandbox = Sandbox(service="none").start()
        self._customers: dict[str, Customer] = {}

    @property
    def url(self) -> str:
        return self._sandbox.url

    def token(self) -> str:
        """Return a good token that is nobody else's."""
        customer = Customer(self._sandbox, connected=False)
        token: str = customer.contact["pubsub_token"]
        self._customers[token] = customer
        return token

    def lasting(self) -> str:
        """Return an identifier that is good after a restart too."""
        user = self._sandbox.store.users[1]
        return frames.room_identifier(user.pubsub_token, account_id=1, user_id=user.id)

    def broadcast(self, token: str, marker: str) -> int:
        return reply(self._sandbox, self._customers[token], marker).status

    def disconnect(self) -> None:
        """Send every socket away with a `disconnect` frame."""
        assert ask(self._sandbox.control, "POST", "/restart").status == 200

    def cut(self) -> None:
        """Drop every socket's TCP."""
        assert ask(self._sandbox.control, "POST", "/cut").status == 200

    def subscriptions(self) -> int:
        """Return how many are confirmed now, whoever's they are."""
        count: int = ask(self._sandbox.control, "GET", "/state").json()["subscriptions"]
        return count

    def lose_redis(self) -> None:
        assert ask(self._sandbox.control, "PUT", "/faults", {"deaf": "on"}).status == 200

    def restart(self) -> None:
        """End the server and start it anew on the same port."""
        port = int(self.url.rpartition(":")[2])
        self._sandbox.stop()
        self._sandbox = Sandbox(service="none", port=port).start()

    def stop(self) -> None:
        self._sandbox.stop()


class RailsServer:
    """Puma with the application of `rails/config.ru`, and a Redis of its own that only a socket file leads to."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="lk-rails-")
        self._redis: subprocess.Popen[str] | None = None
        self._puma: subprocess.Popen[str] | None = None
        self._port = 0
        try:
            self._start_redis()
            self._start_puma()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def token(self) -> str:
        """Return a good token that is nobody else's."""
        return secrets.token_hex(12)

    def lasting(self) -> str:
        """Return an identifier that is good after a restart too."""
        return frames.room_identifier(self.token())

    def broadcast(self, token: str, marker: str) -> int:
        message = {"event": "message.created", "data": {"echo_id": marker, "message_type": 1}}
        return ask(self.url, "POST", "/broadcast", {"stream": token, "message": message}).status

    def disconnect(self) -> None:
        """Send every socket away with a `disconnect` frame."""
        assert ask(self.url, "POST", "/restart").status == 200

    def lose_redis(self) -> None:
        """Restart Redis under the running Puma."""
        _end(self._redis)
        self._start_redis()

    def restart(self) -> None:
        """End Puma and start it anew on the same port."""
        _end(self._puma)
        self._start_puma()

    def stop(self) -> None:
        _end(self._puma)
        _end(self._redis)
        self._folder.cleanup()

    def _start_redis(self) -> None:
        path = Path(self._folder.name) / "redis.sock"
        path.unlink(missing_ok=True)
        program = Path(self._folder.name) / "redis-server"
        if not program.exists():
            program.symlink_to(str(shutil.which(REDIS)))
        options = ["--port", "0", "--unixsocket", str(path), "--dir", self._folder.name, "--save", "", "--appendonly", "no"]
        self._redis = self._spawn("redis", [str(program), *options])
        eventually(path.exists, within=10)

    def _start_puma(self) -> None:
        said = Path(self._folder.name) / "puma.log"
        said.unlink(missing_ok=True)
        bind = f"tcp://127.0.0.1:{self._port}"
        options = ["--bind", bind, "--threads", "5:5", "--environment", "production", "--config", "-", str(APP)]
        self._puma = self._spawn("puma", ["puma", *options])
        pattern = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)")
        try:
            self._port = int(eventually(lambda: pattern.search(said.read_text()), within=60)[1])
        except AssertionError:
            raise AssertionError(f"Puma does not listen: {said.read_text()[-2000:]}") from None

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[str]:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": self._folder.name,
            "LANG": "C.UTF-8",
            "RAILS_ENV": "production",
            "REDIS_URL": f"unix://{self._folder.name}/redis.sock",
        }
        # setpriv becomes the program itself; it ends with the tests even where they are killed.
        with (Path(self._folder.name) / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command], cwd=self._folder.name, env=environment, stdout=log, stderr=log, text=True
            )


def _end(process: subprocess.Popen[str] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
