// node-redis against the server on 127.0.0.1 at the port given. Every check is an assert; the exit status tells.
"use strict";

const assert = require("node:assert/strict");
const { createClient } = require("redis");

async function main(port) {
  for (const RESP of [2, 3]) {
    const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP, name: "node" });
    client.on("error", (error) => {
      throw error;
    });
    await client.connect();
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.clientGetName(), "node");
    assert.equal(await client.set("node:a", "1", { expiration: { type: "EX", value: 1000 } }), "OK");
    assert.equal(await client.set("node:a", "2", { condition: "NX" }), null);
    assert.equal(await client.incrBy("node:a", 41), 42);
    const left = await client.ttl("node:a");
    assert.ok(left > 990 && left <= 1000, `${left}`);
    assert.equal(await client.get("node:nothing"), null);
    assert.equal(await client.mSet({ "node:b": "x", "node:c": "y" }), "OK");
    assert.deepEqual(await client.mGet(["node:b", "node:nothing", "node:c"]), ["x", null, "y"]);

    // Sent at once: the client makes one pipeline of them.
    const replies = await Promise.all(Array.from({ length: 2000 }, (_, n) => client.set(`node:k:${n}`, `${n}`)));
    assert.ok(replies.every((reply) => reply === "OK"));
    assert.equal(await client.get("node:k:1999"), "1999");
    await client.set("node:text", "x");
    await assert.rejects(client.incr("node:text"), /value is not an integer or out of range/);
    await assert.rejects(client.sendCommand(["NOSUCH"]), /unknown command 'NOSUCH'/);

    const found = new Set();
    for await (const keys of client.scanIterator({ MATCH: "node:k:*", COUNT: 100 })) {
      for (const key of [keys].flat()) found.add(key);
    }
    assert.equal(found.size, 2000);
    const own = [...found, "node:a", "node:b", "node:c", "node:text"];
    assert.equal(await client.unlink(own), own.length);
    await client.close();
  }
  console.log(`node-redis ${require("redis/package.json").version}: all well`);
}

main(Number(process.argv[2])).catch((error) => {
  console.error(error);
  process.exit(1);
});
