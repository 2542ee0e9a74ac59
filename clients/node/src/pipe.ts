/** The agent's pipes, and what waits in them. @internal */
import * as fs from "node:fs";
import * as net from "node:net";
import { Readable } from "node:stream";
import { Context, type Frame } from "./context";
import * as frames from "./frames";

/** Time a handler has to end when the agent is gone; an agent gives as much after a bye. */
const END_MS = 5_000;
/** A handler that keeps the event loop so long is followed by a turn of it, in which recalls are heard. */
const TURN_MS = 10;

/** Where the agent is: 0 and 1, or what bin/windlass-node says. Whatever is printed from now on is the job's log. */
export function takeDescriptors(): [number, number] {
  const named = /^fd:(\d+),(\d+)$/.exec(process.env.WINDLASS_IPC ?? "");
  delete process.env.WINDLASS_IPC; // not for children
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  return named ? [Number(named[1]), Number(named[2])] : [0, 1];
}

export class Pipe {
  /** Nothing more is begun, and what waits goes back. */
  leaving = false;
  #bye = false;
  #cut = false;
  readonly #queue: Frame[] = [];
  #running?: Context;
  #wake?: () => void;
  #rest = "";
  readonly #in: Readable;
  readonly #out: number;
  #turned = performance.now();

  constructor() {
    const [input, output] = takeDescriptors();
    this.#out = output;
    const file = !fs.fstatSync(input).isFIFO() && !fs.fstatSync(input).isSocket();
    this.#in = file ? fs.createReadStream("", { fd: input }) : new net.Socket({ fd: input, readable: true, writable: false });
    Object.defineProperty(process, "stdin", { value: Readable.from([]), configurable: true });
    this.#in.setEncoding("utf8");
    this.#in.on("data", (data: string) => this.#feed(data));
    this.#in.on("end", () => this.#end());
    this.#in.on("error", () => this.#end());
    process.on("SIGTERM", () => this.#leave());
  }

  /** Returns when the pipe has all of it. */
  write(text: string): void {
    let data = Buffer.from(text);
    while (data.length > 0) {
      try {
        data = data.subarray(fs.writeSync(this.#out, data));
      } catch (err) {
        if ((err as NodeJS.ErrnoException).code !== "EAGAIN") return void (this.#cut = true);
        // Somebody made the pipe non-blocking, and it is full.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
  }

  say = (message: object): void => this.write(frames.line(message));

  /** The next job if one waits, begun from here on: it cannot be recalled any more. */
  take(): Context | undefined {
    const next = this.#cut || this.leaving ? undefined : this.#queue.shift();
    return (this.#running = next && new Context(next, this.say));
  }

  /** Waits until there may be something to take. False: there will be nothing. */
  async wait(): Promise<boolean> {
    const over = () => this.#cut || this.leaving || (this.#bye && this.#queue.length === 0);
    while (this.#queue.length === 0 && !over()) await new Promise<void>((wake) => (this.#wake = wake));
    this.#turned = performance.now();
    return !over();
  }

  /** Hears the agent, if it was not heard for long. */
  async turn(): Promise<void> {
    if (performance.now() - this.#turned < TURN_MS) return;
    // The first may end the turn that we are in; before the second the pipe was looked at.
    for (let i = 0; i < 2; i++) await new Promise((done) => setImmediate(done));
    this.#turned = performance.now();
  }

  close(): void {
    this.#in.destroy();
    // Whatever else holds the process back has as long as an agent gives it.
    setTimeout(() => process.exit(0), END_MS - 1_000).unref();
  }

  #feed(data: string): void {
    const lines = (this.#rest + data).split("\n");
    this.#rest = lines.pop()!;
    if (this.#rest.length > frames.FRAME_BYTES_MAX) die(`the agent sent a frame longer than ${frames.FRAME_BYTES_MAX} bytes`);
    for (const line of lines) {
      if (line) this.#on(parse(line));
    }
    this.#wake?.();
  }

  #on(frame: Frame): void {
    switch (frame.type) {
      case "job":
      case "validate":
        if (this.leaving) this.#giveBack(frame);
        else if (!this.#bye) this.#queue.push(frame);
        return;
      case "recall":
        for (const job of this.#queue.filter((job) => job.id === frame.id)) {
          this.#queue.splice(this.#queue.indexOf(job), 1);
          this.#giveBack(job);
        }
        return;
      case "cancel":
        for (const job of this.#queue) job.cancelled ||= job.id === frame.id;
        if (this.#running?.frame.id === frame.id) this.#running.cancel("the job is to stop");
        return;
      case "ping":
        return this.write(frames.frame({ type: "pong", n: frame.n }));
      case "drain":
        for (const job of this.#queue.splice(0)) this.#giveBack(job);
        return this.#leave();
      case "bye":
        this.#bye = true;
    }
  }

  #giveBack(job: Frame): void {
    this.write(frames.frame({ type: "recalled", id: job.id }));
  }

  #leave(): void {
    this.leaving = true;
    this.#wake?.();
  }

  #end(): void {
    this.#cut = true;
    this.#running?.cancel("the agent is gone");
    this.#wake?.();
    setTimeout(() => process.exit(1), END_MS).unref();
  }
}

function parse(line: string): Frame {
  try {
    const frame: unknown = JSON.parse(line);
    if (typeof frame === "object" && frame !== null && !Array.isArray(frame)) return frame as Frame;
  } catch {
    // as below
  }
  return die("the agent sent what is no frame");
}

export function die(message: string): never {
  process.stderr.write(`windlass-worker: ${message}\n`);
  process.exit(1);
}
