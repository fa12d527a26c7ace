// Everything that Toxiproxy's client for Node can do with toxics, as the API shows them. What they do is in effects.js.

"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const { Toxic } = require("toxiproxy-node-client");
const { toxiproxy, proxyFor } = require("./scene");

const TIMEOUT = { timeout: 20_000 };

/** Each type with all its attributes. */
const TYPES = {
  latency: { latency: 1000, jitter: 100 },
  bandwidth: { rate: 1000 },
  slow_close: { delay: 1000 },
  timeout: { timeout: 5000 },
  reset_peer: { timeout: 1000 },
  slicer: { average_size: 1000, size_variation: 500, delay: 1000 },
  limit_data: { bytes: 42 },
};

for (const [type, attributes] of Object.entries(TYPES)) {
  test(`${type} comes back as it was written`, TIMEOUT, async (t) => {
    const proxy = await proxyFor(t);
    const toxic = await proxy.addToxic({ type, attributes });
    assert.ok(toxic instanceof Toxic);
    const written = { name: `${type}_downstream`, type, stream: "downstream", toxicity: 1, attributes };
    assert.deepStrictEqual(toxic.toJson(), written);
    assert.deepStrictEqual((await proxy.getToxic(toxic.name)).toJson(), written);
  });

  test(`${type} takes a name, a stream, a toxicity, and 0 for what is not written`, TIMEOUT, async (t) => {
    const proxy = await proxyFor(t);
    const toxic = await proxy.addToxic({ name: "mine", type, stream: "upstream", toxicity: 0.25 });
    const zeros = Object.fromEntries(Object.keys(attributes).map((name) => [name, 0]));
    const written = { name: "mine", type, stream: "upstream", toxicity: 0.25, attributes: zeros };
    assert.deepStrictEqual(toxic.toJson(), written);
  });
}

test("an update changes what it says, and nothing else", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const toxic = await proxy.addToxic({ name: "slow", type: "latency", attributes: { latency: 7, jitter: 3 } });
  const later = await toxic.update({ attributes: { latency: 12345 } });
  assert.deepStrictEqual(later.toJson(), { ...toxic.toJson(), attributes: { latency: 12345, jitter: 3 } });
  const rarer = await toxic.update({ toxicity: 0.5 });
  assert.deepStrictEqual(rarer.toJson(), { ...later.toJson(), toxicity: 0.5 });
  const same = await toxic.update({ name: "other", type: "timeout", stream: "upstream", attributes: {} });
  assert.deepStrictEqual(same.toJson(), rarer.toJson());
  assert.deepStrictEqual((await proxy.getToxic("slow")).toJson(), rarer.toJson());
});

test("toxics of one type live side by side by their names, in both streams", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const bodies = [
    { name: "one", type: "latency", stream: "downstream" },
    { name: "two", type: "latency", stream: "upstream" },
    { name: "three", type: "latency", stream: "downstream" },
  ];
  for (const body of bodies) await proxy.addToxic(body);
  for (const { name, stream } of bodies) assert.strictEqual((await proxy.getToxic(name)).stream, stream);
  const { data } = await toxiproxy.getApi().get(`${proxy.getPath()}/toxics`);
  assert.deepStrictEqual(data.map((toxic) => toxic.name), ["two", "one", "three"], "upstream first, then as they came");
  assert.deepStrictEqual((await toxiproxy.getApi().get(proxy.getPath())).data.toxics, data);
});

test("a toxic that is removed is gone, and its name free", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t);
  const toxic = await proxy.addToxic({ type: "latency" });
  await toxic.remove();
  await assert.rejects(proxy.getToxic(toxic.name), /404/);
  assert.strictEqual((await proxy.addToxic({ type: "latency", stream: "downstream" })).name, toxic.name);
});

test("toxics go with their proxy, and stay when it is disabled", TIMEOUT, async (t) => {
  const proxy = await proxyFor(t, { name: "again" });
  await proxy.addToxic({ type: "latency", attributes: { latency: 5 } });
  await proxy.update({ enabled: false });
  assert.strictEqual((await proxy.getToxic("latency_downstream")).attributes.latency, 5);
  await proxy.addToxic({ name: "while off", type: "timeout" });
  await proxy.update({ enabled: true });
  assert.strictEqual((await proxy.getToxic("while off")).type, "timeout");
  await proxy.remove();
  await assert.rejects((await proxyFor(t, { name: "again" })).getToxic("latency_downstream"), /404/);
});
