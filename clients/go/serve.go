package worker

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
)

func serve(p *pipe) {
	features := []string{"started", "recall", "cancel", "validate"}
	// What is to be said waits for the next job's `started`, if there is a next: both are one write.
	out := said(map[string]any{"type": "hello", "protocol": 1, "handlers": names, "features": features})
	for going := true; going; {
		switch job := p.take(); {
		case job == nil:
			if len(out) > 0 {
				p.write(out)
			}
			out = nil
			going = p.wait()
		case job.frame.cancelled:
			out = append(out, job.stopped()...)
		case job.frame.Type == "validate":
			out = append(out, job.check()...)
		default:
			p.write(append(out, number("started", job.frame.ID)...))
			out = job.answer()
		}
	}
	p.mu.Lock()
	leaving := p.leaving
	p.mu.Unlock()
	if leaving {
		p.write(said(map[string]any{"type": "bye", "reason": "drained"}))
	}
}

// answer runs the handler; it is the frame that ends the job.
func (j *Job) answer() []byte {
	return j.guarded(func(h handler) []byte {
		value, err := h.call(j.ctx, j.frame)
		if err == nil {
			return result(j.frame.ID, value)
		}
		if context.Cause(j.ctx) != nil {
			return j.stopped()
		}
		return failure(j.frame.ID, err, "")
	})
}

// check is the answer to what is only to be looked at.
func (j *Job) check() []byte {
	return j.guarded(func(h handler) []byte {
		if err := h.validate(j.ctx, j.frame); err != nil {
			refusal := Error{Err: err, Permanent: true}
			if own, ok := err.(*Error); ok {
				refusal.Code = own.Code
			}
			return failure(j.frame.ID, &refusal, "")
		}
		return number("valid", j.frame.ID)
	})
}

func (j *Job) stopped() []byte {
	return failure(j.frame.ID, &Error{Err: fmt.Errorf("stopped"), Code: "cancelled"}, "")
}

// guarded outlives what the handler does to it.
func (j *Job) guarded(call func(handler) []byte) (answer []byte) {
	h, known := handlers[j.frame.Handler]
	if !known {
		only := cut(strings.Join(names, ", "), 1024)
		return refused(j.frame.ID, "UNKNOWN_HANDLER", "no handler %s here, only %s", j.frame.Handler, only)
	}
	returned := false
	defer func() {
		j.cancel(nil) // whatever the handler left behind stops
		if returned {
			return
		}
		panicked := recover()
		if panicked == nil {
			die("the handler %s ended its goroutine, which is the worker's", j.frame.Handler)
		}
		err := &Error{Err: fmt.Errorf("%v", panicked), Code: "panic"}
		answer = failure(j.frame.ID, err, string(debug.Stack()))
	}()
	answer = call(h)
	returned = true
	return answer
}
