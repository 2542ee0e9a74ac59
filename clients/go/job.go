package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Job is the job that runs. Its methods may be called from any goroutine.
type Job struct {
	Handler      string
	ID           string `json:"job_id"`
	Attempt      int    // which try at it this is, from 1
	FencingToken uint64 `json:"fencing_token,string"` // grows with every attempt in the cluster: whatever is shared refuses lower ones
	Headers      map[string]string
	Traceparent  string // the submitter's W3C trace context
	Tracestate   string

	frame  *frame
	ctx    context.Context
	cancel context.CancelCauseFunc
	say    func([]byte)
}

type jobKey struct{}

// JobOf is the job that a handler's context belongs to; without one, an empty job that says nothing to nobody.
func JobOf(ctx context.Context) *Job {
	if job, ok := ctx.Value(jobKey{}).(*Job); ok {
		return job
	}
	return &Job{frame: &frame{}, say: func([]byte) {}}
}

// jobContext knows its deadline and has no timer: what ends it is the agent's word, so that a job whose time is up is never taken for one
// that failed a moment before.
type jobContext struct {
	context.Context
	deadline time.Time
	job      *Job
}

func (c *jobContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *jobContext) Value(key any) any {
	if key == (jobKey{}) {
		return c.job
	}
	return c.Context.Value(key)
}

func newJob(f *frame, say func([]byte)) *Job {
	job := &f.Job
	job.frame, job.say = f, say
	ctx, cancel := context.WithCancelCause(context.Background())
	own := &jobContext{Context: ctx, job: job}
	if f.TimeoutMS > 0 {
		own.deadline = time.Now().Add(time.Duration(f.TimeoutMS) * time.Millisecond)
	}
	job.ctx, job.cancel = own, cancel
	return job
}

// Scratch is a directory to work in: the worker's own, emptied when the worker starts; else the system's for temporary files.
func (j *Job) Scratch() string {
	if own := os.Getenv("WINDLASS_SCRATCH"); own != "" {
		return own
	}
	return os.TempDir()
}

// Progress says how far the job is. A total of 0 is left out.
func (j *Job) Progress(done, total float64, message string) {
	j.say(line("progress", map[string]any{"id": j.frame.ID, "done": done, "message": message}, "total", total))
}

// Log is a line in the job's log, with fields as slog has them: keys and values in turn, or slog.Attrs.
func (j *Job) Log(level slog.Level, message string, args ...any) {
	record := slog.NewRecord(time.Time{}, level, message, 0)
	record.Add(args...)
	fields := map[string]any{}
	record.Attrs(func(attr slog.Attr) bool {
		fields[attr.Key] = plain(attr.Value)
		return true
	})
	name := strings.ToLower(level.String())
	j.say(line("log", map[string]any{"id": j.frame.ID, "level": name, "message": message}, "fields", fields))
}

func plain(value slog.Value) any {
	switch value = value.Resolve(); value.Kind() {
	case slog.KindGroup, slog.KindDuration:
		return value.String()
	case slog.KindAny:
		if err, ok := value.Any().(error); ok {
			return err.Error()
		}
	}
	return value.Any()
}

// ChildEnv is the environment for a program that works for this job: it can see which job, and carries the trace on.
func (j *Job) ChildEnv() []string {
	env := append(os.Environ(), "WINDLASS_JOB_ID="+j.ID, fmt.Sprint("WINDLASS_ATTEMPT=", j.Attempt),
		fmt.Sprint("WINDLASS_FENCING_TOKEN=", j.FencingToken))
	for name, value := range map[string]string{"TRACEPARENT": j.Traceparent, "TRACESTATE": j.Tracestate} {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
