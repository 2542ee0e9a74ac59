/**
 * Workers for Windlass pools: functions that an agent calls by name.
 *
 *     const { job, run } = require("windlass-worker");
 *     job("greet", async (ctx, input) => ({ hello: input.name }));
 *     run();
 */
export { Bytes, Context, JobError, NonRetryable, RetryAfter, type Level } from "./context";
export { job, run, type Handler, type Options } from "./worker";
