// ioredis against the server on 127.0.0.1 at the port given. Every check is an assert; the exit status tells.
"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const Redis = require("ioredis");

async function main(port) {
  const redis = new Redis({ host: "127.0.0.1", port, connectionName: "io" });
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.client("GETNAME"), "io");
  assert.equal(await redis.set("io:a", "1", "EX", 1000), "OK");
  assert.equal(await redis.set("io:a", "2", "NX"), null);
  assert.equal(await redis.incrby("io:a", 41), 42);
  const left = await redis.ttl("io:a");
  assert.ok(left > 990 && left <= 1000, `${left}`);
  const binary = Buffer.from(Array.from({ length: 70000 }, (_, n) => n % 256));
  await redis.set("io:binary", binary);
  assert.deepEqual(await redis.getBuffer("io:binary"), binary);
  assert.equal(await redis.get("io:nothing"), null);

  const replies = await Promise.all(
    Array.from({ length: 2000 }, async (_, n) => {
      await redis.set(`io:k:${n}`, n);
      return redis.get(`io:k:${n}`);
    }),
  );
  assert.deepEqual(replies, Array.from({ length: 2000 }, (_, n) => `${n}`));

  const pipeline = await redis.pipeline().set("io:text", "x").incr("io:text").get("io:text").exec();
  assert.equal(pipeline[0][1], "OK");
  assert.match(pipeline[1][0].message, /value is not an integer or out of range/);
  assert.equal(pipeline[2][1], "x");
  await assert.rejects(redis.call("NOSUCH"), /unknown command 'NOSUCH'/);

  const found = new Set();
  for await (const keys of redis.scanStream({ match: "io:k:*", count: 100 })) {
    for (const key of keys) found.add(key);
  }
  assert.equal(found.size, 2000);

  const other = redis.duplicate({ db: 3 });
  await other.set("io:elsewhere", "v");
  assert.equal(await redis.exists("io:elsewhere"), 0);
  await other.flushdb();

  const own = [...found, "io:a", "io:binary", "io:text"];
  assert.equal(await redis.unlink(...own), own.length);
  const ended = Promise.all([once(redis, "end"), once(other, "end")]);
  assert.equal(await redis.quit(), "OK");
  assert.equal(await other.quit(), "OK");
  await ended;
  console.log(`ioredis ${require("ioredis/package.json").version}: all well`);
}

main(Number(process.argv[2])).catch((error) => {
  console.error(error);
  process.exit(1);
});
