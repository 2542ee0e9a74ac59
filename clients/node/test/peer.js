// Plays the agent to a worker over real pipes, by script.
const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");

/** Longest wait for what must come: far above what it takes, for machines that do more than this. */
const WAIT_MS = 20_000;
const WORKER = path.join(__dirname, "handlers.js");
const LAUNCHER = path.join(__dirname, "../bin/windlass-node");

/** Both ends of a new pipe. */
function pipe() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "windlass-"));
  const name = path.join(folder, "pipe");
  execFileSync("mkfifo", [name]);
  const both = fs.openSync(name, "r+"); // opening one end waits for the other
  const ends = { get: fs.openSync(name, "r"), put: fs.openSync(name, "w") };
  fs.closeSync(both);
  fs.rmSync(folder, { recursive: true });
  return ends;
}

class Peer {
  said = [];
  strays = "";
  errors = "";
  #rest = "";
  #changed = [];

  /** `t` is the test that it ends with. Says hello and welcome. */
  static async start(t, { command = [process.execPath, WORKER], env = {} } = {}) {
    const peer = new Peer(command, env);
    t.after(() => peer.kill());
    peer.hello = await peer.next();
    assert.equal(peer.hello.type, "hello");
    peer.send({ type: "welcome", protocol: 1, pool: "p", worker: "p-0", new: 1 });
    return peer;
  }

  constructor(command, env) {
    // What spawn itself makes are sockets, and an agent has pipes.
    const [input, output, errors] = [pipe(), pipe(), pipe()];
    // In a group of its own, so that what it starts ends with it.
    const options = { stdio: [input.get, output.put, errors.put], detached: true, env: { ...process.env, ...env } };
    this.process = spawn(command[0], command.slice(1), options);
    for (const fd of options.stdio) fs.closeSync(fd);
    this.stdin = new net.Socket({ fd: input.put, readable: false, writable: true }).on("error", () => {});
    const read = (fd, on) => new net.Socket({ fd, readable: true, writable: false }).setEncoding("utf8").on("data", on);
    read(errors.get, (data) => this.#note(() => (this.errors += data)));
    const out = read(output.get, (data) => this.#read(data));
    out.on("close", () => this.#note(() => (this.silent = true)));
    this.process.on("exit", (code, signal) => this.#note(() => (this.ended = signal ?? code)));
  }

  kill() {
    this.stdin.destroy();
    try {
      process.kill(-this.process.pid, "SIGKILL");
    } catch {
      // gone
    }
  }

  #read(data) {
    const lines = (this.#rest + data).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("\x1e{")) this.said.push(JSON.parse(line.slice(1)));
      else this.strays += line + "\n";
    }
    this.#note(() => {});
  }

  #note(change) {
    change();
    for (const changed of this.#changed.splice(0)) changed();
  }

  async until(holds, what) {
    const late = setTimeout(() => this.#note(() => (this.late = true)), WAIT_MS);
    while (!holds()) {
      assert.ok(!this.late, `${what} did not come; logged: ${this.errors.slice(0, 2000)}`);
      await new Promise((changed) => this.#changed.push(changed));
    }
    clearTimeout(late);
  }

  raw(data) {
    this.stdin.write(data);
  }

  /** All in one write. */
  send(...frames) {
    this.raw(frames.map((frame) => JSON.stringify(frame) + "\n").join(""));
  }

  /** The next frame; undefined: there are no more. */
  async next() {
    await this.until(() => this.said.length > 0 || (this.silent && this.ended !== undefined), "a frame");
    return this.said.shift();
  }

  /** These come next, in this order. */
  async expect(...frames) {
    for (const frame of frames) assert.deepEqual(await this.next(), frame);
  }

  /** Puts one job, and returns how it ended. */
  async call(id, handler, input, more) {
    this.send(job(id, handler, input, more));
    await this.expect(started(id));
    return this.next();
  }

  async untilLogged(text) {
    await this.until(() => this.errors.includes(text), text);
  }

  /** Its exit code, once it has said all; nothing but frames came over the protocol's pipe, and no frame is left. */
  async end() {
    assert.equal(await this.next(), undefined);
    assert.equal(this.strays + this.#rest, "");
    return this.ended;
  }
}

const job = (id, handler, input, more) => ({
  ...{ type: "job", id, handler, input, job_id: `job-${id}`, attempt: 2, fencing_token: "1152921504606846977" },
  ...more,
});
const started = (id) => ({ type: "started", id });
const result = (id, value) => ({ type: "result", id, value });
const recalled = (id) => ({ type: "recalled", id });
const stopped = (id) => ({ type: "error", id, message: "stopped", code: "cancelled" });
const BYE = { type: "bye", reason: "drained" };

module.exports = { BYE, LAUNCHER, Peer, WORKER, job, recalled, result, started, stopped };
