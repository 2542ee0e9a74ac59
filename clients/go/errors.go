package worker

import (
	"errors"
	"time"
)

// ErrCancelled is the cause of a handler's context that ended because the job is to stop.
var ErrCancelled = errors.New("the job is to stop")

// ErrAgentGone is the cause where nobody is there any more to take a result: the worker ends 5 s later.
var ErrAgentGone = errors.New("the agent is gone")

// Error is a failure with what the scheduler should make of it. Any other error is one that may be tried again, as the submitter chose.
type Error struct {
	Err         error
	Code        string        // the handler's own name for it, up to 128 bytes
	Permanent   bool          // trying again cannot help: ends the job, whatever its retry policy
	RetryAfter  time.Duration // takes the place of the policy's next delay; 0 leaves that
	CooldownKey string        // the upstream that wants the pause, up to 128 bytes
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// NonRetryable says that trying again cannot help.
func NonRetryable(err error) error { return &Error{Err: err, Permanent: true} }

// RetryAfter asks for the next try so much later. cooldownKey names the upstream that wants the pause, if any.
func RetryAfter(wait time.Duration, cooldownKey string, err error) error {
	return &Error{Err: err, RetryAfter: wait, CooldownKey: cooldownKey}
}
