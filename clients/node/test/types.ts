// Compiled against what is published, and not run: every name is there with its type, and what is no one's business is not.
import { Bytes, JobError, NonRetryable, RetryAfter, job, run, type Context, type Handler, type Level } from "..";

interface In {
  name: string;
}
const level: Level = "warn";
const greet: Handler<In, { hello: string }> = async (ctx: Context, input) => {
  ctx.progress(1, 2, "half");
  ctx.log("late", { by: ctx.deadline?.getTime() }, level);
  if (ctx.fencingToken < 1n || ctx.signal.aborted) throw new NonRetryable("no", "E");
  // @ts-expect-error: internal
  ctx.frame;
  return { hello: input.name };
};
job("greet", greet, { validate: (ctx, input) => void (input.name.length + ctx.attempt) });
job("bytes", (_, data: Buffer) => new Bytes(data, "image/png"));
job("fails", (): never => {
  throw new RetryAfter(1, "later", "upstream");
});
// @ts-expect-error: a message is needed
new JobError();
const done: Promise<void> = run();
void done;
