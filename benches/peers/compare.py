"""Measures kitmirror and the dlt pipeline, one after the other, on one simulator; `run` prepares and calls it."""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psycopg2

HERE = Path(__file__).resolve().parent
KEY = "kit_sim_v4_key_0d9e42"
ENGINES = ["sqlite", "postgres"]

# What must be the same on both sides: each table with the columns that are compared, the key first.
TABLES = {
    "subscribers": ["id", "email_address", "first_name", "state"],
    "cancelled_subscribers": ["id"],
    "forms": ["id", "name", "uid"],
    "sequences": ["id", "name", "subscriber_count"],
    "tags": ["id", "name", "subscriber_count"],
    "broadcasts": ["id", "subject", "content", "status"],
    "form_subscriptions": ["form_id", "subscriber_id", "referrer"],
    "sequence_subscriptions": ["sequence_id", "subscriber_id"],
    "tag_subscriptions": ["tag_id", "subscriber_id"],
}
KEY_COLUMNS = {"form_subscriptions": 2, "sequence_subscriptions": 2, "tag_subscriptions": 2}

# name, arguments of kitmirror, arguments of the pipeline
RUNS = [
    ("first load", ["sync", "--full"], []),
    ("the same again", ["sync", "--full"], []),
    ("what is new: nothing", ["sync"], ["--incremental"]),
]


def die(message):
    sys.exit(f"benches/peers: FAILED: {message}")


# --- Measuring a program ------------------------------------------------------------------------------------


@dataclass
class Usage:
    seconds: float
    cpu: float
    memory: float
    output: str


