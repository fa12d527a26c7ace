"""What every script here needs: toxiproxy-python for Squall, proxies in front of a Redis, and clients of that.

TOXIPROXY_URL says where Squall's API is, REDIS the address of a redis-server.
"""

import itertools
import os
import socket
import time
import unittest
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from toxiproxy import Toxiproxy

API = urlsplit(os.environ["TOXIPROXY_URL"])
UPSTREAM = os.environ["REDIS"]
# At most this many seconds, on a busy machine, where nothing delays.
AT_ONCE = 0.9

toxiproxy = Toxiproxy()
toxiproxy.update_api_consumer(API.hostname, API.port)
numbers = itertools.count(1)


def place(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


class Case(unittest.TestCase):
    def proxy(self, **more):
        """A proxy in front of the Redis."""
        name = more.pop("name", f"redis_{next(numbers)}")
        return toxiproxy.create(**{"name": name, "upstream": UPSTREAM, "listen": "127.0.0.1:0", **more})

    def redis(self, proxy, timeout=10):
        """A connected client of Redis behind the proxy. It does not try again."""
        host, port = place(proxy.listen)
        client = redis.Redis(
            host=host, port=port, protocol=2, socket_timeout=timeout, single_connection_client=True,
            retry=Retry(NoBackoff(), 0), retry_on_error=[], driver_info=None,
        )
        self.addCleanup(client.close)
        return client

    def exchange(self, proxy, data, timeout=10):
        """Sends bytes; what came, up to which end, how many seconds from the start each piece took and the end."""
        pieces, times, end, began = [], [], "end", time.monotonic()
        with socket.create_connection(place(proxy.listen), timeout) as connection:
            connection.sendall(data)
            try:
                while piece := connection.recv(65536):
                    pieces.append(piece)
                    times.append(time.monotonic() - began)
            except OSError as error:
                end = type(error).__name__
        return b"".join(pieces), end, times, time.monotonic() - began

    def refuses(self, proxy):
        """Whether nobody listens there."""
        with socket.socket() as connection:
            connection.settimeout(5)
            try:
                connection.connect(place(proxy.listen))
            except ConnectionRefusedError:
                return True
            return False

    def timed(self, call):
        """What a call gave, and the seconds that it took."""
        began = time.monotonic()
        value = call()
        return value, time.monotonic() - began

    def tearDown(self):
        toxiproxy.destroy_all()
