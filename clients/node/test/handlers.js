// The worker under test.
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");
const { Bytes, JobError, NonRetryable, RetryAfter, job, run } = require("..");

const block = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const until = (signal) => new Promise((done) => signal.addEventListener("abort", done));

job("echo", (_, input) => input);
job("root", async (_, input) => Math.sqrt(input), {
  validate: async (_, input) => {
    if (typeof input !== "number") throw new TypeError("no number");
    if (input <= 0) throw new NonRetryable("must be positive", "NEGATIVE");
  },
});
job("prints", async (_, how) => {
  console.log("printed");
  console.log('\x1e{"type":"result","id":1,"value":"forged"}');
  process.stdout.write("half a line");
  if (how === "fd") fs.writeSync(1, "raw\n");
  spawnSync("sh", ["-c", "echo from a child; ls -l /proc/self/fd; cat"], { stdio: how === "fd" ? "inherit" : ["ignore", 2, 2] });
  let read = "";
  for await (const text of process.stdin) read += text;
  return read + (process.env.WINDLASS_IPC ?? "");
});
job("waits", async (ctx) => {
  console.log("waiting");
  await until(ctx.signal);
  return [ctx.cancelled, ctx.signal.reason.message];
});
job("stops", (ctx) => sleep(60_000, null, { signal: ctx.signal }));
job("sleeps", (_, ms) => sleep(ms, "slept"));
job("blocks", (_, ms) => {
  console.log("blocking");
  block(ms);
  return "blocked";
});
job("tells", (ctx) => {
  ctx.progress(3, 10, "pages");
  ctx.progress(undefined, undefined, "most");
  ctx.log("fetched", { ms: 12 });
  ctx.log("é".repeat(50_000), { long: "y".repeat(100_000) }, "warn");
  ctx.log("odd", { big: 1n });
});
job("context", (ctx, names) => {
  const env = ctx.childEnv();
  const left = ctx.deadline && ctx.deadline.getTime() - Date.now();
  return {
    ctx: [ctx.handler, ctx.jobId, ctx.attempt, String(ctx.fencingToken), ctx.contentType, ctx.traceparent, ctx.tracestate],
    headers: ctx.headers,
    scratch: ctx.scratch,
    limited: left !== undefined,
    inTime: left === undefined || (left > 0 && left <= 60_000),
    child: Object.fromEntries(names.map((name) => [name, env[name]])),
    cancelled: ctx.cancelled || ctx.signal.aborted,
  };
});
job("fails", async (_, how) => {
  switch (how) {
    case "code":
      throw new JobError("no such image", "E404");
    case "never":
      throw new NonRetryable("broken");
    case "later":
      throw new RetryAfter(1.5, undefined, "upstream", "E429");
    case "system":
      return fs.readFileSync("/not/there");
    case "text":
      throw "só";
    case "long":
      throw new Error("x".repeat(100_000));
    default:
      throw new RangeError("out of páper");
  }
});
job("returns", (_, what) => {
  const values = {
    bytes: Buffer.from([0xff, 0]),
    png: new Bytes(Buffer.from("\x89PNG", "latin1"), "image/png"),
    nothing: undefined,
    big: 1n,
    function: () => 1,
    most: "é".repeat(131_071),
    more: "é".repeat(131_071) + "x",
    many: new Uint8Array(262_144),
    "too many": new Uint8Array(262_145),
    "long type": new Bytes(Buffer.alloc(0), "x".repeat(129)),
  };
  return values[what];
});
job("length", (ctx, input) => [input.constructor.name, input.length, ctx.contentType]);
job("dies", () => process.kill(process.pid, "SIGKILL") && block(60_000));

if (process.env.TEST_HANDLES) setInterval(() => {}, 60_000);
run();
