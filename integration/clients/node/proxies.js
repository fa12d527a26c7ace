// Everything that Toxiproxy's client for Node can do with proxies.

"use strict";

const assert = require("node:assert");
const { test, beforeEach } = require("node:test");
const { Proxy } = require("toxiproxy-node-client");
const { toxiproxy, upstream, proxyFor, redisAt, exchange } = require("./scene");

const TIMEOUT = { timeout: 20_000 };

beforeEach(async () => {
  for (const proxy of Object.values(await toxiproxy.getAll())) await proxy.remove();
});

test("the version is one of 2.x, as JSON", TIMEOUT, async () => {
  const version = await toxiproxy.getVersion();
  assert.match(JSON.parse(version).version, /^2\.\d+\.\d+$/);
});

test("a new proxy listens where the system chose, and reaches Redis", TIMEOUT, async (t) => {
  for (const listen of ["127.0.0.1:0", "localhost:0"]) {
    const proxy = await proxyFor(t, { listen });
    assert.match(proxy.listen, /^127\.0\.0\.1:[1-9]\d*$/, listen);
    assert.deepStrictEqual(proxy.toJson(), { enabled: true, listen: proxy.listen, name: proxy.name, upstream });
    assert.strictEqual(await (await redisAt(t, proxy.listen)).ping(), "PONG");
  }
});

test("a proxy without a listen address takes any port, on all interfaces", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t, { listen: "" });
  const port = proxy.listen.slice(proxy.listen.lastIndexOf(":") + 1);
  assert.strictEqual(proxy.listen, `[::]:${port}`);
  assert.strictEqual(await (await redisAt(t, `127.0.0.1:${port}`)).ping(), "PONG");
});

test("get and getAll give the proxies that were made", TIMEOUT, async (t) => {
  const [one, other] = [await proxyFor(t), await proxyFor(t, { name: "shop of\u00a0A", enabled: false })];
  assert.deepStrictEqual((await toxiproxy.get(one.name)).toJson(), one.toJson());
  assert.deepStrictEqual((await toxiproxy.get("shop of\u00a0A")).toJson(), other.toJson());
  const all = await toxiproxy.getAll();
  assert.deepStrictEqual(Object.keys(all).sort(), [one.name, other.name].sort());
  assert.deepStrictEqual(all[one.name].toJson(), one.toJson());
  assert.ok(all[other.name] instanceof Proxy);
});

test("a proxy that is removed is gone when the call returns", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const redis = await redisAt(t, proxy.listen);
  await proxy.remove();
  assert.strictEqual((await exchange(proxy.listen, "PING\r\n")).end, "ECONNREFUSED");
  await assert.rejects(redis.ping());
  assert.deepStrictEqual(await toxiproxy.getAll(), {});
});

test("one that is made disabled keeps what was written, and listens when it is enabled", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t, { enabled: false, listen: "localhost:0" });
  assert.deepStrictEqual([proxy.enabled, proxy.listen], [false, "localhost:0"]);
  const enabled = await proxy.update({ enabled: true });
  assert.match(enabled.listen, /^127\.0\.0\.1:[1-9]\d*$/);
  assert.strictEqual(await (await redisAt(t, enabled.listen)).ping(), "PONG");
});

test("disabling ends connections and refuses new ones; enabling brings the same address back", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const redis = await redisAt(t, proxy.listen);
  const ended = new Promise((resolve) => redis.once("error", resolve));
  const disabled = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
  assert.deepStrictEqual([disabled.enabled, disabled.listen], [false, proxy.listen]);
  assert.strictEqual((await exchange(proxy.listen, "PING\r\n")).end, "ECONNREFUSED");
  await ended;
  const enabled = await proxy.update({ enabled: true, listen: proxy.listen, upstream });
  assert.deepStrictEqual([enabled.enabled, enabled.listen], [true, proxy.listen]);
  assert.strictEqual(await (await redisAt(t, proxy.listen)).ping(), "PONG");
});

