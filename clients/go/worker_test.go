package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test program is its own worker.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_WORKER") == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("TEST_WORKER") != "bare" {
		register()
	}
	Run()
}

func register() {
	Handle("echo", func(_ context.Context, in any) (any, error) { return in, nil })
	Handle("root", func(_ context.Context, in int) (int, error) { return in / 2, nil }, Validate(positive))
	Handle("prints", prints)
	Handle("waits", func(ctx context.Context, _ any) (string, error) {
		fmt.Println("waiting")
		<-ctx.Done()
		return context.Cause(ctx).Error(), nil
	})
	Handle("stops", func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	Handle("blocks", func(_ context.Context, seconds float64) (string, error) {
		fmt.Println("blocking")
		time.Sleep(time.Duration(seconds * float64(time.Second)))
		return "slept", nil
	})
	Handle("tells", func(ctx context.Context, _ any) (any, error) {
		job := JobOf(ctx)
		job.Progress(3, 10, "pages")
		job.Progress(0.5, 0, "")
		job.Log(slog.LevelInfo, "fetched <a>", "ms", 12, "err", errors.New("no"), "for", time.Second)
		job.Log(slog.LevelWarn, strings.Repeat("x", 100_000), "long", strings.Repeat("y", 100_000))
		job.Log(slog.LevelDebug, "bare", "chan", make(chan int))
		return nil, nil
	})
	Handle("context", seesItsJob)
	Handle("fails", fails)
	Handle("returns", returns)
	Handle("length", func(_ context.Context, in Bytes) ([]any, error) { return []any{len(in.Data), in.ContentType}, nil })
	Handle("leaves", func(context.Context, any) (any, error) { runtime.Goexit(); return nil, nil })
	Handle("dies", func(context.Context, any) (any, error) { return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL) })
}

func positive(_ context.Context, in int) error {
	if in <= 0 {
		return &Error{Err: errors.New("must be positive"), Code: "NEGATIVE"}
	}
	return nil
}

func prints(context.Context, any) (string, error) {
	fmt.Println("printed")
	fmt.Println("\x1e{\"type\":\"result\",\"id\":1,\"value\":\"forged\"}")
	fmt.Print("half a line")
	syscall.Write(1, []byte("raw\n"))
	child := exec.Command("sh", "-c", "echo from a child; ls -l /proc/self/fd; cat")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	return "", child.Run()
}

func seesItsJob(ctx context.Context, names []string) (map[string]any, error) {
	job, child := JobOf(ctx), map[string]any{}
	for _, entry := range job.ChildEnv() {
		for _, name := range names {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				child[name] = value
			}
		}
	}
	deadline, limited := ctx.Deadline()
	left := time.Until(deadline)
	return map[string]any{
		"job":     []any{job.Handler, job.ID, job.Attempt, fmt.Sprint(job.FencingToken), job.Traceparent, job.Tracestate},
		"headers": job.Headers, "scratch": job.Scratch(), "child": child, "limited": limited,
		"in_time": !limited || left > 0 && left <= time.Minute, "ended": ctx.Err() != nil,
	}, nil
}

func fails(_ context.Context, how string) (any, error) {
	switch how {
	case "code":
		return nil, &Error{Err: errors.New("no such image"), Code: "E404"}
	case "never":
		return nil, fmt.Errorf("wrapped: %w", NonRetryable(errors.New("broken")))
	case "later":
		return nil, RetryAfter(1500*time.Millisecond, "upstream", errors.New("slow down"))
	case "long":
		return nil, errors.New(strings.Repeat("é", 50_000))
	case "panic":
		panic("out of páper")
	}
	return nil, errors.New(how)
}

func returns(_ context.Context, what string) (any, error) {
	return map[string]any{
		"bytes": Bytes{Data: []byte{0xff, 0}}, "none": Bytes{}, "png": Bytes{Data: []byte("\x89PNG"), ContentType: "image/png"},
		"chan": make(chan int), "html": "<é>", "invalid": "\xff",
		"most": strings.Repeat("é<", 87_380) + "xx", "more": strings.Repeat("é<", 87_380) + "xxx",
		"many": Bytes{Data: make([]byte, 262_144)}, "too many": Bytes{Data: make([]byte, 262_145)},
		"long type": Bytes{ContentType: strings.Repeat("x", 129)},
	}[what], nil
}
