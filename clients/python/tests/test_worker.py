"""What a worker says to a scripted agent over real pipes."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import unittest

from .peer import PACKAGE, WORKER, Peer, job, result, started


class Answers(unittest.TestCase):
    def test_hello_names_all_handlers_and_features(self):
        with Peer() as peer:
            self.assertEqual(peer.hello["protocol"], 1)
            self.assertEqual(peer.hello["features"], ["started", "recall", "cancel", "validate"])
            self.assertEqual(peer.hello["handlers"][:3], ["echo", "root", "prints"])

    def test_values_of_every_shape_come_back_as_they_went(self):
        with Peer() as peer:
            for number, value in enumerate(
                [None, True, 0, -1.5, 2**53 + 1, "héllo \u2028 ☃ 😀\n\x1e", [], {"a": [{"b": None}]}]
            ):
                self.assertEqual(peer.call(number, "echo", value), result(number, value))
            self.assertEqual(peer.call(90, "echo"), result(90, None))

    def test_bytes_go_both_ways_with_their_type(self):
        with Peer() as peer:
            sent = {"input_base64": base64.b64encode(b"\x00\xff").decode(), "content_type": "image/png"}
            self.assertEqual(peer.call(1, "length", **sent), result(1, ["bytes", 2, "image/png"]))
            for number, kind, data, name in [
                (2, "application/octet-stream", b"\xff\x00", "bytes"),
                (3, "image/png", b"\x89PNG", "png"),
            ]:
                said = {
                    "type": "result",
                    "id": number,
                    "value_base64": base64.b64encode(data).decode(),
                    "content_type": kind,
                }
                self.assertEqual(peer.call(number, "returns", name), said)

    def test_a_result_at_the_limit_passes_and_one_byte_more_is_an_error_that_names_it(self):
        with Peer() as peer:
            self.assertEqual(len(peer.call(1, "returns", "most")["value"].encode()) + 2, 262_144)
            self.assertEqual(len(base64.b64decode(peer.call(2, "returns", "many")["value_base64"])), 262_144)
            for number, name, size in [(3, "more", 262_145), (4, "too many", 262_145)]:
                said = peer.call(number, "returns", name)
                self.assertEqual((said["type"], said["code"], said["retryable"]), ("error", "RESULT_TOO_LARGE", False))
                self.assertIn(f"{size} bytes, the limit is 262144", said["message"])
            self.assertEqual(peer.call(5, "echo", 1), result(5, 1))

    def test_an_input_at_the_limit_arrives_whole(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "length", "é" * 131_071), result(1, ["str", 131_071, "application/json"]))

    def test_what_is_no_json_is_an_error_that_no_retry_mends(self):
        with Peer() as peer:
            for number, name in enumerate(["set", "nan", "circle", "surrogate", "long type"]):
                said = peer.call(number, "returns", name)
                self.assertEqual((said["type"], said["code"], said["retryable"]), ("error", "RESULT_NOT_JSON", False))

    def test_frames_arrive_whole_however_they_are_cut(self):
        with Peer() as peer:
            data = b"".join(json.dumps(job(n, "echo", "é"), ensure_ascii=False).encode() + b"\n" for n in (1, 2))
            for at in range(len(data)):
                peer.raw(data[at : at + 1])
            peer.expect(started(1), result(1, "é"), started(2), result(2, "é"))
            peer.send(job(3, "echo", 3), {"type": "ping", "n": 9}, job(4, "echo", 4))
            said = [peer.next() for _ in range(5)]
            self.assertIn({"type": "pong", "n": 9}, said)
            self.assertEqual([f["id"] for f in said if f["type"] == "result"], [3, 4])

    def test_what_it_does_not_know_it_ignores(self):
        with Peer() as peer:
            peer.send({"type": "new", "id": 1}, {"type": "recall", "id": 7}, {"type": "cancel", "id": 7}, {})
            self.assertEqual(peer.call(1, "echo", 1, new={"a": 1}), result(1, 1))

    def test_an_unknown_handler_is_an_error(self):
        with Peer() as peer:
            said = peer.call(1, "nobody", 1)
            self.assertEqual((said["code"], said["retryable"]), ("UNKNOWN_HANDLER", False))
            self.assertIn("no handler nobody here, only echo, root", said["message"])

    def test_validate_checks_and_does_not_run(self):
        with Peer() as peer:
            peer.send(
                *(
                    {**job(n, name, value), "type": "validate"}
                    for n, name, value in [(1, "root", 4), (2, "root", -4), (3, "root", "x"), (4, "echo", 1)]
                )
            )
            peer.expect({"type": "valid", "id": 1})
            peer.expect(
                {"type": "error", "id": 2, "message": "must be positive", "code": "NEGATIVE", "retryable": False}
            )
            self.assertEqual(
                [(said["code"], said["retryable"]) for said in (peer.next(), peer.next())],
                [("TypeError", False), ("VALIDATE_UNSUPPORTED", False)],
            )
            self.assertEqual(peer.call(5, "root", 4), result(5, 2.0))


class Errors(unittest.TestCase):
    def test_each_kind_of_failure_says_what_to_make_of_it(self):
        with Peer() as peer:
            error = {"type": "error", "id": 1}
            self.assertEqual(peer.call(1, "fails", "code"), {**error, "message": "no such image", "code": "E404"})
            self.assertEqual(peer.call(1, "fails", "never"), {**error, "message": "broken", "retryable": False})
            later = {
                "message": "try again in 1.5 s",
                "code": "E429",
                "retry_after_ms": 1500,
                "cooldown_key": "upstream",
            }
            self.assertEqual(peer.call(1, "fails", "later"), {**error, **later})

    def test_an_exception_is_told_with_its_stack_and_may_be_tried_again(self):
        with Peer() as peer:
            said = peer.call(1, "fails", "plain")
            self.assertEqual((said["message"], said["code"]), ("out of páper", "ValueError"))
            self.assertNotIn("retryable", said)
            self.assertIn("in fails", said["stack"])
            self.assertEqual(peer.call(2, "fails", "silent")["message"], "ValueError")

    def test_a_long_message_and_stack_are_cut(self):
        with Peer() as peer:
            said = peer.call(1, "fails", "long")
            self.assertEqual((len(said["message"]), len(said["stack"])), (8192, 8192))

    def test_a_handler_that_exits_fails_and_the_worker_lives(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "fails", "exit")["code"], "SystemExit")
            self.assertEqual(peer.call(2, "echo", 2), result(2, 2))


class Speaking(unittest.TestCase):
    def test_progress_and_log_lines_are_told_while_the_handler_runs(self):
        with Peer() as peer:
            peer.send(job(1, "tells"))
            peer.expect(started(1), {"type": "progress", "id": 1, "done": 3, "total": 10, "message": "pages"})
            peer.expect({"type": "progress", "id": 1, "message": "most"})
            peer.expect({"type": "log", "id": 1, "level": "info", "message": "fetched", "fields": {"ms": 12}})
            long = peer.next()
            self.assertEqual(
                (len(long["message"]), long["fields"]), (65_536, {"dropped": "fields are longer than 65536 bytes"})
            )
            self.assertIn("keys must be str", peer.next()["fields"]["dropped"])
            peer.expect({"type": "log", "id": 1, "level": "info", "message": "from a thread"}, result(1))

    def test_what_is_printed_lands_in_the_log_and_never_on_the_protocol(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "prints", "flush"), result(1, ""))
            peer.until_logged(b"half a line")
            peer.until_logged(b"half an error")
            self.assertEqual(peer.call(2, "prints"), result(2, ""))
            peer.send({"type": "bye"})
            self.assertEqual(peer.end(), 0)
        for line in (b"printed\n", b'"forged"}\n', b"half a line", b"raw\n", b"from a child\n"):
            self.assertEqual(peer.errors.count(line), 2, line)

    def test_a_fork_cannot_speak_and_dies_of_sigterm(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "forks"), result(1, -signal.SIGTERM))
            self.assertEqual(peer.call(2, "echo", 2), result(2, 2))
            peer.send({"type": "bye"})
            self.assertEqual(peer.end(), 0)

    def test_started_is_said_before_the_handler_is_entered(self):
        with Peer() as peer:
            peer.send(job(1, "echo", 1), job(2, "dies"))
            peer.expect(started(1), result(1, 1), started(2))
            self.assertEqual(peer.end(), -signal.SIGKILL)

    def test_a_handler_sees_its_job(self):
        with Peer(WINDLASS_SCRATCH="/some/where") as peer:
            trace = {"traceparent": "00-1-2-01", "tracestate": "a=b", "headers": {"tenant": "é"}, "timeout_ms": 60_000}
            names = [
                "WINDLASS_JOB_ID",
                "WINDLASS_ATTEMPT",
                "WINDLASS_FENCING_TOKEN",
                "TRACEPARENT",
                "TRACESTATE",
                "PYTHONPATH",
            ]
            value = peer.call(1, "context", names, **trace)["value"]
            self.assertEqual(value["ctx"], ["context", "job-1", 2, 2**60, "application/json", "00-1-2-01", "a=b"])
            self.assertEqual((value["headers"], value["scratch"]), ({"tenant": "é"}, "/some/where"))
            self.assertEqual(
                list(value["child"].values()), ["job-1", "2", str(2**60), "00-1-2-01", "a=b", str(PACKAGE)]
            )
            self.assertTrue(value["in_time"] and not value["cancelled"])
            bare = peer.call(2, "context", ["TRACEPARENT"])["value"]
            self.assertEqual(
                (bare["ctx"][5:], bare["headers"], bare["child"]), ([None, None], {}, {"TRACEPARENT": None})
            )
            self.assertTrue(bare["in_time"])


class Asked(unittest.TestCase):
    """What comes while a handler runs."""

    def test_what_has_not_started_is_given_back_and_what_has_is_not(self):
        with Peer() as peer:
            peer.send(job(1, "waits"), job(2, "echo", 2), job(3, "echo", 3))
            peer.expect(started(1))
            peer.send({"type": "recall", "id": 1}, {"type": "recall", "id": 2}, {"type": "recall", "id": 2})
            peer.expect({"type": "recalled", "id": 2})
            peer.send({"type": "cancel", "id": 1})
            peer.expect(result(1, True), started(3), result(3, 3))
            self.assertEqual(peer.call(4, "echo", 4), result(4, 4))

    def test_a_ping_is_answered_while_a_handler_blocks(self):
        with Peer() as peer:
            peer.send(job(1, "blocks", 60))
            peer.expect(started(1))
            peer.until_logged(b"blocking")
            peer.send({"type": "ping", "n": 5})
            peer.expect({"type": "pong", "n": 5})

    def test_cancel_stops_a_handler_that_looks(self):
        with Peer() as peer:
            peer.send(job(1, "stops"))
            peer.expect(started(1))
            peer.send({"type": "cancel", "id": 1})
            peer.expect({"type": "error", "id": 1, "message": "stopped", "code": "cancelled"})
            self.assertEqual(peer.call(2, "echo", 2), result(2, 2))

    def test_cancel_stops_a_coroutine_where_it_awaits(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "async", 0), result(1, "slept"))
            peer.send(job(2, "async", 60), job(3, "async", 0))
            peer.expect(started(2))
            peer.send({"type": "cancel", "id": 2})
            peer.expect(
                {"type": "error", "id": 2, "message": "stopped", "code": "cancelled"}, started(3), result(3, "slept")
            )

    def test_cancel_stops_a_coroutine_that_has_not_begun(self):
        with Peer() as peer:
            for number, before in [(1, []), (3, [job(2, "async", 0)])]:  # with an event loop that is new, and an old one
                peer.send(*before, job(number, "late", 60))
                peer.expect(*([started(2), result(2, "slept")] if before else []), started(number))
                peer.send({"type": "cancel", "id": number})
                peer.expect({"type": "error", "id": number, "message": "stopped", "code": "cancelled"})
            self.assertEqual(peer.call(4, "async", 0), result(4, "slept"))

    def test_a_coroutine_that_stops_the_event_loop_is_finished_all_the_same(self):
        with Peer() as peer:
            peer.send(job(1, "stops-the-loop", 7), job(2, "async", 0))
            peer.expect(started(1), result(1, 7), started(2), result(2, "slept"))

    def test_cancel_before_its_turn_keeps_a_job_from_running(self):
        with Peer() as peer:
            peer.send(job(1, "waits"), job(2, "dies"))
            peer.expect(started(1))
            peer.send({"type": "cancel", "id": 2}, {"type": "cancel", "id": 1})
            peer.expect(result(1, True), {"type": "error", "id": 2, "message": "stopped", "code": "cancelled"})

    def test_a_cancel_that_comes_late_is_nothing(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "echo", 1), result(1, 1))
            peer.send({"type": "cancel", "id": 1})
            self.assertFalse(peer.call(2, "context")["value"]["cancelled"])

    def test_many_long_and_short_jobs_are_each_answered_once_in_order(self):
        with Peer() as peer:
            for begin in range(0, 300, 30):
                numbers = range(begin, begin + 30)
                peer.send(*(job(n, "blocks", 0.03) if n % 10 == 0 else job(n, "echo", n) for n in numbers))
                for n in numbers:
                    peer.expect(started(n), result(n, "slept" if n % 10 == 0 else n))


class Ending(unittest.TestCase):
    BYE = {"type": "bye", "reason": "drained"}

    def test_bye_ends_it_after_what_came_before(self):
        with Peer() as peer:
            peer.send(job(1, "blocks", 0.1), job(2, "echo", 2), {"type": "bye"}, job(3, "echo", 3))
            peer.expect(started(1), result(1, "slept"), started(2), result(2, 2))
            self.assertEqual(peer.end(), 0)

    def test_drain_finishes_what_runs_and_gives_back_the_rest(self):
        with Peer() as peer:
            peer.send(job(1, "waits"), job(2, "echo", 2), job(3, "echo", 3))
            peer.expect(started(1))
            peer.send({"type": "drain"}, {"type": "recall", "id": 2}, job(4, "echo", 4))
            peer.expect(*({"type": "recalled", "id": n} for n in (2, 3, 4)))
            peer.send({"type": "cancel", "id": 1})
            peer.expect(result(1, True), self.BYE)
            self.assertEqual(peer.end(), 0)

    def test_drain_ends_an_idle_worker(self):
        with Peer() as peer:
            peer.send({"type": "drain"})
            peer.expect(self.BYE)
            self.assertEqual(peer.end(), 0)

    def test_drain_ends_one_that_became_idle_after_a_long_job(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "blocks", 0.1), result(1, "slept"))
            peer.send({"type": "drain"})
            peer.expect(self.BYE)
            self.assertEqual(peer.end(), 0)

    def test_sigterm_finishes_what_runs_and_begins_no_more(self):
        with Peer() as peer:
            peer.send(job(1, "waits"), job(2, "echo", 2))
            peer.expect(started(1))
            peer.process.send_signal(signal.SIGTERM)
            peer.send({"type": "cancel", "id": 1})
            # What waits goes back with the exit: a frame that was not asked for would break the protocol.
            peer.expect(result(1, True), self.BYE)
            self.assertEqual(peer.end(), 0)

    def test_sigterm_ends_an_idle_worker(self):
        for before in ([], [job(1, "blocks", 0.1)]):
            with Peer() as peer:
                peer.send(*before)
                peer.expect(*([started(1), result(1, "slept")] if before else []))
                peer.process.send_signal(signal.SIGTERM)
                peer.expect(self.BYE)
                self.assertEqual(peer.end(), 0)

    def test_the_end_of_input_ends_an_idle_worker(self):
        with Peer() as peer:
            self.assertEqual(peer.call(1, "echo", 1), result(1, 1))
            peer.process.stdin.close()
            self.assertEqual(peer.end(), 0)

    def test_the_end_of_input_asks_a_handler_to_stop_and_begins_no_more(self):
        with Peer() as peer:
            peer.send(job(1, "waits"), job(2, "echo", 2))
            peer.expect(started(1))
            peer.until_logged(b"waiting")
            peer.process.stdin.close()
            peer.expect(result(1, True))
            self.assertEqual(peer.end(), 0)

    def test_a_handler_that_goes_on_without_an_agent_ends_after_5_s(self):
        with Peer() as peer:
            peer.send(job(1, "blocks", 60))
            peer.expect(started(1))
            began = time.monotonic()
            peer.process.stdin.close()
            self.assertEqual(peer.end(), 1)
            self.assertLess(4.5, time.monotonic() - began)

    def test_what_is_no_frame_ends_it_with_a_word(self):
        for before, wrong in [([], b"nonsense\n"), ([job(1, "blocks", 60)], b"[1]\n"), ([], b"x" * (1 << 20) + b"xx")]:
            with Peer() as peer:
                peer.send(*before)
                peer.expect(*(started(1) for _ in before))
                peer.raw(wrong)
                self.assertEqual(peer.end(), 1)
            self.assertRegex(peer.errors, rb"JSONDecodeError|AttributeError|frame longer than 1048576")


class Alone(unittest.TestCase):
    """Without an agent."""

    def once(self, *arguments, **options):
        command = [sys.executable, str(WORKER), "--once", *arguments]
        env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **options)

    def test_once_prints_the_result_alone(self):
        done = self.once("echo", '{"a": "é"}')
        self.assertEqual((done.returncode, done.stdout), (0, '{"a": "é"}\n'.encode()))
        done = self.once("prints")
        self.assertEqual((done.returncode, done.stdout), (0, b'""\n'))
        self.assertIn(b"printed", done.stderr)
        self.assertEqual(self.once("returns", '"png"').stdout, b"\x89PNG")
        self.assertIn(b'"message": "pages"', self.once("tells").stderr)

    def test_once_tells_an_error_and_exits_with_1(self):
        for arguments, said in [
            (("fails", '"plain"'), b"ValueError: out of"),
            (("fails", '"later"'), b'"retry_after_ms": 1500'),
            (("nobody",), b"no handler nobody here"),
            (("echo", "hello"), b"both kinds of quotes"),
            ((), b"usage: --once HANDLER"),
        ]:
            done = self.once(*arguments)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(said, done.stderr)

    def test_at_a_terminal_it_says_how_to_try_it(self):
        ours, its = os.openpty()
        env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        done = subprocess.run(
            [sys.executable, str(WORKER)], stdin=its, stdout=its, stderr=subprocess.PIPE, env=env, timeout=60
        )
        os.close(ours), os.close(its)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"--once echo", done.stderr)

    def test_no_handlers_is_a_matter_of_configuration(self):
        with_none = [sys.executable, "-c", "import windlass_worker; windlass_worker.run()"]
        done = subprocess.run(
            with_none, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, stderr=subprocess.PIPE, timeout=60
        )
        self.assertEqual(done.returncode, 78)
        self.assertIn(b"1 to 256 handlers", done.stderr)

    def test_names_that_cannot_be_are_refused_where_they_are_written(self):
        program = "from windlass_worker import job\njob('a')(print)\nfor name in ['a', '', 'a b', 'x' * 129, 'a\\n']:\n try: job(name)\n except ValueError as err: print(err)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            stdout=subprocess.PIPE,
            timeout=60,
        )
        self.assertEqual(len(done.stdout.splitlines()), 5, done.stdout)


if __name__ == "__main__":
    unittest.main()