test("another upstream ends connections, and keeps address and toxics", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t, { upstream: "127.0.0.1:1" });
  await proxy.addToxic({ type: "latency", attributes: { latency: 1 } });
  assert.strictEqual((await exchange(proxy.listen, "PING\r\n")).text, "", "nobody is there");
  const moved = await proxy.update({ upstream });
  assert.deepStrictEqual([moved.upstream, moved.listen, moved.enabled], [upstream, proxy.listen, true]);
  const redis = await redisAt(t, proxy.listen);
  assert.strictEqual(await redis.ping(), "PONG");
  assert.strictEqual((await proxy.getToxic("latency_downstream")).attributes.latency, 1);
  const ended = new Promise((resolve) => redis.once("error", resolve));
  await proxy.update({ upstream: "127.0.0.1:1" });
  await ended;
});

test("another listen address is where it listens then, and only there", TIMEOUT, async (t) => {
  const [proxy, other] = [await proxyFor(t), await proxyFor(t)];
  await other.remove();
  const moved = await proxy.update({ listen: other.listen });
  assert.deepStrictEqual([moved.listen, moved.enabled], [other.listen, true]);
  assert.strictEqual(await (await redisAt(t, moved.listen)).ping(), "PONG");
  assert.strictEqual((await exchange(proxy.listen, "PING\r\n")).end, "ECONNREFUSED");
});

test("a port may be asked for anew, which ends connections", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const redis = await redisAt(t, proxy.listen);
  const ended = new Promise((resolve) => redis.once("error", resolve));
  const moved = await proxy.update({ listen: "127.0.0.1:0" });
  assert.match(moved.listen, /^127\.0\.0\.1:[1-9]\d*$/);
  await ended;
  assert.strictEqual(await (await redisAt(t, moved.listen)).ping(), "PONG");
});

test("an update that says nothing new changes nothing", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const redis = await redisAt(t, proxy.listen);
  const same = await proxy.update({ name: "another", listen: proxy.listen, upstream, enabled: true });
  assert.deepStrictEqual(same.toJson(), proxy.toJson());
  assert.strictEqual(await redis.ping(), "PONG", "the connection goes on");
});

test("populate makes what is not there, lets be what is the same, and replaces what differs", TIMEOUT, async (t) => {
  const bodies = ["a", "b"].map((name) => ({ name, listen: "127.0.0.1:0", upstream }));
  const made = await toxiproxy.populate(bodies);
  assert.deepStrictEqual(Object.keys(made), ["a", "b"]);
  for (const proxy of Object.values(made)) await proxy.addToxic({ type: "latency", attributes: { latency: 1 } });
  const redis = await redisAt(t, made.a.listen);
  const again = await toxiproxy.populate([
    { name: "a", listen: made.a.listen, upstream },
    { name: "b", listen: made.b.listen, upstream: "127.0.0.1:1" },
    { name: "c", listen: "127.0.0.1:0", upstream, enabled: false },
  ]);
  assert.deepStrictEqual(again.a.toJson(), made.a.toJson());
  assert.strictEqual(await redis.ping(), "PONG", "the connection goes on");
  assert.strictEqual((await again.a.getToxic("latency_downstream")).attributes.latency, 1);
  assert.deepStrictEqual([again.b.upstream, again.b.listen], ["127.0.0.1:1", made.b.listen]);
  await assert.rejects(again.b.getToxic("latency_downstream"), /404/, "a fresh proxy has no toxics");
  assert.strictEqual(again.c.enabled, false);
  assert.deepStrictEqual(Object.keys(await toxiproxy.getAll()).sort(), ["a", "b", "c"]);
});

test("reset enables every proxy and takes all toxics away", TIMEOUT, async (t) => {
  const [on, off] = [await proxyFor(t), await proxyFor(t)];
  await on.addToxic({ type: "timeout", attributes: { timeout: 0 } });
  await off.addToxic({ type: "latency", stream: "upstream", attributes: { latency: 9000 } });
  await off.update({ enabled: false });
  await toxiproxy.reset();
  for (const proxy of [on, off]) {
    assert.deepStrictEqual((await toxiproxy.get(proxy.name)).toJson(), proxy.toJson());
    assert.strictEqual(await (await redisAt(t, proxy.listen)).ping(), "PONG");
  }
  await assert.rejects(on.getToxic("timeout_downstream"), /404/);
  await assert.rejects(off.getToxic("latency_upstream"), /404/);
});

test("a proxy knows the client that made it", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  assert.strictEqual(proxy.getToxiproxy(), toxiproxy);
  assert.strictEqual(proxy.getPath(), `${process.env.TOXIPROXY_URL}/proxies/${proxy.name}`);
});