def family(pid):
    """A process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from family(int(child))


def kibibytes(file, name):
    found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.M)
    return int(found[1]) if found else 0


def resident(pid):
    """MiB that a process and its descendants have, what they share counted once; or had, the process alone."""
    total, mark = 0, 0
    with contextlib.suppress(OSError):
        mark = kibibytes(Path(f"/proc/{pid}/status"), "VmHWM")
        for member in family(pid):
            with contextlib.suppress(OSError):
                total += kibibytes(Path(f"/proc/{member}/smaps_rollup"), "Pss")
    return max(total, mark) / 1024


def measure(command, environment, folder, log):
    with open(log, "w+") as errors, open(f"{log}.out", "w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=errors)
        peak, sampled = 0.0, 0.0
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            now = time.monotonic()
            if pid:
                break
            if now - sampled >= 0.02:
                peak, sampled = max(peak, resident(process.pid)), now
            time.sleep(0.002)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
        if process.returncode != 0:
            errors.seek(0)
            print(text[-2000:], errors.read()[-4000:], file=sys.stderr)
            die(f"{command[0]} ended with {process.returncode}")
    # Not `ru_maxrss`: it begins with what this process had when it forked.
    return Usage(now - started, used.ru_utime + used.ru_stime, peak, text)


# --- The simulator ------------------------------------------------------------------------------------------


class Simulator:
    def __init__(self, binary, subscribers, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v4"
        self.asked = 0
        self._log = open(folder / "simulator.log", "w+")
        self._process = subprocess.Popen(
            [binary, "simulate", "--quiet", "--subscribers", str(subscribers)]
            + ["--limit", "off", "--listen", f"127.0.0.1:{port}"],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        self.kill()
        die("the simulator did not start")

    def count(self, path, **query):
        """How many rows a list has, and its first thousand."""
        query = urllib.parse.urlencode({"per_page": 1000, "include_total_count": "true", **query})
        request = urllib.request.Request(f"{self.url}/{path}?{query}", headers={"X-Kit-Api-Key": KEY})
        self.asked += 1
        with urllib.request.urlopen(request) as answer:
            page = json.load(answer)
        rows = next(value for name, value in page.items() if name != "pagination")
        return page["pagination"]["total_count"], rows

    def truth(self):
        """How many rows each table must have, by the simulator's own totals."""
        truth = {"subscribers": self.count("subscribers", per_page=1, status="all")[0]}
        truth["cancelled_subscribers"] = self.count("subscribers", per_page=1, status="cancelled")[0]
        truth["broadcasts"] = self.count("broadcasts", per_page=1)[0]
        for parent in ["form", "sequence", "tag"]:
            truth[f"{parent}s"], parents = self.count(f"{parent}s", **({"status": "all"} if parent == "form" else {}))
            paths = [f"{parent}s/{row['id']}/subscribers" for row in parents]
            lists = [self.count(path, per_page=1, status="all")[0] for path in paths]
            truth[f"{parent}_subscriptions"] = sum(lists)
        return truth

    def stop(self):
        """Ends it; how many requests it answered in its life."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        self._log.seek(0)
        return int(re.search(r"([\d,]+) requests were answered", self._log.read())[1].replace(",", ""))

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


# --- The two programs ---------------------------------------------------------------------------------------


class Kitmirror:
    name = "kitmirror"
    schema = "public"

    def __init__(self, binary):
        self._binary = binary

    def run(self, arguments, kit, place, folder):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "KIT_API_KEY": KEY,
            "KITMIRROR_KIT_API_URL": kit.url,
            "KITMIRROR_REQUESTS_PER_MINUTE": "10000000",
            "DATABASE_URL": place.url,
        }
        usage = measure([self._binary, *arguments, "--json"], environment, folder, folder / "log")
        # Each run asks once whose account it is, beside what it counts per object.
        return usage, 1 + sum(one["requests"] for one in json.loads(usage.output)["objects"]), ""


class Dlt:
    name = "dlt"
    schema = "kit"

    def run(self, arguments, kit, place, folder):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DLT_DATA_DIR": str(folder / "dlt"),
            "KIT_API_KEY": KEY,
        }
        command = [sys.executable, str(HERE / "dlt_pipeline.py"), "--api-url", kit.url, "--destination", place.dlt_url]
        command += ["--pipelines-dir", str(folder / "pipelines"), *arguments]
        # Where .dlt/config.toml is.
        usage = measure(command, environment, HERE, folder / "log")
        told = json.loads(usage.output.strip().splitlines()[-1])
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told["steps"].items() if name != "run")
        return usage, told["requests"], steps


# --- The databases ------------------------------------------------------------------------------------------


class SqliteFile:
    """A file of its own for a program."""

    def __init__(self, folder):
        self.path = folder / "mirror.db"
        self.url = self.dlt_url = f"sqlite:///{self.path}"
        # SQLAlchemy takes what follows three slashes for relative.
        self.dlt_url = f"sqlite:////{str(self.path).lstrip('/')}"

    def connect(self, _schema):
        return sqlite3.connect(self.path)

    def drop(self):
        for file in self.path.parent.glob("mirror*"):
            file.unlink()


class PostgresDatabase:
    """A database of its own for a program, on the server that the administrator's URL names."""

    def __init__(self, administrator, name):
        self._administrator, self._name = administrator, name
        self._execute(f'create database "{name}"')
        parts = urllib.parse.urlsplit(administrator)._replace(path=f"/{name}")
        self.url = urllib.parse.urlunsplit(parts._replace(scheme="postgres"))
        # dlt insists on a password, also where the server asks for none.
        if not parts.password:
            parts = parts._replace(netloc=parts.netloc.replace("@", ":unused@", 1))
        self.dlt_url = urllib.parse.urlunsplit(parts._replace(scheme="postgresql"))

    def _execute(self, statement):
        connection = psycopg2.connect(self._administrator)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def connect(self, schema):
        return psycopg2.connect(self.url, options=f"-c search_path={schema}")

    def drop(self):
        self._execute(f'drop database if exists "{self._name}" with (force)')


def contents(place, schema):
    """Each table's number of rows, and a digest of the compared columns of all rows in the order of the key."""
    found = {}
    with contextlib.closing(place.connect(schema)) as connection:
        for table, columns in TABLES.items():
            cursor = connection.cursor()
            key = ", ".join(columns[: KEY_COLUMNS.get(table, 1)])
            cursor.execute(f"select {', '.join(columns)} from {table} order by {key}")
            digest, rows = hashlib.sha256(), 0
            while page := cursor.fetchmany(10_000):
                rows += len(page)
                digest.update(json.dumps([list(row) for row in page]).encode())
            found[table] = (rows, digest.hexdigest())
    return found


def check(found, truth, reference, where):
    """Ends everything unless both sides hold the account."""
    for table, (rows, digest) in found.items():
        if rows != truth[table]:
            die(f"{where}: {table} has {rows} rows, the account {truth[table]}")
        if reference[table][1] != digest:
            die(f"{where}: {table} has other contents than kitmirror's first load")


