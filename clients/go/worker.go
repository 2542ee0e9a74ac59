// Package worker makes workers for Windlass pools: functions that an agent calls by name.
//
//	func main() {
//		worker.Handle("greet", func(ctx context.Context, in In) (Out, error) { return Out{Hello: in.Name}, nil })
//		worker.Run()
//	}
//
// worker.go has what a program calls, job.go what a handler sees, errors.go how it fails, frames.go what is written to the agent,
// pipe.go the agent's pipes and what waits in them, serve.go the loop.
package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Bytes is an input or a result that is no JSON. A handler that takes Bytes gets JSON too, as it came.
type Bytes struct {
	Data        []byte
	ContentType string // empty: application/octet-stream
}

// Option changes what a handler does beside being called.
type Option[In any] func(*options[In])

type options[In any] struct {
	validate func(context.Context, In) error
}

// Validate makes check say whether the handler would take an input, without doing the work. An input that cannot be decoded into In is
// refused without it.
func Validate[In any](check func(context.Context, In) error) Option[In] {
	return func(o *options[In]) { o.validate = check }
}

type handler struct {
	call     func(context.Context, *frame) (any, error)
	validate func(context.Context, *frame) error
}

var (
	handlers = map[string]handler{}
	names    []string
	nameable = regexp.MustCompile(`\A[a-zA-Z0-9._-]{1,128}\z`)
)

// Handle makes call the handler of this name. It runs one job at a time. ctx ends when the job is to stop; JobOf(ctx) is the job.
//
// It panics where the name is not 1 to 128 of [a-zA-Z0-9._-], or taken.
func Handle[In, Out any](name string, call func(ctx context.Context, in In) (Out, error), opts ...Option[In]) {
	if _, taken := handlers[name]; taken || !nameable.MatchString(name) {
		panic(fmt.Sprintf("worker: a handler's name is 1 to 128 of [a-zA-Z0-9._-] and there once, not %q", name))
	}
	var o options[In]
	for _, opt := range opts {
		opt(&o)
	}
	names = append(names, name)
	handlers[name] = handler{
		call: func(ctx context.Context, f *frame) (any, error) {
			in, err := input[In](f)
			if err != nil {
				return nil, err
			}
			return call(ctx, in)
		},
		validate: func(ctx context.Context, f *frame) error {
			in, err := input[In](f)
			if err != nil || o.validate == nil {
				return err
			}
			return o.validate(ctx, in)
		},
	}
}

func input[In any](f *frame) (in In, err error) {
	if raw, ok := any(&in).(*Bytes); ok {
		raw.ContentType, raw.Data = f.ContentType, f.InputBase64
		if f.ContentType == "" {
			raw.ContentType, raw.Data = "application/json", f.Input
		}
		return in, nil
	}
	if f.ContentType != "" {
		err = fmt.Errorf("the handler takes JSON, not %s", f.ContentType)
	} else if len(f.Input) > 0 {
		err = json.Unmarshal(f.Input, &in)
	}
	if err != nil {
		err = &Error{Err: err, Code: "BAD_INPUT", Permanent: true}
	}
	return in, err
}

// Run answers the agent's calls until it says bye, drains the worker, or SIGTERM does: it finishes what runs, begins nothing more, and
// returns. `--once HANDLER [JSON]` on the command line calls one handler, prints its result and exits.
func Run() {
	if len(names) < 1 || len(names) > 256 {
		fmt.Fprintf(os.Stderr, "worker: 1 to 256 handlers are needed, and there are %d\n", len(names))
		os.Exit(78) // until the configuration changes, an agent does not start it again
	}
	if len(os.Args) > 1 && os.Args[1] == "--once" {
		once(os.Args[2:])
	}
	if isTerminal(0) {
		fmt.Fprintf(os.Stderr, "This is a Windlass worker with the handlers %s: an agent starts it, as [[pool]] says.\n"+
			"To try one here:  %s --once %s '\"its input, as JSON\"'\n", strings.Join(names, ", "), os.Args[0], names[0])
		os.Exit(2)
	}
	serve(newPipe())
}

// once calls one handler as an agent would: exit code 0 and its result alone on standard output, or 1.
func once(args []string) {
	_, out := takeDescriptors()
	fail := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		os.Exit(1)
	}
	if len(args) < 1 || len(args) > 2 {
		fail("usage: --once HANDLER [JSON]")
	}
	f := &frame{ID: 1, Type: "job"}
	f.Job = Job{Handler: args[0], ID: "00000000-0000-7000-8000-000000000000", Attempt: 1, FencingToken: 1}
	if len(args) == 2 {
		if f.Input = json.RawMessage(args[1]); !json.Valid(f.Input) {
			fail("the input is no JSON: text needs both kinds of quotes: '\"text\"'")
		}
	}
	job := newJob(f, func(said []byte) { os.Stderr.Write(said[1:]) })
	var said struct {
		Type, Message, Stack string
		Value                json.RawMessage
		Data                 []byte `json:"value_base64"`
	}
	answer := job.answer()
	json.Unmarshal(answer[1:], &said)
	if said.Type == "error" {
		fail("error: %s %s%s", said.Message, bytes.TrimSpace(answer[1:]), said.Stack)
	}
	if said.Data != nil {
		out.Write(said.Data)
	} else {
		out.Write(append(said.Value, '\n'))
	}
	os.Exit(0)
}
