"""What toxics do to a Redis client and to bytes, once toxiproxy-python has made them."""

import unittest

import redis
from scene import AT_ONCE, UPSTREAM, Case, place

GET_SHORT = b"GET short\r\nQUIT\r\n"
SHORT = b"$1000\r\n" + b"s" * 1000 + b"\r\n+OK\r\n"


class Effects(Case):
    @classmethod
    def setUpClass(cls):
        host, port = place(UPSTREAM)
        with redis.Redis(host=host, port=port, socket_timeout=10) as client:
            client.set("short", "s" * 1000)
            client.set("long", "l" * 200_000)

    def connected(self, proxy, **more):
        client = self.redis(proxy, **more)
        _, took = self.timed(client.ping)
        self.assertLess(took, AT_ONCE)
        return client

    def test_latency_comes_and_goes_on_an_open_connection(self):
        proxy = self.proxy()
        client = self.connected(proxy)
        proxy.add_toxic(type="latency", attributes={"latency": 1000})
        proxy.add_toxic(type="latency", stream="upstream", attributes={"latency": 1000})
        pong, took = self.timed(client.ping)
        self.assertTrue(pong)
        self.assertTrue(1.999 <= took < 2 + AT_ONCE, took)
        proxy.destroy_toxic("latency_downstream")
        proxy.destroy_toxic("latency_upstream")
        self.assertLess(self.timed(client.ping)[1], AT_ONCE)

    def test_latency_beyond_the_patience_of_the_client(self):
        proxy = self.proxy()
        client = self.connected(proxy, timeout=1)
        proxy.add_toxic(type="latency", attributes={"latency": 5000})
        self.assertRaises(redis.TimeoutError, client.ping)

    def test_bandwidth_takes_its_time(self):
        proxy = self.proxy()
        client = self.connected(proxy)
        proxy.add_toxic(type="bandwidth", attributes={"rate": 200})
        value, took = self.timed(lambda: client.get("long"))
        self.assertEqual(value, b"l" * 200_000)
        self.assertTrue(0.8 <= took < 3, took)

    def test_timeout_closes_without_an_answer(self):
        proxy = self.proxy()
        client = self.connected(proxy)
        proxy.add_toxic(type="timeout", attributes={"timeout": 500})

        def fail():
            with self.assertRaisesRegex(redis.ConnectionError, "Connection closed by server"):
                client.ping()

        _, took = self.timed(fail)
        self.assertTrue(0.4 <= took < 0.5 + AT_ONCE, took)

    def test_timeout_0_is_silence(self):
        proxy = self.proxy()
        client = self.connected(proxy, timeout=1)
        proxy.add_toxic(type="timeout", attributes={"timeout": 0})
        self.assertRaises(redis.TimeoutError, client.ping)

    def test_reset_peer_is_a_reset(self):
        proxy = self.proxy()
        proxy.add_toxic(type="reset_peer", attributes={"timeout": 300})
        client = self.redis(proxy)
        with self.assertRaisesRegex(redis.ConnectionError, "Connection reset by peer"):
            client.ping()
        came, end, _, took = self.exchange(proxy, b"PING\r\n")
        self.assertEqual((came, end), (b"", "ConnectionResetError"))
        self.assertTrue(0.299 <= took < 0.3 + AT_ONCE, took)

    def test_limit_data_cuts_an_answer(self):
        proxy = self.proxy()
        proxy.add_toxic(type="limit_data", attributes={"bytes": 100})
        came, end, _, _ = self.exchange(proxy, GET_SHORT)
        self.assertEqual((came, end), (SHORT[:100], "end"))
        with self.assertRaisesRegex(redis.ConnectionError, "Connection closed by server"):
            self.redis(proxy).get("short")

    def test_slow_close_is_an_end_that_comes_later(self):
        proxy = self.proxy()
        proxy.add_toxic(type="slow_close", attributes={"delay": 1500})
        came, end, times, took = self.exchange(proxy, GET_SHORT)
        self.assertEqual((came, end), (SHORT, "end"))
        self.assertLess(times[-1], AT_ONCE)
        self.assertTrue(1.499 <= took < 1.5 + AT_ONCE, took)

    def test_slicer_cuts_into_pieces(self):
        proxy = self.proxy()
        proxy.add_toxic(type="slicer", attributes={"average_size": 100, "size_variation": 20, "delay": 30_000})
        came, end, times, took = self.exchange(proxy, GET_SHORT)
        self.assertEqual((came, end), (SHORT, "end"))
        self.assertGreaterEqual(len(times), 6)
        self.assertGreaterEqual(took, 7 * 0.03)

    def test_a_toxicity_of_0_never_does_anything(self):
        proxy = self.proxy()
        for kind in ["timeout", "limit_data", "bandwidth", "reset_peer"]:
            proxy.add_toxic(type=kind, toxicity=0)
        proxy.add_toxic(type="latency", toxicity=0, attributes={"latency": 5000})
        for _ in range(20):
            came, _, _, took = self.exchange(proxy, GET_SHORT)
            self.assertEqual(came, SHORT)
            self.assertLess(took, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
