// What a worker says to a scripted agent over real pipes.
const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const path = require("node:path");
const { describe, test } = require("node:test");
const { BYE, LAUNCHER, Peer, WORKER, job, recalled, result, started, stopped } = require("./peer");

const both = { concurrency: 4 };

describe("answers", both, () => {
  test("hello names all handlers and features", async (t) => {
    const { hello } = await Peer.start(t);
    assert.deepEqual(hello.features, ["started", "recall", "cancel", "validate"]);
    assert.deepEqual(hello.handlers.slice(0, 3), ["echo", "root", "prints"]);
    assert.equal(hello.protocol, 1);
  });

  test("values of every shape come back as they went", async (t) => {
    const peer = await Peer.start(t);
    const values = [null, true, 0, -1.5, "héllo \u2028 ☃ 😀\n\x1e", [], { a: [{ b: null }] }];
    for (const [id, value] of values.entries()) assert.deepEqual(await peer.call(id, "echo", value), result(id, value));
    assert.deepEqual(await peer.call(90, "echo"), result(90, null));
    assert.deepEqual(await peer.call(91, "returns", "nothing"), result(91, null));
  });

  test("bytes go both ways with their type", async (t) => {
    const peer = await Peer.start(t);
    const sent = { input_base64: "AP8=", content_type: "image/png" };
    assert.deepEqual(await peer.call(1, "length", undefined, sent), result(1, ["Buffer", 2, "image/png"]));
    const data = (id, value_base64, content_type) => ({ type: "result", id, value_base64, content_type });
    assert.deepEqual(await peer.call(2, "returns", "bytes"), data(2, "/wA=", "application/octet-stream"));
    assert.deepEqual(await peer.call(3, "returns", "png"), data(3, "iVBORw==", "image/png"));
  });

  test("a result at the limit passes, and one byte more is an error that names it", async (t) => {
    const peer = await Peer.start(t);
    assert.equal(Buffer.byteLength((await peer.call(1, "returns", "most")).value) + 2, 262_144);
    assert.equal(Buffer.from((await peer.call(2, "returns", "many")).value_base64, "base64").length, 262_144);
    const message = "the result is 262145 bytes, the limit is 262144: store it elsewhere and return its address";
    for (const name of ["more", "too many"]) {
      const error = { type: "error", id: 3, message, code: "RESULT_TOO_LARGE", retryable: false };
      assert.deepEqual(await peer.call(3, "returns", name), error);
    }
    const input = "é".repeat(131_071);
    assert.deepEqual(await peer.call(4, "length", input), result(4, ["String", 131_071, "application/json"]));
  });

  test("what is no JSON is an error that no retry mends", async (t) => {
    const peer = await Peer.start(t);
    for (const [id, name] of ["big", "function", "long type"].entries()) {
      const said = await peer.call(id, "returns", name);
      assert.deepEqual([said.type, said.code, said.retryable], ["error", "RESULT_NOT_JSON", false]);
    }
  });

  test("frames arrive whole however they are cut", async (t) => {
    const peer = await Peer.start(t);
    const data = Buffer.from(JSON.stringify(job(1, "echo", "é😀")) + "\n");
    for (const byte of data) {
      peer.raw(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await peer.expect(started(1), result(1, "é😀"));
    peer.send(job(3, "echo", 3), { type: "ping", n: 9 }, job(4, "echo", 4));
    await peer.expect({ type: "pong", n: 9 }, started(3), result(3, 3), started(4), result(4, 4));
  });

  test("what it does not know it ignores", async (t) => {
    const peer = await Peer.start(t);
    peer.send({ type: "new", id: 1 }, { type: "recall", id: 7 }, { type: "cancel", id: 7 }, {});
    assert.deepEqual(await peer.call(1, "echo", 1, { new: [1] }), result(1, 1));
    const said = await peer.call(2, "nobody");
    assert.deepEqual([said.code, said.retryable], ["UNKNOWN_HANDLER", false]);
    assert.match(said.message, /no handler nobody here, only echo, root/);
  });

  test("validate checks and does not run", async (t) => {
    const peer = await Peer.start(t);
    const validate = (id, handler, input) => job(id, handler, input, { type: "validate" });
    peer.send(validate(1, "root", 4), validate(2, "root", -4), validate(3, "root", "x"), validate(4, "dies"));
    await peer.expect({ type: "valid", id: 1 });
    await peer.expect({ type: "error", id: 2, message: "must be positive", code: "NEGATIVE", retryable: false });
    await peer.expect({ type: "error", id: 3, message: "no number", code: "TypeError", retryable: false });
    assert.equal((await peer.next()).code, "VALIDATE_UNSUPPORTED");
    assert.deepEqual(await peer.call(5, "root", 4), result(5, 2));
  });

  test("each kind of failure says what to make of it", async (t) => {
    const peer = await Peer.start(t);
    const fails = (how) => peer.call(1, "fails", how);
    const error = { type: "error", id: 1 };
    assert.deepEqual(await fails("code"), { ...error, message: "no such image", code: "E404" });
    assert.deepEqual(await fails("never"), { ...error, message: "broken", retryable: false });
    const later = { message: "try again in 1.5 s", code: "E429", retry_after_ms: 1500, cooldown_key: "upstream" };
    assert.deepEqual(await fails("later"), { ...error, ...later });
    assert.deepEqual(await fails("text"), { ...error, message: "só" });
    const { stack, ...said } = await fails("plain");
    assert.deepEqual(said, { ...error, message: "out of páper", code: "RangeError" });
    assert.match(stack, /handlers\.js/);
    assert.equal((await fails("system")).code, "ENOENT");
    const long = await fails("long");
    assert.deepEqual([long.message.length, long.stack.length], [8192, 8192]);
  });
});

describe("speaking", both, () => {
  test("progress and log lines are told while the handler runs", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "tells"));
    await peer.expect(started(1), { type: "progress", id: 1, done: 3, total: 10, message: "pages" });
    await peer.expect({ type: "progress", id: 1, message: "most" });
    await peer.expect({ type: "log", id: 1, level: "info", message: "fetched", fields: { ms: 12 } });
    const fields = { dropped: "fields are longer than 65536 bytes" };
    await peer.expect({ type: "log", id: 1, level: "warn", message: "é".repeat(32_768), fields });
    assert.match((await peer.next()).fields.dropped, /BigInt/);
    await peer.expect(result(1, null));
  });

  test("what is printed lands in the log and never on the protocol", async (t) => {
    const peer = await Peer.start(t);
    assert.deepEqual(await peer.call(1, "prints"), result(1, ""));
    assert.deepEqual(await peer.call(2, "prints"), result(2, ""));
    peer.send({ type: "bye" });
    assert.equal(await peer.end(), 0);
    for (const line of ["printed\n", '"forged"}\n', "half a line", "from a child\n"]) assert.equal(peer.errors.split(line).length, 3, line);
  });

  test("started by windlass-node, not even what writes to descriptors or inherits them reaches the agent", async (t) => {
    const peer = await Peer.start(t, { command: [LAUNCHER, WORKER] });
    assert.deepEqual(await peer.call(1, "prints", "fd"), result(1, ""));
    assert.deepEqual(await peer.call(2, "echo", 2), result(2, 2));
    peer.send({ type: "bye" });
    assert.equal(await peer.end(), 0);
    for (const line of ["raw\n", "from a child\n"]) assert.ok(peer.errors.includes(line), line);
    assert.match(peer.errors, / 0 -> \/dev\/null/);
    assert.doesNotMatch(peer.errors, / [34] -> .*windlass-/, "a child has the agent's pipes");
  });

  test("started is said before the handler is entered", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "echo", 1), job(2, "dies"));
    await peer.expect(started(1), result(1, 1), started(2));
    assert.equal(await peer.end(), "SIGKILL");
  });

  test("a handler sees its job", async (t) => {
    const peer = await Peer.start(t, { env: { WINDLASS_SCRATCH: "/some/where" } });
    const trace = { traceparent: "00-1-2-01", tracestate: "a=b", headers: { tenant: "é" }, timeout_ms: 60_000 };
    const names = ["WINDLASS_JOB_ID", "WINDLASS_ATTEMPT", "WINDLASS_FENCING_TOKEN", "TRACEPARENT", "TRACESTATE"];
    const token = "1152921504606846977"; // what JSON numbers would lose
    assert.deepEqual((await peer.call(1, "context", names, trace)).value, {
      ctx: ["context", "job-1", 2, token, "application/json", "00-1-2-01", "a=b"],
      headers: { tenant: "é" },
      scratch: "/some/where",
      limited: true,
      inTime: true,
      child: Object.fromEntries(names.map((name, i) => [name, ["job-1", "2", token, "00-1-2-01", "a=b"][i]])),
      cancelled: false,
    });
    const bare = (await peer.call(2, "context", names)).value;
    assert.deepEqual([bare.ctx[5], bare.headers, bare.limited, Object.keys(bare.child).length], [null, {}, false, 3]);
  });
});

