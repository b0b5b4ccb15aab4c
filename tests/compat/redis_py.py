"""redis-py against the server on 127.0.0.1 at the port given: what an application does with it.

Every check is an assert; the exit status tells. The databases are not expected to be empty and are left as found,
but for keys that begin with "py:".
"""

import sys
import time

import redis

PORT = int(sys.argv[1])


def connect(protocol, **more):
    return redis.Redis(port=PORT, protocol=protocol, decode_responses=True, **more)


def strings(r):
    assert r.set("py:a", "1") is True
    assert r.get("py:a") == "1"
    assert r.set("py:a", "2", nx=True) is None
    assert r.set("py:a", "2", xx=True, get=True) == "1"
    assert r.incrby("py:a", 40) == 42
    assert r.append("py:a", "!") == 3
    assert r.strlen("py:a") == 3
    assert r.mset({"py:b": "x", "py:c": "y"}) is True
    assert r.mget("py:b", "py:nothing", "py:c") == ["x", None, "y"]
    binary = redis.Redis(port=PORT)
    value = bytes(range(256)) * 100
    assert binary.set(b"py:\x00\xff", value)
    assert binary.get(b"py:\x00\xff") == value
    assert binary.delete(b"py:\x00\xff") == 1
    large = b"v" * (5 << 20)
    assert binary.set("py:large", large)
    assert binary.get("py:large") == large


def keys_and_expiry(r):
    assert r.set("py:short", "v", px=30)
    assert 0 < r.pttl("py:short") <= 30
    deadline = time.monotonic() + 30
    while r.exists("py:short"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert r.set("py:long", "v", ex=1000)
    assert 990 <= r.ttl("py:long") <= 1000
    assert r.persist("py:long") and r.ttl("py:long") == -1
    assert r.type("py:long") == "string"
    for n in range(500):
        r.set(f"py:scan:{n}", n)
    assert set(r.scan_iter("py:scan:*", count=37)) == {f"py:scan:{n}" for n in range(500)}
    assert sorted(r.keys("py:scan:1?")) == [f"py:scan:{n}" for n in range(10, 20)]
    assert r.delete(*(f"py:scan:{n}" for n in range(500))) == 500


def pipelines(r):
    with r.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.set(f"py:p:{n}", n)
            pipe.get(f"py:p:{n}")
        replies = pipe.execute()
    assert replies == [reply for n in range(1000) for reply in (True, str(n))]
    with r.pipeline(transaction=False) as pipe:
        pipe.set("py:text", "x").incr("py:text").get("py:text")
        first, error, last = pipe.execute(raise_on_error=False)
    assert (first, last) == (True, "x") and isinstance(error, redis.ResponseError)


def errors(r):
    for call, text in [
        (lambda: r.incr("py:text"), "value is not an integer or out of range"),
        (lambda: r.execute_command("NOSUCHCOMMAND"), "unknown command 'NOSUCHCOMMAND'"),
        (lambda: r.execute_command("GET"), "wrong number of arguments for 'get' command"),
    ]:
        try:
            call()
        except redis.ResponseError as error:
            assert text in str(error), error
        else:
            raise AssertionError(f"no error: {text}")


def the_server(r, protocol):
    assert r.ping() is True and r.echo("hello") == "hello"
    info = r.info()
    assert info["redis_version"].startswith("7.2."), info["redis_version"]
    assert r.client_setname("py") and r.client_getname() == "py"
    assert any(client["name"] == "py" for client in r.client_list())
    assert r.config_get("maxclients")["maxclients"].isdigit()
    assert r.command_count() > 50
    seconds, _ = r.time()
    assert abs(seconds - time.time()) < 60
    hello = r.execute_command("HELLO", protocol)
    assert hello


def databases():
    other = connect(3, db=5)
    other.set("py:elsewhere", "v")
    assert connect(3).get("py:elsewhere") is None
    assert other.delete("py:elsewhere") == 1


def main():
    for protocol in (2, 3):
        r = connect(protocol)
        strings(r)
        keys_and_expiry(r)
        pipelines(r)
        errors(r)
        the_server(r, protocol)
        for key in list(r.scan_iter("py:*")):
            r.delete(key)
    databases()
    print(f"redis-py {redis.__version__}: all well")


main()
