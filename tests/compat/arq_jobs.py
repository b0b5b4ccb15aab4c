"""A job queue that others wrote, as its users write it: `arq_jobs.py enqueue|work SOCKET COUNT|FILE`.

What enqueues trusts arq where it says that the job is enqueued, and asks where it is in doubt: where the connection ends behind a WATCH,
redis-py says that the key was changed, and arq that somebody else has enqueued the job (`None`), whatever became of it. What works
is started again when it ends, as a supervisor does it, and notes each job in a file.
"""

import asyncio
import os
import sys
import time

import arq
import redis.exceptions
from arq.connections import RedisSettings, create_pool
from arq.jobs import Job, JobStatus

SOCKET, ARGUMENT = sys.argv[2], sys.argv[3]
SETTINGS = RedisSettings(unix_socket_path=SOCKET, conn_retries=1000, conn_retry_delay=0.05)
CUT_OFF = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.WatchError,
    OSError,
    EOFError,
)


async def note(ctx, number):
    os.write(ctx["file"], b"%d\n" % number)


async def opened(ctx):
    ctx["file"] = os.open(ARGUMENT, os.O_APPEND | os.O_WRONLY)


async def enqueue(pool, number):
    name = f"job{number}"
    in_doubt = False
    while True:
        try:
            if in_doubt and await Job(name, pool).status() is not JobStatus.not_found:
                return
            if await pool.enqueue_job("note", number, _job_id=name):
                return
        except CUT_OFF:
            await asyncio.sleep(0.05)
        in_doubt = True


async def enqueue_all(count):
    pool = await create_pool(SETTINGS)
    for number in range(count):
        await enqueue(pool, number)


def work():
    while True:
        try:
            asyncio.set_event_loop(asyncio.new_event_loop())
            # A job whose worker was cut off is begun again once that one can no longer be at it: its time and ten seconds.
            arq.run_worker(
                {"functions": [note], "on_startup": opened},
                redis_settings=SETTINGS,
                poll_delay=0.05,
                job_timeout=1,
                max_tries=100,
            )
        except CUT_OFF:
            time.sleep(0.05)


if sys.argv[1] == "enqueue":
    asyncio.run(enqueue_all(int(ARGUMENT)))
else:
    work()