describe("asked while a handler runs", both, () => {
  test("what has not started is given back, and what has is not", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "waits"), job(2, "dies"), job(3, "echo", 3));
    await peer.expect(started(1));
    const recall = (id) => ({ type: "recall", id });
    peer.send(recall(1), recall(2), recall(2), { type: "ping", n: 5 });
    await peer.expect(recalled(2), { type: "pong", n: 5 });
    peer.send({ type: "cancel", id: 1 });
    await peer.expect(result(1, [true, "the job is to stop"]), started(3), result(3, 3));
  });

  test("a recall is heard between handlers that block the event loop", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "blocks", 200), job(2, "dies"), job(3, "echo", 3));
    await peer.expect(started(1));
    peer.send({ type: "recall", id: 2 });
    const said = [await peer.next(), await peer.next()];
    assert.deepEqual(said, [recalled(2), result(1, "blocked")].sort((a) => (a.type === said[0].type ? -1 : 1)));
    await peer.expect(started(3), result(3, 3));
  });

  test("cancel stops a handler that looks, or keeps it from running", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "stops"), job(2, "dies"));
    await peer.expect(started(1));
    peer.send({ type: "cancel", id: 2 }, { type: "cancel", id: 1 });
    await peer.expect(stopped(1), stopped(2));
    peer.send({ type: "cancel", id: 2 });
    assert.equal((await peer.call(3, "context", [])).value.cancelled, false);
  });
});

