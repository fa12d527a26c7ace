// What the API refuses, as Toxiproxy's client for Node says it, and the words behind that.

"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { ToxiproxyError } = require("toxiproxy-node-client");
const { toxiproxy, upstream, proxyFor } = require("./scene");

const TIMEOUT = { timeout: 20_000 };

/** The client says the status and nothing more. */
async function refused(status, promise) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ToxiproxyError, `${error}`);
    assert.strictEqual(error.message, `Request failed with status code ${status}`);
    return true;
  });
}

/** The whole answer: JSON that says it is text, with one line end, as Go's library writes it. */
async function says(status, error, method, path, body) {
  const answer = await fetch(process.env.TOXIPROXY_URL + path, { method, body });
  const fields = ["content-type", "x-content-type-options"].map((name) => answer.headers.get(name));
  assert.deepStrictEqual(fields, ["text/plain; charset=utf-8", "nosniff"]);
  assert.strictEqual(await answer.text(), `${JSON.stringify({ error, status })}\n`);
  assert.strictEqual(answer.status, status);
}

test("a proxy without name or upstream", TIMEOUT, async () => {
  await refused(400, toxiproxy.createProxy({ listen: "127.0.0.1:0", upstream }));
  await refused(400, toxiproxy.createProxy({ name: "a", listen: "127.0.0.1:0" }));
  await says(400, "missing required field: name", "POST", "/proxies", "{}");
  await says(400, "missing required field: upstream", "POST", "/proxies", '{"name": "a"}');
  await says(400, "bad request body: EOF", "POST", "/proxies");
});

test("a second proxy of a name", TIMEOUT, async (t) => {
  const { name } = await proxyFor(t);
  await refused(409, toxiproxy.createProxy({ name, listen: "127.0.0.1:0", upstream }));
  await says(409, "proxy already exists", "POST", "/proxies", JSON.stringify({ name, upstream }));
});

test("an address that another proxy has", TIMEOUT, async (t) => {
  const { listen } = await proxyFor(t);
  await refused(500, toxiproxy.createProxy({ name: "second", listen, upstream }));
  const error = `listen tcp ${listen}: bind: address already in use`;
  await says(500, error, "POST", "/proxies", JSON.stringify({ name: "second", listen, upstream }));
  await refused(404, toxiproxy.get("second"));
});

test("a proxy that cannot move where it should can move elsewhere", TIMEOUT, async (t) => {
  const [proxy, other] = [await proxyFor(t), await proxyFor(t)];
  await refused(500, proxy.update({ listen: other.listen }));
  assert.strictEqual((await toxiproxy.get(other.name)).enabled, true, "the other one is not touched");
  const back = await proxy.update({ listen: "127.0.0.1:0", enabled: true });
  assert.strictEqual(back.enabled, true);
});

test("what nobody knows", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  await refused(404, toxiproxy.get("unknown"));
  await refused(404, proxy.getToxic("unknown"));
  for (const [method, body] of [["GET"], ["POST", "{}"], ["PATCH", "{}"], ["DELETE"]]) {
    await says(404, "proxy not found", method, "/proxies/unknown", body);
    await says(404, "proxy not found", method, "/proxies/unknown/toxics/t", body);
    await says(404, "toxic not found", method, `/proxies/${proxy.name}/toxics/unknown`, body);
  }
  await says(404, "proxy not found", "POST", "/proxies/unknown/toxics", '{"type": "latency"}');
  const toxic = await proxy.addToxic({ type: "latency" });
  await toxic.remove();
  await refused(404, toxic.remove());
  await refused(404, toxic.update({ toxicity: 1 }));
  await proxy.remove();
  await refused(404, proxy.remove());
  await refused(404, proxy.update({ enabled: false }));
  await refused(404, proxy.addToxic({ type: "latency" }));
});

test("a toxic of no type, of no stream, of a name that is taken, with wrong attributes", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const path = `/proxies/${proxy.name}/toxics`;
  await refused(400, proxy.addToxic({ type: "blackhole" }));
  await says(400, "invalid toxic type", "POST", path, '{"type": "blackhole"}');
  await refused(400, proxy.addToxic({ type: "latency", stream: "sideways" }));
  const stream = "stream was invalid, can be either upstream or downstream";
  await says(400, stream, "POST", path, '{"type": "blackhole", "stream": "sideways"}');
  await refused(400, proxy.addToxic({ type: "latency", attributes: { latency: "long" } }));
  await proxy.addToxic({ name: "taken", type: "latency", stream: "upstream" });
  await refused(409, proxy.addToxic({ name: "taken", type: "timeout", stream: "downstream" }));
  await says(409, "toxic already exists", "POST", path, '{"name": "taken", "type": "latency"}');
  const { data } = await toxiproxy.getApi().get(proxy.getPath());
  assert.deepStrictEqual(data.toxics.map((toxic) => toxic.name), ["taken"], "nothing of it stays");
});

test("populate refuses before it makes anything; where it fails later, those before stay", TIMEOUT, async (t) => {
  const body = (name, more) => ({ name, listen: "127.0.0.1:0", upstream, ...more });
  const populate = async (list) => {
    const answer = await fetch(`${process.env.TOXIPROXY_URL}/populate`, { method: "POST", body: JSON.stringify(list) });
    return [answer.status, await answer.json()];
  };
  const lacking = [body("early"), body("lacking", { upstream: "" })];
  await refused(400, toxiproxy.populate(lacking));
  const error = "missing required field: upstream at proxy 2";
  assert.deepStrictEqual(await populate(lacking), [400, { error, status: 400, proxies: null }]);
  await refused(404, toxiproxy.get("early"));
  const { listen } = await proxyFor(t);
  const failing = [body("first"), body("second", { listen }), body("third")];
  const [status, { error: words, proxies }] = await populate(failing);
  assert.deepStrictEqual([status, words], [500, `listen tcp ${listen}: bind: address already in use`]);
  assert.deepStrictEqual(proxies.map((proxy) => proxy.name), ["first"]);
  await (await toxiproxy.get("first")).remove();
  await refused(404, toxiproxy.get("third"));
});

test("paths and methods that are not there, and browsers", TIMEOUT, async () => {
  const call = async (method, path, headers) => {
    const answer = await fetch(process.env.TOXIPROXY_URL + path, { method, headers });
    return [answer.status, await answer.text()];
  };
  assert.deepStrictEqual(await call("GET", "/nowhere"), [404, "404 page not found\n"]);
  assert.strictEqual((await call("PUT", "/proxies"))[0], 405);
  assert.strictEqual((await call("GET", "/reset"))[0], 405);
  const browser = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64)" };
  assert.deepStrictEqual(await call("GET", "/version", browser), [403, "User agent not allowed\n"]);
});
