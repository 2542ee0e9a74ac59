/** The handlers, and the loop that calls them. */
import * as fs from "node:fs";
import { isatty } from "node:tty";
import { Context, type Frame } from "./context";
import * as frames from "./frames";
import { Pipe, die, takeDescriptors } from "./pipe";

/** Input and result are any JSON values; a result may be bytes too. */
export type Handler<In = any, Out = unknown> = (ctx: Context, input: In) => Out | Promise<Out>;

export interface Options<In = any> {
  /** Checks an input without doing the work: throws if the handler would not take it. */
  validate?: (ctx: Context, input: In) => unknown;
}

interface Registered extends Options {
  call: Handler;
}

const handlers = new Map<string, Registered>();
/** Until the configuration changes, an agent does not start a worker again that exits so. */
const EXIT_CONFIG = 78;

/** Makes a function, async or not, the handler of this name. */
export function job<In = any, Out = unknown>(name: string, call: Handler<In, Out>, options: Options<In> = {}): void {
  if (!/^[a-zA-Z0-9._-]{1,128}$/.test(name)) {
    throw new TypeError(`a handler's name is 1 to 128 of [a-zA-Z0-9._-], not ${JSON.stringify(name)}`);
  }
  if (handlers.has(name)) throw new TypeError(`there is a handler ${name} already`);
  handlers.set(name, { call, ...options });
}

/**
 * Answers the agent's calls until it says bye, drains the worker, or SIGTERM does; then resolves, and the process has 4 s to end by itself.
 *
 * `--once HANDLER [JSON]` on the command line calls one handler, prints its result and exits.
 */
export async function run(): Promise<void> {
  const names = [...handlers.keys()];
  if (names.length < 1 || names.length > 256) {
    process.stderr.write(`windlass-worker: 1 to 256 handlers are needed, and there are ${names.length}\n`);
    process.exit(EXIT_CONFIG);
  }
  if (process.argv[2] === "--once") await once(process.argv.slice(3));
  if (process.env.WINDLASS_IPC === undefined && isatty(0)) {
    process.stderr.write(
      `This is a Windlass worker with the handlers ${names.join(", ")}: an agent starts it, as [[pool]] says.\n` +
        `To try one here:  node ${process.argv[1]} --once ${names[0]} '"its input, as JSON"'\n`,
    );
    process.exit(2);
  }
  await serve(new Pipe());
}

async function serve(pipe: Pipe): Promise<void> {
  const features = ["started", "recall", "cancel"];
  if ([...handlers.values()].some((handler) => handler.validate)) features.push("validate");
  // What is to be said waits for the next job's `started`, if there is a next: both are one write.
  let said = frames.frame({ type: "hello", protocol: 1, handlers: [...handlers.keys()], features });
  for (;;) {
    const ctx = pipe.take();
    if (!ctx) {
      if (said) pipe.write(said);
      said = "";
      if (!(await pipe.wait())) break;
    } else if (ctx.frame.cancelled) {
      said += frames.stopped(ctx.frame.id);
    } else if (ctx.frame.type === "validate") {
      said += await check(ctx);
    } else {
      pipe.write(said + frames.frame({ type: "started", id: ctx.frame.id }));
      said = await answer(ctx);
      await pipe.turn();
    }
  }
  if (pipe.leaving) pipe.write(frames.frame({ type: "bye", reason: "drained" }));
  pipe.close();
}

async function answer(ctx: Context): Promise<string> {
  const handler = handlers.get(ctx.handler);
  if (!handler) return unknown(ctx);
  try {
    return frames.result(ctx.frame.id, await handler.call(ctx, input(ctx.frame)));
  } catch (err) {
    return frames.failure(ctx, err);
  }
}

async function check(ctx: Context): Promise<string> {
  const handler = handlers.get(ctx.handler);
  if (!handler) return unknown(ctx);
  const id = ctx.frame.id;
  if (!handler.validate) return frames.refused(id, "VALIDATE_UNSUPPORTED", `the handler ${ctx.handler} has no validate`);
  try {
    await handler.validate(ctx, input(ctx.frame));
    return frames.frame({ type: "valid", id });
  } catch (err) {
    return frames.refused(id, frames.codeOf(err), frames.text(err));
  }
}

function input(frame: Frame): unknown {
  return frame.input_base64 === undefined ? frame.input ?? null : Buffer.from(frame.input_base64, "base64");
}

function unknown(ctx: Context): string {
  const only = frames.cut([...handlers.keys()].join(", "), 1024);
  return frames.refused(ctx.frame.id, "UNKNOWN_HANDLER", `no handler ${ctx.handler} here, only ${only}`);
}

/** Calls one handler as an agent would, and exits: 0 and its result alone on standard output, or 1. */
async function once(args: string[]): Promise<never> {
  const [, out] = takeDescriptors();
  const [handler, json] = args;
  if (handler === undefined || args.length > 2) return die("usage: --once HANDLER [JSON]");
  let input: unknown;
  try {
    input = JSON.parse(json ?? "null");
  } catch (err) {
    return die(`the input is no JSON: ${frames.text(err)}\ntext needs both kinds of quotes: '"text"'`);
  }
  const job = { job_id: "00000000-0000-7000-8000-000000000000", attempt: 1, fencing_token: "1" };
  const ctx = new Context({ type: "job", id: 1, handler, input, ...job }, (said) => console.error(frames.line(said).slice(1, -1)));
  const said = JSON.parse((await answer(ctx)).slice(1));
  if (said.type === "error") return die(said.stack ?? `error: ${said.message} ${JSON.stringify(said)}`);
  const data = said.value_base64 === undefined ? JSON.stringify(said.value) + "\n" : Buffer.from(said.value_base64, "base64");
  fs.writeFileSync(out, data);
  process.exit(0);
}
