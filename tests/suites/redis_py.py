"""A pytest plugin: runs redis-py's own tests and writes what became of each to the file MODB_SUITE_REPORT names.

A line for each: its name, its end (passed, failed, left out, unknown command) and why, with tabs between. It decides
nothing: which unknown commands are no fault is for who reads the report. MODB_SUITE_LEFT_OUT names the list of
tests that are not run.
"""

import fnmatch
import inspect
import linecache
import os
import re
import tracemalloc

import pytest

UNKNOWN = re.compile(r"unknown (command|subcommand) '([^']*)'(?:\. Try (\S+) HELP)?")

# The suite traces every allocation to find leaks of its own; that takes most of its time and shows nothing about a server.
tracemalloc.start = lambda *_: None
tracemalloc.stop = lambda *_: None

ends = {}
# Those that are to run: one that never does, since pytest itself failed, must not go unseen.
due = []


def left_out():
    """Pairs of a pattern (of a test's name, or `mark:name`) and the reason above it."""
    with open(os.environ["MODB_SUITE_LEFT_OUT"], encoding="utf-8") as file:
        reason = None
        for line in map(str.strip, file):
            if line.startswith("#"):
                reason = line[1:].strip()
            elif line:
                yield line, reason


def matches(item, pattern):
    kind, _, name = pattern.partition("mark:")
    if not kind and name:
        return item.get_closest_marker(name) is not None
    # `[` is a letter in names of tests with parameters, and `*` takes any of them.
    return fnmatch.fnmatchcase(item.nodeid, pattern.replace("[", "[[]"))


def patient(wait):
    """The suite's wait for a message has a fifth of a second. A message may take longer on a busy machine; only none is to be quick."""

    def wait_for_message(*args, **options):
        caller = inspect.currentframe().f_back
        file, line = caller.f_code.co_filename, caller.f_lineno
        # Here, or of what is named here in the next line.
        if "is None" not in linecache.getline(file, line) + linecache.getline(file, line + 1):
            options["timeout"] = 10
        return wait(*args, **options)

    return wait_for_message


def pytest_collection_modifyitems(config, items):
    for module in {item.module for item in items}:
        if hasattr(module, "wait_for_message"):
            module.wait_for_message = patient(module.wait_for_message)
    kept, gone, rules = [], [], list(left_out())
    used = set()
    for item in items:
        hits = [(pattern, reason) for pattern, reason in rules if matches(item, pattern)]
        used.update(pattern for pattern, _ in hits)
        if hits:
            ends[item.nodeid] = ("left out", hits[0][1])
            gone.append(item)
        else:
            kept.append(item)
    files = {item.nodeid.partition("::")[0] for item in items}
    for pattern, _ in rules:
        if pattern not in used and pattern.partition("::")[0] in files:
            ends[f"left out: {pattern}"] = ("failed", "no test has this name any more")
    config.hook.pytest_deselected(items=gone)
    due.extend(item.nodeid for item in kept)
    items[:] = kept


def unknown_command(error):
    found = UNKNOWN.search(str(error))
    if found:
        kind, name, parent = found.groups()
        pytest.skip(f"unknown: {parent} {name}" if kind == "subcommand" else f"unknown: {name}")


@pytest.hookimpl(wrapper=True)
def skip_at_unknown_command():
    try:
        return (yield)
    except Exception as error:
        unknown_command(error)
        raise


pytest_runtest_setup = skip_at_unknown_command
pytest_runtest_call = skip_at_unknown_command


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    try:
        return (yield)
    except Exception as error:
        # Cleaning up after a test that was left out needs the same commands.
        if not UNKNOWN.search(str(error)):
            raise


def end_of_skipped(why):
    if why.startswith("unknown: "):
        return "unknown command", why.removeprefix("unknown: ")
    if why.startswith("Redis version required"):
        which = "newer" if ">=" in why else "older"
        return "left out", f"the suite has them for {which} versions of Redis"
    return "left out", f"the suite skips them: {why}"


def pytest_runtest_logreport(report):
    name = report.nodeid
    if report.failed:
        ends[name] = ("failed", str(report.longrepr)[-3000:])
    elif report.skipped and name not in ends:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
        ends[name] = end_of_skipped(why.removeprefix("Skipped: "))
    elif report.when == "call" and name not in ends:
        ends[name] = ("passed", "")


def pytest_sessionfinish():
    with open(os.environ["MODB_SUITE_REPORT"], "w", encoding="utf-8") as file:
        never = {name: ("failed", "it was never run") for name in due if name not in ends}
        for name, (end, why) in (ends | never).items():
            why = why.replace("\t", " ").replace("\n", "\\n")
            file.write(f"{name}\t{end}\t{why}\n")
