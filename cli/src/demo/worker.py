import json, sys, time  # a whole worker; what it says and hears is explained in docs/worker-protocol.md
def say(**message): sys.stdout.write("\x1e" + json.dumps(message) + "\n"); sys.stdout.flush()
def upper(text):
    if not isinstance(text, str): raise TypeError(f"upper takes a string, not {type(text).__name__}")
    return text.upper()
def sleep(seconds): time.sleep(seconds); return seconds
def fail(message): raise Exception(message)
handlers = {"upper": upper, "sleep": sleep, "fail": fail}
say(type="hello", protocol=1, handlers=list(handlers))
for frame in map(json.loads, sys.stdin.buffer):
    if frame["type"] == "ping": say(type="pong", n=frame["n"])
    if frame["type"] == "bye": break
    if frame["type"] != "job": continue
    try: say(type="result", id=frame["id"], value=handlers[frame["handler"]](frame.get("input")))
    except Exception as err: say(type="error", id=frame["id"], message=str(err), retryable=not isinstance(err, TypeError))