describe("ending", both, () => {
  test("bye ends it after what came before", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "sleeps", 100), job(2, "echo", 2), { type: "bye" }, job(3, "dies"));
    await peer.expect(started(1), result(1, "slept"), started(2), result(2, 2));
    assert.equal(await peer.end(), 0);
  });

  test("drain finishes what runs and gives back the rest", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "waits"), job(2, "dies"), job(3, "dies"));
    await peer.expect(started(1));
    peer.send({ type: "drain" }, { type: "recall", id: 2 }, job(4, "dies"));
    await peer.expect(recalled(2), recalled(3), recalled(4));
    peer.send({ type: "cancel", id: 1 });
    await peer.expect(result(1, [true, "the job is to stop"]), BYE);
    assert.equal(await peer.end(), 0);
  });

  test("SIGTERM finishes what runs and begins no more", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "waits"), job(2, "dies"));
    await peer.expect(started(1));
    peer.process.kill("SIGTERM");
    await new Promise((done) => setTimeout(done, 50)); // no event tells that a signal was taken
    peer.send({ type: "cancel", id: 1 });
    // What waits goes back with the exit: a frame that was not asked for would break the protocol.
    await peer.expect(result(1, [true, "the job is to stop"]), BYE);
    assert.equal(await peer.end(), 0);
  });

  test("drain and SIGTERM end an idle worker", async (t) => {
    for (const ask of [(peer) => peer.send({ type: "drain" }), (peer) => peer.process.kill("SIGTERM")]) {
      const peer = await Peer.start(t);
      ask(peer);
      await peer.expect(BYE);
      assert.equal(await peer.end(), 0);
    }
  });

  test("what holds the process back does so for less than an agent waits", async (t) => {
    const peer = await Peer.start(t, { env: { TEST_HANDLES: "1" } });
    const from = Date.now();
    peer.send({ type: "bye" });
    assert.equal(await peer.end(), 0);
    assert.ok(Date.now() - from > 3_500);
  });

  test("the end of input asks a handler to stop and begins no more", async (t) => {
    const idle = await Peer.start(t);
    idle.stdin.end();
    assert.equal(await idle.end(), 0);
    const peer = await Peer.start(t);
    peer.send(job(1, "waits"), job(2, "dies"));
    await peer.expect(started(1));
    peer.stdin.end();
    await peer.expect(result(1, [true, "the agent is gone"]));
    assert.equal(await peer.end(), 0);
  });

  test("a handler that goes on without an agent ends after 5 s", async (t) => {
    const peer = await Peer.start(t);
    peer.send(job(1, "sleeps", 60_000));
    await peer.expect(started(1));
    const from = Date.now();
    peer.stdin.end();
    assert.equal(await peer.end(), 1);
    assert.ok(Date.now() - from > 4_500);
  });

  test("what is no frame ends it with a word", async (t) => {
    for (const [wrong, word] of [["nonsense\n", "no frame"], ["[1]\n", "no frame"], ["x".repeat((1 << 20) + 2), "longer than 1048576"]]) {
      const peer = await Peer.start(t);
      peer.raw(wrong);
      assert.equal(await peer.end(), 1);
      assert.ok(peer.errors.includes(word), peer.errors);
    }
  });
});

