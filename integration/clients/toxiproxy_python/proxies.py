"""Everything that toxiproxy-python can do with proxies, toxics and the server, and its exceptions."""

import unittest

from scene import API, UPSTREAM, Case, place, toxiproxy
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

TYPES = {
    "latency": {"latency": 1000, "jitter": 100},
    "bandwidth": {"rate": 1000},
    "slow_close": {"delay": 1000},
    "timeout": {"timeout": 5000},
    "reset_peer": {"timeout": 1000},
    "slicer": {"average_size": 1000, "size_variation": 500, "delay": 1000},
    "limit_data": {"bytes": 42},
}


class Server(Case):
    def test_it_runs_and_has_a_version(self):
        self.assertTrue(toxiproxy.running())
        self.assertRegex(toxiproxy.version(), rb'^\{"version": "2\.\d+\.\d+"\}\n$')

    def test_reset_enables_every_proxy_and_takes_all_toxics_away(self):
        proxy = self.proxy()
        proxy.disable()
        proxy.add_toxic(type="latency", attributes={"latency": 9000})
        self.assertTrue(toxiproxy.reset())
        self.assertTrue(self.redis(proxy, timeout=5).ping())
        self.assertEqual(proxy.toxics(), {})
        self.assertEqual(toxiproxy.get_proxy(proxy.name).listen, proxy.listen)


class Proxies(Case):
    def test_one_that_is_made_disabled_has_what_was_written(self):
        proxy = self.proxy(name="mysql", upstream="localhost:3306", listen="127.0.0.1:1", enabled=False)
        shown = (proxy.name, proxy.upstream, proxy.listen, proxy.enabled)
        self.assertEqual(shown, ("mysql", "localhost:3306", "127.0.0.1:1", False))
        self.assertTrue(self.refuses(proxy))

    def test_without_a_listen_address_the_system_chooses_the_port(self):
        proxy = self.proxy(listen=None)
        self.assertRegex(proxy.listen, r"^127\.0\.0\.1:[1-9]\d*$")
        self.assertTrue(self.redis(proxy).ping())

    def test_all_of_them_and_one_by_its_name(self):
        made = [self.proxy(), self.proxy(enabled=False)]
        self.assertEqual(set(toxiproxy.proxies()), {proxy.name for proxy in made})
        for proxy in made:
            self.assertEqual(vars(toxiproxy.get_proxy(proxy.name)), vars(proxy))
        self.assertIsNone(toxiproxy.get_proxy("unknown"))

    def test_one_that_is_destroyed_is_gone_when_the_call_returns(self):
        proxy = self.proxy()
        self.assertTrue(toxiproxy.destroy(proxy))
        self.assertTrue(self.refuses(proxy))
        self.assertIsNone(toxiproxy.get_proxy(proxy.name))
        self.assertIs(toxiproxy.destroy("no proxy"), False)

    def test_off_and_on_at_the_same_address(self):
        proxy = self.proxy()
        for _ in range(5):
            proxy.disable()
            self.assertTrue(self.refuses(proxy))
            self.assertFalse(toxiproxy.get_proxy(proxy.name).enabled)
            proxy.enable()
            self.assertTrue(self.redis(proxy).ping())
        self.assertEqual(toxiproxy.get_proxy(proxy.name).listen, proxy.listen)

    def test_down_for_as_long_as_a_block_takes(self):
        proxy = self.proxy()
        client = self.redis(proxy)
        self.assertTrue(client.ping())
        with proxy.down():
            self.assertTrue(self.refuses(proxy))
            with self.assertRaises(Exception):
                client.ping()
        self.assertTrue(self.redis(proxy).ping())

    def test_populate_makes_moves_and_lets_be(self):
        places = [self.proxy(), self.proxy()]
        ports = [place(proxy.listen)[1] for proxy in places]
        toxiproxy.destroy_all()

        def populate(listen, upstream=UPSTREAM):
            return toxiproxy.populate([{"name": "redis", "upstream": upstream, "listen": listen}])

        (first,) = populate(f"127.0.0.1:{ports[0]}")
        first.add_toxic(type="latency")
        self.assertEqual(populate(f"127.0.0.1:{ports[0]}"), [], "it is as it should be")
        self.assertIn("latency_downstream", first.toxics())
        (moved,) = populate(f"127.0.0.1:{ports[1]}")
        self.assertTrue(self.refuses(first) and self.redis(moved).ping())
        self.assertEqual(moved.toxics(), {})
        # The address reads back resolved, so that this client makes it anew, at the address that was just given back.
        for _ in range(5):
            (named,) = populate(f"localhost:{ports[1]}")
            self.assertEqual(named.listen, f"127.0.0.1:{ports[1]}")
            self.assertTrue(self.redis(named).ping())


