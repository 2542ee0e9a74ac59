package worker

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHelloNamesAllHandlersAndFeatures(t *testing.T) {
	t.Parallel()
	hello := start(t).hello
	same(t, hello["features"], []string{"started", "recall", "cancel", "validate"})
	same(t, hello["handlers"].([]any)[:3], []string{"echo", "root", "prints"})
	same(t, hello["protocol"], 1)
}

func TestValuesOfEveryShapeComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	p := start(t)
	for id, value := range []any{nil, true, 0, -1.5, "héllo \u2028 ☃ 😀\n\x1e <&>", []any{}, object{"a": []any{object{"b": nil}}}} {
		same(t, p.call(id, "echo", value), gave(id, value))
	}
	same(t, p.call(90, "returns", "html"), gave(90, "<é>"))
	same(t, p.call(91, "returns", "invalid"), gave(91, "\uFFFD"))
}

func TestBytesGoBothWaysWithTheirType(t *testing.T) {
	t.Parallel()
	p := start(t)
	png := object{"input_base64": "AP8=", "content_type": "image/png"}
	same(t, p.call(1, "length", nil, png), gave(1, []any{2, "image/png"}))
	same(t, p.call(2, "length", "é"), gave(2, []any{4, "application/json"}))
	data := func(id int, text, kind string) object {
		return object{"type": "result", "id": id, "value_base64": text, "content_type": kind}
	}
	same(t, p.call(3, "returns", "bytes"), data(3, "/wA=", "application/octet-stream"))
	same(t, p.call(4, "returns", "png"), data(4, "iVBORw==", "image/png"))
	same(t, p.call(5, "returns", "none"), data(5, "", "application/octet-stream"))
	said := p.call(6, "root", nil, png)
	same(t, []any{said["code"], said["retryable"], said["message"]}, []any{"BAD_INPUT", false, "the handler takes JSON, not image/png"})
}

func TestAResultAtTheLimitPassesAndOneByteMoreIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	p := start(t)
	same(t, len(p.call(1, "returns", "most")["value"].(string))+2, 262_144)
	data, err := base64.StdEncoding.DecodeString(p.call(2, "returns", "many")["value_base64"].(string))
	same(t, []any{len(data), err}, []any{262_144, nil})
	for name, size := range map[string]int{"more": 262_145, "too many": 262_145} {
		said := p.call(3, "returns", name)
		message := fmt.Sprintf("the result is %d bytes, the limit is 262144: store it elsewhere and return its address", size)
		same(t, said, object{"type": "error", "id": 3, "code": "RESULT_TOO_LARGE", "retryable": false, "message": message})
	}
	same(t, p.call(4, "echo", strings.Repeat("é", 131_071)), gave(4, strings.Repeat("é", 131_071)))
}

func TestWhatIsNoJSONIsAnErrorThatNoRetryMends(t *testing.T) {
	t.Parallel()
	p := start(t)
	for id, name := range []string{"chan", "long type"} {
		said := p.call(id, "returns", name)
		same(t, []any{said["code"], said["retryable"]}, []any{"RESULT_NOT_JSON", false})
	}
	said := p.call(9, "root", "text")
	same(t, []any{said["code"], said["retryable"]}, []any{"BAD_INPUT", false})
}

func TestFramesArriveWholeHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, b := range []byte(`{"type":"job","id":1,"handler":"echo","input":"é","job_id":"j","attempt":1,"fencing_token":"1"}` + "\n") {
		p.raw(string([]byte{b}))
	}
	p.expect(begun(1), gave(1, "é"))
	p.send(job(2, "echo", 2), job(3, "echo", 3), job(4, "echo", 4))
	p.expect(begun(2), gave(2, 2), begun(3), gave(3, 3), begun(4), gave(4, 4))
}

func TestWhatItDoesNotKnowItIgnores(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(object{"type": "new", "id": 1}, object{"type": "recall", "id": 7}, object{"type": "cancel", "id": 7}, object{})
	same(t, p.call(1, "echo", 1, object{"new": []int{1}}), gave(1, 1))
	said := p.call(2, "nobody", 1)
	same(t, []any{said["code"], said["retryable"]}, []any{"UNKNOWN_HANDLER", false})
}

func TestValidateChecksAndDoesNotRun(t *testing.T) {
	t.Parallel()
	p, validate := start(t), object{"type": "validate"}
	p.send(job(1, "root", 4, validate), job(2, "root", -4, validate), job(3, "root", "x", validate), job(4, "dies", 1, validate))
	p.expect(object{"type": "valid", "id": 1})
	p.expect(object{"type": "error", "id": 2, "message": "must be positive", "code": "NEGATIVE", "retryable": false})
	said := p.next()
	same(t, []any{said["code"], said["retryable"]}, []any{"BAD_INPUT", false})
	p.expect(object{"type": "valid", "id": 4})
}

