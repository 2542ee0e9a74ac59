package worker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// waitMax is the longest wait for what must come: far above what it takes, for machines that do more than this.
const waitMax = 20 * time.Second

type object = map[string]any

// peer plays the agent to a worker over real pipes, by script.
type peer struct {
	*testing.T
	cmd   *exec.Cmd
	in    *os.File
	said  chan object // closed at the end
	hello object
	mu    sync.Mutex
	errs  bytes.Buffer
	stray []string
	// As a listing of /proc/self/fd names the two of the protocol.
	pipes []string
}

func (p *peer) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errs.Write(data)
}

func (p *peer) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errs.String()
}

// start says hello and welcome; what is left of the worker goes with the test.
func start(t *testing.T, env ...string) *peer {
	t.Helper()
	p := &peer{T: t, cmd: exec.Command(os.Args[0]), said: make(chan object, 1000)}
	in, stdin := pipes(t)
	stdout, out := pipes(t)
	p.in = stdin
	for _, pipe := range []*os.File{in, out} {
		name, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", pipe.Fd()))
		p.pipes = append(p.pipes, name)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, p
	p.cmd.Env = append(append(os.Environ(), "TEST_WORKER=1"), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	go p.read(stdout)
	t.Cleanup(func() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("worker's stderr:\n%.2000s", p.logged())
		}
	})
	if p.hello = p.next(); p.hello["type"] != "hello" {
		t.Fatalf("%v came first", p.hello)
	}
	p.send(object{"type": "welcome", "protocol": 1, "pool": "p", "worker": "p-0", "new": 1})
	return p
}

func pipes(t *testing.T) (r, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func (p *peer) read(out *os.File) {
	defer close(p.said)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, frameBytesMax+1)
	for lines.Scan() {
		var frame object
		line, framed := strings.CutPrefix(lines.Text(), "\x1e")
		if !framed || json.Unmarshal([]byte(line), &frame) != nil {
			p.stray = append(p.stray, lines.Text())
			continue
		}
		p.said <- frame
	}
}

func (p *peer) raw(data string) {
	p.Helper()
	if _, err := p.in.WriteString(data); err != nil {
		p.Fatal(err)
	}
}

// send puts all in one write.
func (p *peer) send(frames ...object) {
	p.Helper()
	var out bytes.Buffer
	for _, frame := range frames {
		body, err := json.Marshal(frame)
		if err != nil {
			p.Fatal(err)
		}
		out.Write(append(body, '\n'))
	}
	p.raw(out.String())
}

// next is the next frame; nil: there are no more.
func (p *peer) next() object {
	p.Helper()
	select {
	case frame := <-p.said:
		return frame
	case <-time.After(waitMax):
		p.Fatalf("nothing came; logged: %.2000s", p.logged())
		return nil
	}
}

// expect says that these come next, in this order.
func (p *peer) expect(frames ...object) {
	p.Helper()
	for _, frame := range frames {
		same(p, p.next(), frame)
	}
}

// call puts one job, and is how it ended.
func (p *peer) call(id int, handler string, value any, more ...object) object {
	p.Helper()
	p.send(job(id, handler, value, more...))
	p.expect(begun(id))
	return p.next()
}

func (p *peer) untilLogged(text string) {
	p.Helper()
	for until := time.Now().Add(waitMax); !strings.Contains(p.logged(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			p.Fatalf("%q was not logged: %s", text, p.logged())
		}
	}
}

// end is its exit code, once it has said all; nothing but frames came over the protocol's pipe, and no frame is left.
func (p *peer) end() int {
	p.Helper()
	if last := p.next(); last != nil {
		p.Fatalf("%v came last", last)
	}
	p.cmd.Wait()
	if len(p.stray) > 0 {
		p.Fatalf("not by the protocol: %q", p.stray)
	}
	return p.cmd.ProcessState.ExitCode()
}

// same compares as JSON does, where every number is the same kind.
func same(t testing.TB, have, want any) {
	t.Helper()
	var plain any
	body, _ := json.Marshal(want)
	json.Unmarshal(body, &plain)
	var said any
	body, _ = json.Marshal(have)
	json.Unmarshal(body, &said)
	if !reflect.DeepEqual(said, plain) {
		t.Fatalf("%.500v came in place of %.500v", said, plain)
	}
}

func job(id int, handler string, value any, more ...object) object {
	frame := object{"type": "job", "id": id, "handler": handler, "input": value, "job_id": "job", "attempt": 2,
		"fencing_token": "1152921504606846976"}
	for _, fields := range more {
		for key, field := range fields {
			frame[key] = field
		}
	}
	return frame
}

func begun(id int) object           { return object{"type": "started", "id": id} }
func gave(id int, value any) object { return object{"type": "result", "id": id, "value": value} }
func recalled(id int) object        { return object{"type": "recalled", "id": id} }
func stopped(id int) object {
	return object{"type": "error", "id": id, "message": "stopped", "code": "cancelled"}
}
