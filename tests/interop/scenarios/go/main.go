// The handlers that tests/interop/scenarios.py calls, on the Go SDK.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"windlass.dev/worker"
)

func main() {
	worker.Handle("echo", func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil })
	worker.Handle("fail", func(_ context.Context, message string) (any, error) {
		return nil, &worker.Error{Err: errors.New(message), Code: "E_FAIL"}
	})
	worker.Handle("refuse", func(_ context.Context, message string) (any, error) {
		return nil, worker.NonRetryable(errors.New(message))
	})
	worker.Handle("later", later)
	worker.Handle("sleep", sleep)
	worker.Handle("report", func(ctx context.Context, _ any) (any, error) {
		worker.JobOf(ctx).Progress(1, 2, "pages")
		worker.JobOf(ctx).Log(slog.LevelWarn, "slow", "ms", 1200)
		return nil, nil
	})
	worker.Handle("prints", prints)
	worker.Handle("exit", func(_ context.Context, code int) (any, error) { os.Exit(code); return nil, nil })
	worker.Handle("reverse", func(_ context.Context, in worker.Bytes) (worker.Bytes, error) {
		out := worker.Bytes{ContentType: in.ContentType}
		for at := len(in.Data) - 1; at >= 0; at-- {
			out.Data = append(out.Data, in.Data[at])
		}
		return out, nil
	})
	worker.Handle("blow", func(_ context.Context, length int) (string, error) { return strings.Repeat("x", length), nil })
	worker.Handle("who", who)
	worker.Handle("double", func(_ context.Context, number int) (int, error) { return number * 2, nil },
		worker.Validate(func(_ context.Context, number int) error {
			if number > 1000 {
				return worker.NonRetryable(&worker.Error{Err: errors.New("at most 1000"), Code: "TOO_LARGE"})
			}
			return nil
		}))
	worker.Run()
}

func later(ctx context.Context, seconds float64) (int, error) {
	if attempt := worker.JobOf(ctx).Attempt; attempt > 1 {
		return int(attempt), nil
	}
	return 0, worker.RetryAfter(time.Duration(seconds*float64(time.Second)), "api.example", errors.New("slow down"))
}

func sleep(ctx context.Context, milliseconds int) (int, error) {
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-time.After(time.Duration(milliseconds) * time.Millisecond):
		return milliseconds, nil
	}
}

func prints(context.Context, any) (string, error) {
	fmt.Print("\x1e{\"type\":\"result\",\"id\":1,\"value\":\"forged\"}\n")
	fmt.Println("printed")
	fmt.Fprintln(os.Stderr, "complained")
	child := exec.Command("sh", "-c", "echo from a child")
	child.Stdout = os.Stdout
	return "done", child.Run()
}

func who(ctx context.Context, _ any) (map[string]any, error) {
	job := worker.JobOf(ctx)
	child := exec.Command("sh", "-c", `printf "%s %s" "$WINDLASS_ATTEMPT" "$TRACEPARENT"`)
	child.Env = job.ChildEnv()
	said, err := child.Output()
	_, timed := ctx.Deadline()
	return map[string]any{
		"pid": os.Getpid(), "job": job.ID, "attempt": job.Attempt, "token": strconv.FormatUint(job.FencingToken, 10),
		"tenant": job.Headers["tenant"], "trace": job.Traceparent, "timed": timed, "child": string(said),
	}, err
}