func TestEachKindOfFailureSaysWhatToMakeOfIt(t *testing.T) {
	t.Parallel()
	p := start(t)
	fails := func(how string) object { return p.call(1, "fails", how) }
	failed := func(more object) object {
		more["type"], more["id"] = "error", 1
		return more
	}
	same(t, fails("code"), failed(object{"message": "no such image", "code": "E404"}))
	same(t, fails("never"), failed(object{"message": "wrapped: broken", "retryable": false}))
	same(t, fails("later"), failed(object{"message": "slow down", "retry_after_ms": 1500, "cooldown_key": "upstream"}))
	same(t, fails("plain"), failed(object{"message": "plain"}))
	same(t, len(fails("long")["message"].(string)), 8192)
	said := fails("panic")
	if stack, _ := said["stack"].(string); !strings.Contains(stack, "worker_test.go") || len(stack) > 8192 {
		t.Fatalf("the stack does not name the place: %s", stack)
	}
	same(t, []any{said["message"], said["code"], said["retryable"]}, []any{"out of páper", "panic", nil})
	same(t, p.call(2, "echo", 2), gave(2, 2))
}

func TestProgressAndLogLinesAreToldWhileTheHandlerRuns(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "tells", nil))
	p.expect(begun(1), object{"type": "progress", "id": 1, "done": 3, "total": 10, "message": "pages"})
	p.expect(object{"type": "progress", "id": 1, "done": 0.5, "message": ""})
	log := func(level, message string, fields object) object {
		return object{"type": "log", "id": 1, "level": level, "message": message, "fields": fields}
	}
	p.expect(log("info", "fetched <a>", object{"ms": 12, "err": "no", "for": "1s"}))
	p.expect(log("warn", strings.Repeat("x", 65_536), object{"dropped": "fields are longer than 65536 bytes"}))
	p.expect(log("debug", "bare", object{"dropped": "json: unsupported type: chan int"}), gave(1, nil))
}

func TestWhatIsPrintedLandsInTheLogAndNeverOnTheProtocol(t *testing.T) {
	t.Parallel()
	p := start(t)
	same(t, p.call(1, "prints", nil), gave(1, ""))
	same(t, p.call(2, "echo", 2), gave(2, 2))
	p.send(object{"type": "bye"})
	same(t, p.end(), 0)
	for _, line := range []string{"printed\n", "forged", "half a line", "raw\n", "from a child\n"} {
		if !strings.Contains(p.logged(), line) {
			t.Errorf("%q is not in the log", line)
		}
	}
	for _, pipe := range p.pipes {
		if pipe == "" || strings.Contains(p.logged(), pipe) {
			t.Errorf("a child inherited %q:\n%s", pipe, p.logged())
		}
	}
}

func TestStartedIsSaidBeforeTheHandlerIsEntered(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "echo", 1), job(2, "dies", nil))
	p.expect(begun(1), gave(1, 1), begun(2))
	same(t, p.end(), -1)
}

func TestAHandlerThatEndsItsGoroutineEndsTheWorkerWithAWord(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "leaves", nil))
	p.expect(begun(1))
	same(t, p.end(), 1)
	p.untilLogged("ended its goroutine")
}

func TestAHandlerSeesItsJob(t *testing.T) {
	t.Parallel()
	p := start(t, "WINDLASS_SCRATCH=/some/where")
	names := []string{"WINDLASS_JOB_ID", "WINDLASS_ATTEMPT", "WINDLASS_FENCING_TOKEN", "TRACEPARENT", "TRACESTATE"}
	trace := object{"traceparent": "00-1-2-01", "tracestate": "a=b", "headers": object{"tenant": "é"}, "timeout_ms": 60_000}
	same(t, p.call(1, "context", names, trace)["value"], object{
		"job": []any{"context", "job", 2, "1152921504606846976", "00-1-2-01", "a=b"}, "headers": object{"tenant": "é"},
		"child": object{"WINDLASS_JOB_ID": "job", "WINDLASS_ATTEMPT": "2", "WINDLASS_FENCING_TOKEN": "1152921504606846976",
			"TRACEPARENT": "00-1-2-01", "TRACESTATE": "a=b"},
		"scratch": "/some/where", "limited": true, "in_time": true, "ended": false,
	})
	bare := p.call(2, "context", names)["value"].(object)
	same(t, []any{len(bare["child"].(object)), bare["headers"], bare["limited"]}, []any{3, nil, false})
}

func TestWhatHasNotStartedIsGivenBackAndWhatHasIsNot(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "waits", nil), job(2, "dies", 2), job(3, "echo", 3))
	p.expect(begun(1))
	recall := func(id int) object { return object{"type": "recall", "id": id} }
	p.send(recall(1), recall(2), recall(2), object{"type": "ping", "n": 5})
	p.expect(recalled(2), object{"type": "pong", "n": 5})
	p.send(object{"type": "cancel", "id": 1})
	p.expect(gave(1, "the job is to stop"), begun(3), gave(3, 3))
}

func TestCancelStopsAHandlerOrKeepsItFromRunning(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "stops", nil), job(2, "dies", nil))
	p.expect(begun(1))
	p.send(object{"type": "cancel", "id": 2}, object{"type": "cancel", "id": 1})
	p.expect(stopped(1), stopped(2))
	p.send(object{"type": "cancel", "id": 2})
	same(t, p.call(3, "context", nil)["value"].(object)["ended"], false)
}