class Toxics(Case):
    def test_each_type_comes_back_as_it_was_written(self):
        for kind, attributes in TYPES.items():
            with self.subTest(kind):
                proxy = self.proxy()
                proxy.add_toxic(type=kind, attributes=attributes)
                toxic = proxy.get_toxic(f"{kind}_downstream")
                shown = (toxic.type, toxic.stream, toxic.toxicity, toxic.attributes)
                self.assertEqual(shown, (kind, "downstream", 1, attributes))

    def test_name_stream_and_toxicity(self):
        proxy = self.proxy()
        proxy.add_toxic(name="mine", type="timeout", stream="upstream", toxicity=0.5)
        proxy.add_toxic(type="latency")
        self.assertEqual(list(proxy.toxics()), ["mine", "latency_downstream"])
        mine = proxy.get_toxic("mine")
        self.assertEqual((mine.stream, mine.toxicity, mine.attributes), ("upstream", 0.5, {"timeout": 0}))
        self.assertIsNone(proxy.get_toxic("unknown"))

    def test_one_that_is_destroyed_is_gone(self):
        proxy = self.proxy()
        proxy.add_toxic(type="latency", attributes={"latency": 9000})
        self.assertTrue(proxy.destroy_toxic("latency_downstream"))
        self.assertEqual(proxy.toxics(), {})
        self.assertTrue(self.redis(proxy, timeout=5).ping())

    def test_they_outlive_that_their_proxy_is_off(self):
        proxy = self.proxy()
        proxy.add_toxic(type="latency", attributes={"latency": 123})
        proxy.disable()
        proxy.enable()
        self.assertEqual(proxy.get_toxic("latency_downstream").attributes["latency"], 123)


class Refusals(Case):
    def raises(self, exception, error, status, call):
        """The exception of that status, with the words of the API."""
        with self.assertRaises(exception) as context:
            call()
        words = f'{{"error":"{error}","status":{status}}}\n'.encode()
        self.assertEqual(context.exception.args[0], words)

    def test_a_second_proxy_of_a_name(self):
        proxy = self.proxy()
        with self.assertRaises(ProxyExists):
            self.proxy(name=proxy.name)
        body = {"name": proxy.name, "upstream": UPSTREAM}
        self.raises(ProxyExists, "proxy already exists", 409, lambda: APIConsumer.post("/proxies", json=body))

    def test_what_nobody_knows(self):
        proxy = self.proxy()
        self.raises(NotFound, "toxic not found", 404, lambda: proxy.destroy_toxic("unknown"))
        proxy.destroy()
        for call in [proxy.destroy, proxy.toxics, proxy.disable, lambda: proxy.add_toxic(type="latency")]:
            self.raises(NotFound, "proxy not found", 404, call)
        with self.assertRaises(NotFound) as context:
            APIConsumer.get("/nowhere")
        self.assertEqual(context.exception.args[0], b"404 page not found\n")

    def test_toxics_that_cannot_be(self):
        proxy = self.proxy()
        stream = "stream was invalid, can be either upstream or downstream"
        self.raises(InvalidToxic, "invalid toxic type", 400, lambda: proxy.add_toxic(type="unknown"))
        self.raises(InvalidToxic, stream, 400, lambda: proxy.add_toxic(type="latency", stream="sideways"))
        with self.assertRaises(InvalidToxic):
            proxy.add_toxic(type="latency", attributes={"latency": "long"})
        proxy.add_toxic(type="latency")
        self.raises(ProxyExists, "toxic already exists", 409, lambda: proxy.add_toxic(type="latency"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
