/** What a handler is given, what it may answer, and how it may fail. */
import { tmpdir } from "node:os";

/** What the agent sends: docs/worker-protocol.md. @internal */
export interface Frame {
  type: string;
  id: number;
  n?: number;
  handler: string;
  input?: unknown;
  input_base64?: string;
  content_type?: string;
  job_id: string;
  attempt: number;
  fencing_token: string;
  timeout_ms?: number;
  traceparent?: string;
  tracestate?: string;
  headers?: Record<string, string>;
  /** By us: before its turn. */
  cancelled?: boolean;
}

/** A result that is no JSON. A plain `Uint8Array` does as well, as application/octet-stream. */
export class Bytes {
  constructor(readonly data: Uint8Array, readonly contentType = "application/octet-stream") {}
}

/** A failure, with what the scheduler should make of it. `code` is the handler's own name for it, up to 128 bytes. */
export class JobError extends Error {
  override name = "JobError";
  retryable = true;
  /** Seconds. */
  retryAfter?: number;
  /** The upstream that wants the pause. */
  cooldownKey?: string;
  constructor(message: string, readonly code?: string) {
    super(message);
  }
}

/** Trying again cannot help: ends the job, whatever its retry policy. */
export class NonRetryable extends JobError {
  override retryable = false;
}

/** Try again in so many seconds, in place of the policy's next delay. `cooldownKey` (up to 128 bytes): the upstream that wants the pause. */
export class RetryAfter extends JobError {
  constructor(seconds: number, message = `try again in ${seconds} s`, cooldownKey?: string, code?: string) {
    super(message, code);
    if (!(seconds >= 0 && seconds < Infinity)) throw new RangeError(`seconds must be 0 or more, not ${seconds}`);
    if (cooldownKey !== undefined && !(cooldownKey && Buffer.byteLength(cooldownKey) <= 128)) {
      throw new RangeError("cooldownKey must have 1 to 128 bytes");
    }
    this.retryAfter = seconds;
    this.cooldownKey = cooldownKey;
  }
}

export type Level = "debug" | "info" | "warn" | "error";

/** The job that runs. */
export class Context {
  readonly handler: string;
  readonly jobId: string;
  /** Which try at the job this is, from 1. */
  readonly attempt: number;
  /** The input's media type; unless it is application/json, the input is a Buffer. */
  readonly contentType: string;
  /** What the submitter passed on beside the input. */
  readonly headers: Readonly<Record<string, string>>;
  /** The submitter's W3C trace context. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** @internal */
  readonly frame: Frame;
  readonly #began = Date.now();
  #abort?: AbortController;
  #cancelled?: Error;

  /** @internal */
  constructor(frame: Frame, private readonly say: (message: object) => void) {
    this.frame = frame;
    this.handler = frame.handler;
    this.jobId = frame.job_id;
    this.attempt = frame.attempt;
    this.contentType = frame.content_type ?? "application/json";
    this.headers = frame.headers ?? {};
    this.traceparent = frame.traceparent;
    this.tracestate = frame.tracestate;
  }

  /** Grows with every attempt in the cluster: pass it on to whatever is shared, which refuses lower ones. */
  get fencingToken(): bigint {
    return BigInt(this.frame.fencing_token);
  }
  /** A directory to work in: the worker's own, emptied when the worker starts; else the system's for temporary files. */
  get scratch(): string {
    return process.env.WINDLASS_SCRATCH || tmpdir();
  }
  /** When the job is stopped; undefined: it has no time limit. */
  get deadline(): Date | undefined {
    return this.frame.timeout_ms === undefined ? undefined : new Date(this.#began + this.frame.timeout_ms);
  }
  /** Whether the handler is to stop: somebody cancelled the job, its time is up, or the agent is gone. */
  get cancelled(): boolean {
    return this.#cancelled !== undefined;
  }
  /** Aborted then. For fetch, timers, child processes. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#cancelled) this.#abort.abort(this.#cancelled);
    return this.#abort.signal;
  }
  /** @internal */
  cancel(why: string): void {
    this.#cancelled ??= new JobError(why, "cancelled");
    this.#abort?.abort(this.#cancelled);
  }

  /** Says how far the job is. */
  progress(done?: number, total?: number, message?: string): void {
    this.say({ type: "progress", id: this.frame.id, done, total, message });
  }
  /** A line in the job's log, with fields. */
  log(message: string, fields?: Record<string, unknown>, level: Level = "info"): void {
    this.say({ type: "log", id: this.frame.id, level, message, fields });
  }
  /** The environment for a program that works for this job: it can see which job, and carries the trace on. */
  childEnv(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      WINDLASS_JOB_ID: this.jobId,
      WINDLASS_ATTEMPT: String(this.attempt),
      WINDLASS_FENCING_TOKEN: this.frame.fencing_token,
      ...(this.traceparent && { TRACEPARENT: this.traceparent }),
      ...(this.tracestate && { TRACESTATE: this.tracestate }),
    };
  }
}
