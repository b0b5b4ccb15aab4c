"""A job queue that others wrote, with its own workers, as its users write it: `rq_jobs.py SOCKET JOBS`.

Workers wait in BLPOP for three queues, take the first that has something, and are told to end by a message to the channel of each.
What depends on others is enqueued behind a WATCH of them.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from redis import Redis
from rq import Queue, Retry, Worker, get_current_job
from rq.command import send_shutdown_command
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry

QUEUES = ["high", "default", "low"]
WORKERS = 3


def square(number):
    """Notes that it was done, too."""
    get_current_job().connection.rpush("done", number)
    return number * number


def add_up():
    return sum(job.result for job in get_current_job().fetch_dependencies())


def fail_first():
    if get_current_job().connection.incr("tries") < 3:
        raise ValueError("not yet")
    return "at last"


def until(what, condition):
    deadline = time.monotonic() + 240
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


def main(socket, count):
    connection = Redis(unix_socket_path=socket)
    queues = {name: Queue(name, connection=connection) for name in QUEUES}
    squares = [queues[QUEUES[number % 3]].enqueue("rq_jobs.square", number) for number in range(count)]
    sums = [queues["high"].enqueue("rq_jobs.add_up", depends_on=squares[first : first + 5]) for first in range(0, count, 5)]
    stubborn = queues["low"].enqueue("rq_jobs.fail_first", retry=Retry(max=5))

    here = Path(__file__)
    rq = [str(Path(sys.executable).with_name("rq")), "worker", "--url", f"unix://{socket}", "--path", str(here.parent)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    workers = [subprocess.Popen([*rq, *QUEUES], env=environment, **quiet) for _ in range(WORKERS)]
    try:
        everything = [*squares, *sums, stubborn]
        until("all jobs are done", lambda: all(job.get_status() == "finished" for job in everything))
        # They wait now, in BLPOP, and hear what they are told meanwhile.
        idle = lambda: [w for w in Worker.all(connection=connection) if w.get_state() == "idle"]
        for worker in until("all workers are idle", lambda: len(found := idle()) == WORKERS and found):
            send_shutdown_command(connection, worker.name)
        until("all workers have ended", lambda: all(worker.poll() is not None for worker in workers))
        assert [worker.returncode for worker in workers] == [0] * WORKERS
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()

    assert sorted(map(int, connection.lrange("done", 0, -1))) == list(range(count)), "each once"
    for number, job in enumerate(squares):
        assert job.result == number * number
    for first, job in zip(range(0, count, 5), sums):
        assert job.result == sum(number * number for number in range(first, min(first + 5, count)))
    assert (stubborn.result, connection.get("tries")) == ("at last", b"3")
    finished = 0
    for queue in queues.values():
        assert queue.count == StartedJobRegistry(queue=queue).count == FailedJobRegistry(queue=queue).count == 0
        finished += FinishedJobRegistry(queue=queue).count
    assert finished == len(everything)
    assert Worker.count(connection=connection) == 0
    until("nobody listens", lambda: not connection.pubsub_channels())
    print(f"{len(everything)} jobs")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