# --- All of it ----------------------------------------------------------------------------------------------


def compare(engine, programs, kit, truth, open_place, work):
    """Lines of the table, and how many requests were sent."""
    measured, total, reference = {}, 0, None
    for program in programs:
        folder = work / f"{engine}-{program.name}"
        folder.mkdir()
        place = open_place(folder, program.name)
        try:
            for what, ours, theirs in RUNS:
                arguments = ours if program.name == "kitmirror" else theirs
                usage, requests, steps = program.run(arguments, kit, place, folder)
                total += requests
                found = contents(place, program.schema)
                reference = reference or found
                check(found, truth, reference, f"{engine}, {program.name}, {what}")
                measured[what, program.name] = (usage, requests)
                print(f"{engine}, {program.name}, {what}: {usage.seconds:.2f} s {steps}", file=sys.stderr)
        finally:
            place.drop()
    lines = []
    for what, _, _ in RUNS:
        ours, our_requests = measured[what, "kitmirror"]
        theirs, their_requests = measured[what, "dlt"]
        cells = [engine, what]
        pairs = [(ours.seconds, theirs.seconds, "{:.2f}"), (ours.cpu, theirs.cpu, "{:.2f}")]
        pairs += [(ours.memory, theirs.memory, "{:.0f}")]
        for own, other, form in pairs:
            cells += [form.format(own), form.format(other), f"{other / own:.1f}"]
        lines.append("| " + " | ".join([*cells, f"{our_requests:,}", f"{their_requests:,}"]) + " |")
    return lines, total


def main():
    parser = argparse.ArgumentParser(prog="benches/peers/run", description="Compares kitmirror with a dlt pipeline.")
    parser.add_argument("subscribers", nargs="?", type=int, default=100_000)
    parser.add_argument("engines", nargs="*", help=f"some of {', '.join(ENGINES)}; all by default")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", required=True, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for engine in arguments.engines:
        if engine not in ENGINES:
            parser.error(f"no engine {engine}: {', '.join(ENGINES)}")
    # An interrupt from outside ends what was started and drops what was made.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    versions = [subprocess.run([arguments.binary, "--version"], capture_output=True, text=True).stdout.strip()]
    versions += [f"dlt {version('dlt')}", f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    places = {}
    for engine in arguments.engines or ENGINES:
        if engine == "sqlite":
            places[engine] = lambda folder, _name: SqliteFile(folder)
        elif administrator := os.environ.get("KITMIRROR_BENCH_POSTGRES_URL"):
            with contextlib.closing(psycopg2.connect(administrator)) as connection:
                versions.append(f"PostgreSQL {connection.info.parameter_status('server_version')}")
            name = f"kitmirror_bench_peers_{os.getpid()}"
            places[engine] = lambda _folder, program: PostgresDatabase(administrator, f"{name}_{program}")
        else:
            print("postgres left out: KITMIRROR_BENCH_POSTGRES_URL names no server", file=sys.stderr)
    if not places:
        die("nothing to measure")

    kit = Simulator(arguments.binary, arguments.subscribers, arguments.work)
    try:
        truth = kit.truth()
        programs = [Kitmirror(arguments.binary), Dlt()]
        lines, sent = [], 0
        for engine, open_place in places.items():
            more, requests = compare(engine, programs, kit, truth, open_place, arguments.work)
            lines, sent = lines + more, sent + requests
        answered = kit.stop()
    finally:
        kit.kill()
    if answered != sent + kit.asked:
        die(f"the simulator answered {answered} requests, both programs and this one sent {sent + kit.asked}")

    members = sum(rows for table, rows in truth.items() if table.endswith("_subscriptions"))
    print(f"{truth['subscribers']:,} subscribers, {members:,} memberships, {sum(truth.values()):,} rows in all tables;")
    print(f"{', '.join(versions)}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| engine | run | kitmirror, s | dlt, s | × | kitmirror, CPU s | dlt, CPU s | × ", end="")
    print("| kitmirror, MiB | dlt, MiB | × | kitmirror, requests | dlt, requests |")
    print("|---|---|" + "---:|" * 11)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
