"""The script that people write: Locust, a greenlet a socket, websocket-client, `json.loads`, `events.request.fire`."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
import websocket  # noqa: E402
from gevent.event import Event  # noqa: E402
from locust.env import Environment  # noqa: E402

from tests.bench.pace import Pace  # noqa: E402
from tests.bench.plan import Plan, identifier, pin, raise_limits  # noqa: E402


def connect(port: int, n: int) -> websocket.WebSocket:
    """Open a socket and subscribe."""
    ws = websocket.create_connection(f"ws://127.0.0.1:{port}/cable", timeout=60)
    ws.recv()
    ws.send(json.dumps({"command": "subscribe", "identifier": identifier(n)}))
    ws.recv()
    return ws


def main(port: int, plan: Plan) -> None:
    """Receive until the last event, then print the result."""
    pin(0)
    raise_limits()
    environment, pace, done = Environment(), Pace(plan), Event()

    environment.create_local_runner()  # which is what makes the statistics listen

    def listen(ws: websocket.WebSocket) -> None:
        began = time.time()
        for _ in range(plan.rounds):
            frame = json.loads(ws.recv())
            message = frame["message"]
            if message["event"] == "message.created" and message["data"]["echo_id"].startswith("lk"):
                took_ms = (time.time() - began) * 1e3
                environment.events.request.fire(
                    request_type="WS", name=message["event"], response_time=took_ms, response_length=0, exception=None, context={}
                )
            pace.event()
            if pace.over:
                done.set()

    sockets = [connect(port, n) for n in range(plan.sockets)]
    greenlets = [gevent.spawn(listen, ws) for ws in sockets]
    gevent.sleep(0)
    gc.collect()
    pace.ready()
    done.wait()
    gevent.joinall(greenlets)
    pace.report(hits=environment.stats.total.num_requests)


if __name__ == "__main__":
    main(int(sys.argv[1]), Plan(int(sys.argv[2]), int(sys.argv[3])))