describe("without an agent", both, () => {
  const node = (...args) => spawnSync(process.execPath, args, { encoding: "latin1", timeout: 60_000 });
  const once = (...args) => node(WORKER, "--once", ...args);

  test("--once prints the result alone", () => {
    for (const [args, out, errors] of [
      [["echo", '{"a":"é"}'], Buffer.from('{"a":"é"}\n').toString("latin1"), ""],
      [["prints"], '""\n', "printed"],
      [["returns", '"png"'], "\x89PNG", ""],
      [["tells"], "null\n", '"message":"pages"'],
    ]) {
      const done = once(...args);
      assert.deepEqual([done.status, done.stdout], [0, out]);
      assert.ok(done.stderr.includes(errors), done.stderr);
    }
  });

  test("--once tells an error and exits with 1", () => {
    for (const [args, errors] of [
      [["fails", '"plain"'], "RangeError: out of"],
      [["fails", '"later"'], '"retry_after_ms":1500'],
      [["nobody"], "no handler nobody here"],
      [["echo", "hello"], "both kinds of quotes"],
      [[], "usage: --once HANDLER"],
    ]) {
      const done = once(...args);
      assert.deepEqual([done.status, done.stdout], [1, ""]);
      assert.ok(done.stderr.includes(errors), done.stderr);
    }
  });

  test("no handlers is a matter of configuration, and names that cannot be are refused", () => {
    const index = JSON.stringify(path.join(__dirname, ".."));
    assert.equal(node("-e", `require(${index}).run()`).status, 78);
    const names = `for (const n of ["", "a b", "x".repeat(129), "a\\n"]) try { require(${index}).job(n) } catch (e) { console.log(e.name) }`;
    assert.equal(node("-e", names).stdout, "TypeError\n".repeat(4));
  });

  test("it is imported as a module too", () => {
    const index = JSON.stringify(path.join(__dirname, "../dist/index.js"));
    const program = `import { job, run, Bytes } from ${index}; job("a", () => new Bytes(Buffer.from("b"))); run();`;
    const done = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8", input: "", timeout: 60_000 });
    assert.match(done.stdout, /^\x1e{"type":"hello","protocol":1,"handlers":\["a"\],"features":\["started","recall","cancel"\]}\n$/);
  });
});
