"""Takes the tour of the README as a reader would: executes its blocks, and looks for what it says they print.

A comment before each block says what it is: `run` (here and now), `terminal` (goes on in the background), `prints` (what the block before
writes: these lines in this order, `…` standing for anything), `build` (done already), `shown` (not for us). A block without one is an
error, and so is a line that ends badly. Arguments: the README, and the folder of the programs.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

# Nothing here takes this long on any machine; what does, hangs.
PATIENCE_S = 120
HEAD = "## A tour of five minutes\n"
KINDS = {"run", "terminal", "prints", "build", "shown"}


def steps(readme):
    """The blocks of the tour, in order, with what each is."""
    tour = readme.split(HEAD, 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"(?:<!-- tour: (\w+) -->\n)?^```\w*\n(.*?)^```$", tour, re.DOTALL | re.MULTILINE)
    for kind, block in blocks:
        assert kind in KINDS, f"a block of the tour does not say what it is:\n{block}"
    assert {"run", "terminal", "prints"} <= {kind for kind, _ in blocks}, "the tour executes nothing"
    return blocks


def missing(shown, said):
    """The first line shown that was not said, after the ones before it; none where all were."""
    lines = iter(said.splitlines())
    for line in shown.splitlines():
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in line.split("…")))
        # Columns are as wide as what is in them.
        pattern = re.compile(re.sub(r"(\\ )+", r"\\s+", pattern.pattern))
        if not any(pattern.fullmatch(candidate.strip()) for candidate in lines):
            return line
    return None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def programs(built, room):
    """A folder for the PATH. Another port than the usual one, so that the tour can be taken beside a cluster that is there."""
    address = f"127.0.0.1:{free_port()}"
    more = {
        "windlass": f'export WINDLASS_ADDRESS={address}\n[ "$1" != dev ] || set -- "$@" --listen {address}',
        "windlass-worker-agent": f'set -- "$@" --coordinator http://{address}',
    }
    folder = room / "bin"
    folder.mkdir()
    for name, flags in more.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\n{flags}\nexec {built / name} "$@"\n')
        script.chmod(0o755)
    return folder


class Tour:
    """A reader with a home of their own."""

    def __init__(self, built, room):
        self.home = room / "home"
        self.home.mkdir()
        self.terminals = []
        self.said = lambda: ""
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("WINDLASS_", "XDG_"))}
        self.environment = {**bare, "HOME": str(self.home), "PATH": f"{programs(built, room)}:{os.environ['PATH']}"}

    def start(self, block, output):
        command = ["bash", "-e", "-o", "pipefail", "-c", block]
        return subprocess.Popen(
            command,
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, block):
        path = self.home / ".said"
        with path.open("wb") as output:
            process = self.start(block, output)
            try:
                code = process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = f"nothing after {PATIENCE_S} s"
        said = path.read_text(errors="replace")
        assert code == 0, f"it ended with {code}:\n{said}"
        self.said = lambda: said

    def terminal(self, block):
        path = self.home / f".terminal-{len(self.terminals)}"
        with path.open("wb") as output:
            process = self.start("exec " + block.strip(), output)
        self.terminals.append((block.strip(), process, path))
        self.said = lambda: path.read_text(errors="replace")

    def prints(self, block):
        end = time.monotonic() + (PATIENCE_S if self.terminals else 0)
        while (line := missing(block, self.said())) is not None:
            if time.monotonic() > end or not self.goes_on():
                raise AssertionError(f"this line is not printed: {line}\nbut:\n{self.said()}")
            time.sleep(0.05)

    def goes_on(self):
        """Whether more may be said: the latest block is a terminal's, which has not ended."""
        return self.latest == "terminal" and self.terminals[-1][1].poll() is None

    def take(self, kind, block):
        if kind in ("run", "terminal", "prints"):
            getattr(self, kind)(block)
        if kind != "prints":
            self.latest = kind

    def leave(self):
        """Ctrl-C in every terminal, the latest first; each has to end well."""
        for command, process, path in reversed(self.terminals):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            try:
                code = process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = f"nothing {PATIENCE_S} s after Ctrl-C"
            if code != 0:
                yield f"`{command}` ended with {code}:\n{path.read_text(errors='replace')}"


def main(readme, built):
    blocks = steps(pathlib.Path(readme).read_text())
    wrong = []
    with tempfile.TemporaryDirectory() as room:
        tour = Tour(pathlib.Path(built).resolve(), pathlib.Path(room))
        for kind, block in blocks:
            first = block.splitlines()[0]
            try:
                tour.take(kind, block)
            except AssertionError as err:
                wrong.append(f"{kind}: {first}\n{err}")
                break
            print(f"ok    {kind:8} {first}", flush=True)
        wrong += tour.leave()
    for what in wrong:
        print(f"FAIL  {what}")
    sys.exit(bool(wrong))


main(*sys.argv[1:])
