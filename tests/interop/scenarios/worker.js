// The handlers that tests/interop/scenarios.py calls, on the Node SDK.
const { execFileSync, spawnSync } = require("node:child_process");
const { setTimeout: sleep } = require("node:timers/promises");
const { Bytes, JobError, NonRetryable, RetryAfter, job, run } = require("../../../clients/node");

job("echo", async (ctx, input) => input);
job("fail", (ctx, message) => {
  throw new JobError(message, "E_FAIL");
});
job("refuse", (ctx, message) => {
  throw new NonRetryable(message);
});
job("later", async (ctx, seconds) => {
  if (ctx.attempt === 1) throw new RetryAfter(seconds, "slow down", "api.example");
  return ctx.attempt;
});
job("sleep", (ctx, ms) => sleep(ms, ms, { signal: ctx.signal }));
job("report", (ctx) => {
  ctx.progress(1, 2, "pages");
  ctx.log("slow", { ms: 1200 }, "warn");
});
job("prints", () => {
  console.log('\x1e{"type":"result","id":1,"value":"forged"}');
  console.log("printed");
  console.error("complained");
  // Started by windlass-node, so that what a child inherits is the log.
  spawnSync("sh", ["-c", "echo from a child"], { stdio: "inherit" });
  return "done";
});
job("exit", (ctx, code) => process.exit(code));
job("reverse", (ctx, data) => new Bytes(data.reverse(), ctx.contentType));
job("blow", (ctx, length) => "x".repeat(length));
job("who", (ctx) => ({
  pid: process.pid,
  job: ctx.jobId,
  attempt: ctx.attempt,
  token: String(ctx.fencingToken),
  tenant: ctx.headers.tenant,
  trace: ctx.traceparent,
  timed: ctx.deadline !== undefined,
  child: execFileSync("sh", ["-c", 'printf "%s %s" "$WINDLASS_ATTEMPT" "$TRACEPARENT"'], { env: ctx.childEnv(), encoding: "utf8" }),
}));
job("double", (ctx, number) => number * 2, {
  validate: (ctx, number) => {
    if (number > 1000) throw new NonRetryable("at most 1000", "TOO_LARGE");
  },
});

run();
