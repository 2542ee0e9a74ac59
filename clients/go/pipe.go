package worker

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// endWithin is the time a handler has to end when the agent is gone; an agent gives as much after a bye.
const endWithin = 5 * time.Second

// pipe has both directions. A goroutine reads all the time, so that recalls and cancels are heard while a handler runs.
type pipe struct {
	out     *os.File
	writing sync.Mutex

	mu      sync.Mutex
	changed *sync.Cond
	queue   []*frame
	running *Job
	leaving bool // nothing more is begun, and what waits goes back
	bye     bool // nothing more will come
	cut     bool // nobody is there
}

func newPipe() *pipe {
	in, out := takeDescriptors()
	p := &pipe{out: out}
	p.changed = sync.NewCond(&p.mu)
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	go func() {
		for range terms {
			p.change(func() { p.leaving = true })
		}
	}()
	go p.read(in)
	return p
}

func (p *pipe) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	p.changed.Broadcast()
}

func (p *pipe) write(frames []byte) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if _, err := p.out.Write(frames); err != nil {
		p.change(func() { p.cut = true })
	}
}

// take is the next job if one waits, begun from here on: it cannot be recalled any more.
func (p *pipe) take() *Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = nil
	if !p.cut && !p.leaving && len(p.queue) > 0 {
		p.running = newJob(p.queue[0], p.write)
		p.queue = p.queue[1:]
	}
	return p.running
}

// wait waits until there is something to take. False: there will be nothing.
func (p *pipe) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.cut && !p.leaving && len(p.queue) == 0 {
		if p.bye {
			return false
		}
		p.changed.Wait()
	}
	return !p.cut && !p.leaving
}

func (p *pipe) read(in *os.File) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), frameBytesMax+1)
	for lines.Scan() {
		f := &frame{}
		if err := json.Unmarshal(lines.Bytes(), f); err != nil {
			die("the agent sent what is no frame: %v", err)
		}
		p.on(f)
	}
	if lines.Err() == bufio.ErrTooLong {
		die("the agent sent a frame longer than %d bytes", frameBytesMax)
	}
	p.change(func() {
		p.cut = true
		if p.running != nil {
			p.running.cancel(ErrAgentGone)
		}
	})
	time.Sleep(endWithin)
	os.Exit(1)
}

func (p *pipe) on(f *frame) {
	var back []*frame
	switch f.Type {
	case "job", "validate":
		p.change(func() {
			if p.leaving {
				back = append(back, f)
			} else if !p.bye {
				p.queue = append(p.queue, f)
			}
		})
	case "recall", "drain":
		p.change(func() {
			p.leaving = p.leaving || f.Type == "drain"
			var stay []*frame
			for _, job := range p.queue {
				if p.leaving || job.ID == f.ID {
					back = append(back, job)
				} else {
					stay = append(stay, job)
				}
			}
			p.queue = stay
		})
	case "cancel":
		p.change(func() {
			for _, job := range p.queue {
				job.cancelled = job.cancelled || job.ID == f.ID
			}
			if p.running != nil && p.running.frame.ID == f.ID {
				p.running.cancel(ErrCancelled)
			}
		})
	case "ping":
		p.write(said(map[string]any{"type": "pong", "n": f.N}))
	case "bye":
		p.change(func() { p.bye = true })
	}
	for _, job := range back {
		p.write(number("recalled", job.ID))
	}
}

// takeDescriptors makes private copies of fds 0 and 1, which no child inherits. 0 becomes /dev/null and 1 becomes 2: whatever is printed
// is the job's log.
func takeDescriptors() (in, out *os.File) {
	private := func(fd int) int {
		syscall.ForkLock.RLock() // no child is made between the copy and its flag
		defer syscall.ForkLock.RUnlock()
		taken, err := syscall.Dup(fd)
		if err != nil {
			die("file descriptor %d cannot be copied: %v", fd, err)
		}
		syscall.CloseOnExec(taken)
		return taken
	}
	in, out = os.NewFile(uintptr(private(0)), "agent"), os.NewFile(uintptr(private(1)), "agent")
	null, err := os.Open(os.DevNull)
	if err == nil {
		err = dup2(int(null.Fd()), 0)
		null.Close()
	}
	if err == nil {
		err = dup2(2, 1)
	}
	if err != nil {
		die("file descriptors 0 and 1 cannot be replaced: %v", err)
	}
	return in, out
}

func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "worker: "+format+"\n", args...)
	os.Exit(1)
}

func isTerminal(fd uintptr) bool {
	var state [256]byte // no struct termios is larger
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, uintptr(getTermios), uintptr(unsafe.Pointer(&state)))
	return errno == 0
}