func TestByeEndsItAfterWhatCameBefore(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "blocks", 0.1), job(2, "echo", 2), object{"type": "bye"}, job(3, "dies", 3))
	p.expect(begun(1), gave(1, "slept"), begun(2), gave(2, 2))
	same(t, p.end(), 0)
}

func TestDrainFinishesWhatRunsAndGivesBackTheRest(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "waits", nil), job(2, "dies", 2), job(3, "dies", 3))
	p.expect(begun(1))
	p.send(object{"type": "drain"}, object{"type": "recall", "id": 2}, job(4, "dies", 4))
	p.expect(recalled(2), recalled(3), recalled(4))
	p.send(object{"type": "cancel", "id": 1})
	p.expect(gave(1, "the job is to stop"), object{"type": "bye", "reason": "drained"})
	same(t, p.end(), 0)
}

func TestSigtermFinishesWhatRunsAndBeginsNoMore(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "waits", nil), job(2, "dies", 2))
	p.expect(begun(1))
	p.cmd.Process.Signal(syscall.SIGTERM)
	time.AfterFunc(50*time.Millisecond, func() { p.send(object{"type": "cancel", "id": 1}) }) // no event tells that a signal was taken
	// What waits goes back with the exit: a frame that was not asked for would break the protocol.
	p.expect(gave(1, "the job is to stop"), object{"type": "bye", "reason": "drained"})
	same(t, p.end(), 0)
}

func TestDrainAndSigtermEndAnIdleWorker(t *testing.T) {
	t.Parallel()
	for _, ask := range []func(*peer){
		func(p *peer) { p.send(object{"type": "drain"}) },
		func(p *peer) { p.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		p := start(t)
		ask(p)
		p.expect(object{"type": "bye", "reason": "drained"})
		same(t, p.end(), 0)
	}
}

func TestTheEndOfInputAsksAHandlerToStopAndBeginsNoMore(t *testing.T) {
	t.Parallel()
	idle := start(t)
	idle.in.Close()
	same(t, idle.end(), 0)
	p := start(t)
	p.send(job(1, "waits", nil), job(2, "dies", 2))
	p.expect(begun(1))
	p.in.Close()
	p.expect(gave(1, "the agent is gone"))
	same(t, p.end(), 0)
}

func TestAHandlerThatGoesOnWithoutAnAgentEndsAfter5s(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.send(job(1, "blocks", 60))
	p.expect(begun(1))
	from := time.Now()
	p.in.Close()
	same(t, p.end(), 1)
	if took := time.Since(from); took < 4500*time.Millisecond {
		t.Errorf("it had %s", took)
	}
}

func TestWhatIsNoFrameEndsItWithAWord(t *testing.T) {
	t.Parallel()
	for wrong, word := range map[string]string{"nonsense\n": "what is no frame", strings.Repeat("x", 1<<20+2): "longer than 1048576"} {
		p := start(t)
		p.raw(wrong)
		same(t, p.end(), 1)
		p.untilLogged(word)
	}
}

func TestOncePrintsTheResultAloneOrTellsTheError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args      []string
		code      int
		out, errs string
	}{
		{[]string{"echo", `{"a":"é"}`}, 0, "{\"a\":\"é\"}\n", ""},
		{[]string{"prints"}, 0, "\"\"\n", "printed"},
		{[]string{"returns", `"png"`}, 0, "\x89PNG", ""},
		{[]string{"tells"}, 0, "null\n", `"message":"pages"`},
		{[]string{"fails", `"later"`}, 1, "", `"retry_after_ms":1500`},
		{[]string{"nobody"}, 1, "", "no handler nobody here"},
		{[]string{"echo", "hello"}, 1, "", "both kinds of quotes"},
		{nil, 1, "", "usage: --once HANDLER"},
	} {
		code, out, errs := alone("1", append([]string{"--once"}, c.args...)...)
		same(t, []any{code, out}, []any{c.code, c.out})
		if !strings.Contains(errs, c.errs) {
			t.Errorf("%v says %q", c.args, errs)
		}
	}
}

func TestNoHandlersIsAMatterOfConfiguration(t *testing.T) {
	t.Parallel()
	code, _, errs := alone("bare")
	if code != 78 || !strings.Contains(errs, "1 to 256 handlers") {
		t.Errorf("%d: %s", code, errs)
	}
}

func alone(how string, args ...string) (code int, out, errs string) {
	var said, logged strings.Builder
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "TEST_WORKER="+how), &said, &logged
	cmd.Run()
	return cmd.ProcessState.ExitCode(), said.String(), logged.String()
}

func TestNamesThatCannotBeAreRefusedWhereTheyAreWritten(t *testing.T) {
	for _, name := range []string{"", "a b", strings.Repeat("x", 129), "a\n"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken", name)
				}
			}()
			Handle(name, prints)
		}()
	}
}
