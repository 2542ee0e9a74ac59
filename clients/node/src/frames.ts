/** What is written to the agent: RS, one JSON object, LF. docs/worker-protocol.md has what each means. @internal */
import { Bytes, JobError, type Context } from "./context";

/** Longest frame either way. */
export const FRAME_BYTES_MAX = 1 << 20;
/** Largest result, before base64. */
const RESULT_BYTES_MAX = 256 << 10;
/** Longest message and stack of an error. */
const TEXT_BYTES_MAX = 8 << 10;
/** Longest message of a log line, and all its fields: both fit a frame, whatever must be escaped in them. */
const LINE_BYTES_MAX = 64 << 10;
/** Longest code and media type. */
const NAME_BYTES_MAX = 128;

/** Fields that are undefined are left out. */
export function frame(message: object): string {
  return `\x1e${JSON.stringify(message)}\n`;
}

/** A log or progress frame, cut to what fits. */
export function line(message: { message?: string; fields?: unknown }): string {
  let fields = message.fields;
  try {
    const size = Buffer.byteLength(JSON.stringify(fields) ?? "");
    if (size > LINE_BYTES_MAX) fields = { dropped: `fields are longer than ${LINE_BYTES_MAX} bytes` };
  } catch (err) {
    fields = { dropped: String(err) };
  }
  return frame({ ...message, message: message.message && cut(String(message.message), LINE_BYTES_MAX), fields });
}

/** The answer of a handler that returned. One that cannot be sent becomes an error, which no retry would mend. */
export function result(id: number, value: unknown): string {
  const data = value instanceof Uint8Array ? new Bytes(value) : value;
  if (data instanceof Bytes) {
    if (data.data.byteLength > RESULT_BYTES_MAX) return tooLarge(id, data.data.byteLength);
    if (Buffer.byteLength(data.contentType) > NAME_BYTES_MAX) {
      return refused(id, "RESULT_NOT_JSON", `contentType is longer than ${NAME_BYTES_MAX} bytes`);
    }
    const { buffer, byteOffset, byteLength } = data.data;
    const text = Buffer.from(buffer, byteOffset, byteLength).toString("base64");
    return frame({ type: "result", id, value_base64: text, content_type: data.contentType });
  }
  let body: string | undefined;
  try {
    body = JSON.stringify(value ?? null);
  } catch (err) {
    return refused(id, "RESULT_NOT_JSON", text(err));
  }
  if (body === undefined) return refused(id, "RESULT_NOT_JSON", `a ${typeof value} is no JSON`);
  const size = Buffer.byteLength(body);
  return size > RESULT_BYTES_MAX ? tooLarge(id, size) : `\x1e{"type":"result","id":${id},"value":${body}}\n`;
}

function tooLarge(id: number, size: number): string {
  const message = `the result is ${size} bytes, the limit is ${RESULT_BYTES_MAX}: store it elsewhere and return its address`;
  return refused(id, "RESULT_TOO_LARGE", message);
}

export function refused(id: number, code: string | undefined, message: string): string {
  return frame({ type: "error", id, message: cut(message, TEXT_BYTES_MAX), code: code && cut(code, NAME_BYTES_MAX), retryable: false });
}

export function stopped(id: number): string {
  return frame({ type: "error", id, message: "stopped", code: "cancelled" });
}

/** The answer of a handler that threw. */
export function failure(ctx: Context, err: unknown): string {
  const id = ctx.frame.id;
  if (ctx.cancelled) return stopped(id);
  const own = err instanceof JobError ? err : undefined;
  const name = codeOf(err);
  return frame({
    type: "error",
    id,
    message: cut(text(err), TEXT_BYTES_MAX),
    code: name && cut(name, NAME_BYTES_MAX),
    retryable: own?.retryable === false ? false : undefined,
    retry_after_ms: own?.retryAfter === undefined ? undefined : Math.round(own.retryAfter * 1000),
    cooldown_key: own?.cooldownKey,
    stack: own || !(err instanceof Error) ? undefined : cut(err.stack ?? "", TEXT_BYTES_MAX),
  });
}

/** A JobError's own, a system error's (ENOENT), else the class. */
export function codeOf(err: unknown): string | undefined {
  if (err instanceof JobError) return err.code;
  if (!(err instanceof Error)) return undefined;
  return "code" in err && typeof err.code === "string" ? err.code : err.name;
}

export function text(err: unknown): string {
  return err instanceof Error ? err.message || err.name : String(err);
}

/** The beginning of it, in at most so many bytes, whole characters. */
export function cut(text: string, most: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text;
  let end = most;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
