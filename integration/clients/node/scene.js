// What every script here needs: Toxiproxy's client for Squall, proxies in front of a Redis, and clients of that.
// TOXIPROXY_URL says where Squall's API is, REDIS the address of a redis-server.

"use strict";

const net = require("node:net");
const { createClient } = require("@redis/client");
const { Toxiproxy } = require("toxiproxy-node-client");

const toxiproxy = new Toxiproxy(process.env.TOXIPROXY_URL);
const upstream = process.env.REDIS;

let made = 0;

/** A proxy in front of the Redis, which goes away with the test. */
async function proxyFor(test, more = {}) {
  made += 1;
  const proxy = await toxiproxy.createProxy({ name: `redis_${made}`, listen: "127.0.0.1:0", upstream, ...more });
  test.after(() => proxy.remove().catch(() => {}));
  return proxy;
}

function place(address) {
  const [host, port] = address.split(":");
  return { host, port: Number(port) };
}

/** A connected client of Redis, with what went wrong with it in `failures`. */
async function redisAt(test, address) {
  const socket = { ...place(address), reconnectStrategy: false, connectTimeout: 5000 };
  const redis = createClient({ socket, disableClientInfo: true, disableOfflineQueue: true });
  redis.failures = [];
  redis.on("error", (failure) => redis.failures.push(failure));
  test.after(() => redis.isOpen && redis.destroy());
  await redis.connect();
  return redis;
}

/** What a promise came to, and how many milliseconds it took. */
async function timed(promise) {
  const began = performance.now();
  const outcome = await promise.then((value) => ({ value }), (error) => ({ error }));
  return { ...outcome, took: performance.now() - began };
}

/** Whether a promise is still open after so many milliseconds. */
async function isOpenAfter(promise, milliseconds) {
  const late = new Promise((resolve) => setTimeout(resolve, milliseconds, true));
  return Promise.race([promise.then(() => false, () => false), late]);
}

/** Sends bytes; what came, in which pieces and when, up to the end: `end`, `ECONNRESET`, `ECONNREFUSED`. */
function exchange(address, bytes) {
  return new Promise((resolve) => {
    const began = performance.now();
    const since = () => performance.now() - began;
    const pieces = [];
    const socket = net.connect({ ...place(address), noDelay: true }, () => socket.write(bytes));
    const done = (end) => {
      socket.destroy();
      resolve({ end, pieces, text: pieces.map((piece) => piece.text).join(""), took: since() });
    };
    socket.setTimeout(10_000, () => done("silence"));
    socket.on("data", (data) => pieces.push({ text: data.toString("latin1"), at: since() }));
    socket.on("end", () => done("end"));
    socket.on("error", (error) => done(error.code));
  });
}

/** What came of connecting: `connected`, or the code of the error. */
function connected(address) {
  return new Promise((resolve) => {
    const socket = net.connect(place(address));
    socket.on("error", (error) => resolve(error.code));
    socket.on("connect", () => {
      resolve("connected");
      socket.destroy();
    });
  });
}

module.exports = { toxiproxy, upstream, proxyFor, redisAt, timed, isOpenAfter, exchange, connected };
