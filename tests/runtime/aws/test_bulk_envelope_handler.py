"""The bulk functions: each object once for each state of its source, failures by place, the report of a run."""

import csv
import io
import json
import re
from types import SimpleNamespace
from unittest.mock import Mock

import fastjsonschema
import pytest
from botocore.exceptions import ClientError

from kms_runtime import KmsKeyring, decrypt_bytes, encrypt_bytes
from kms_runtime.errors import InvalidRequest, ObjectsFailed
from kms_runtime.handlers import bulk_envelope, bulk_report
from kms_runtime.handlers.validation import schema
from kms_runtime.message import AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
from kms_runtime.s3.marked_objects import MARK
from tests.runtime.aws.conftest import FakeS3

CONTEXT = {"department": "archive"}
TIME = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)


class ConditionalS3(FakeS3):
    """An S3 that heeds If-None-Match and If-Match and returns metadata; ``before`` runs before a write, once."""

    before = None

    def head_object(self, **request):
        found = super().head_object(**request)
        attributes = self.attributes.get((request["Bucket"], request["Key"]), {})
        return {**found, "Metadata": attributes.get("Metadata", {})}

    def put_object(self, **request):
        before, self.before = self.before, None
        if before:
            before()
        present = self.objects.get((request["Bucket"], request["Key"]))
        etag = super().head_object(Bucket=request["Bucket"], Key=request["Key"])["ETag"] if present else None
        if (present and "IfNoneMatch" in request) or request.get("IfMatch", etag) != etag:
            raise self._error(412, "PreconditionFailed", "PutObject")
        return super().put_object(**request)


@pytest.fixture
def s3() -> ConditionalS3:
    return ConditionalS3()


@pytest.fixture(autouse=True)
def function(monkeypatch, kms, s3, key_arn):
    monkeypatch.setattr(bulk_envelope, "kms_client", lambda: kms)
    monkeypatch.setattr(bulk_envelope, "s3_client", lambda: s3)
    variables = {
        "KEY_ARN": key_arn, "ENCRYPTION_CONTEXT": json.dumps(CONTEXT),
        "SOURCE_BUCKET": "inbox", "SOURCE_PREFIX": "in/", "DESTINATION_BUCKET": "vault", "DESTINATION_PREFIX": "out/",
        "REPORTS_BUCKET": "reports", "REPORTS_PREFIX": "bulk/", "BATCH_MEMORY_MIB": "1024",
        "PRICES": json.dumps(dict.fromkeys(["call", "put", "get", "child", "gibSecond", "invocation"], 1)),
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def batch(*keys, **more):
    return {"Items": [{"key": key} for key in keys], **more}


def failures(call, event, context=TIME):
    with pytest.raises(ObjectsFailed) as caught:
        call(event, context)
    found = json.loads(str(caught.value))
    fastjsonschema.compile(schema("bulk_envelope/summary"))(found["summary"])
    return [(number, code) for number, code, _reason in found["failures"]], found["summary"]


def test_objects_of_a_batch_are_encrypted_below_the_other_prefix(s3, keyring):
    for key, data in (("in/a b", b"one"), ("in/", b""), ("in/deep/c", bytes(9_000))):
        s3.put("inbox", key, data)
    answer = bulk_envelope.encrypt(batch("in/a b", "in/", "in/deep/c"), TIME)
    fastjsonschema.compile(schema("bulk_envelope/summary"))(answer)
    assert {name: answer[name] for name in ("written", "foundWritten", "bytes", "kmsCalls")} == {
        "written": 3, "foundWritten": 0, "bytes": 9_003, "kmsCalls": 3,
    }  # fmt: skip
    messages = {key: s3.latest("vault", f"out/{key}.encrypted") for key in ("a b", "", "deep/c")}
    opened = {k: decrypt_bytes(m, keyring=keyring, encryption_context=CONTEXT) for k, m in messages.items()}
    assert opened == {"a b": b"one", "": b"", "deep/c": bytes(9_000)}


def test_second_run_finds_everything_written_and_calls_no_kms(s3, kms):
    s3.put("inbox", "in/a", b"one")
    bulk_envelope.encrypt(batch("in/a"), TIME)
    kms.calls.clear()
    again = bulk_envelope.encrypt(batch("in/a"), TIME)
    assert (again["written"], again["foundWritten"], kms.calls) == (0, 1, [])
    assert len(s3.objects["vault", "out/a.encrypted"]) == 1


def test_overwritten_source_replaces_its_destination(s3, keyring):
    s3.put("inbox", "in/a", b"one")
    bulk_envelope.encrypt(batch("in/a"), TIME)
    s3.put("inbox", "in/a", b"two")
    assert bulk_envelope.encrypt(batch("in/a"), TIME)["written"] == 1
    assert decrypt_bytes(s3.latest("vault", "out/a.encrypted"), keyring=keyring, encryption_context=CONTEXT) == b"two"


def test_object_that_no_run_wrote_stays_at_the_destination(s3):
    s3.put("inbox", "in/a", b"one")
    s3.put("vault", "out/a.encrypted", b"somebody's only copy")
    with pytest.raises(ObjectsFailed) as failed:
        bulk_envelope.encrypt(batch("in/a"), TIME)
    assert "DestinationNotOurs" in str(failed.value)
    assert s3.latest("vault", "out/a.encrypted") == b"somebody's only copy"


def test_other_settings_are_not_taken_for_done(s3, monkeypatch, other_key_arn):
    s3.put("inbox", "in/a", b"one")
    bulk_envelope.encrypt(batch("in/a"), TIME)
    monkeypatch.setenv("KEY_ARN", other_key_arn)
    assert bulk_envelope.encrypt(batch("in/a"), TIME)["written"] == 1


def test_source_overwritten_while_it_is_written_ends_in_the_new_content(s3, keyring):
    s3.put("inbox", "in/a", b"one")
    s3.before = lambda: s3.put("inbox", "in/a", b"two")
    assert bulk_envelope.encrypt(batch("in/a"), TIME)["written"] == 1
    assert decrypt_bytes(s3.latest("vault", "out/a.encrypted"), keyring=keyring, encryption_context=CONTEXT) == b"two"


def test_late_writer_does_not_replace_what_another_wrote_of_the_newer_source(s3, keyring):
    s3.put("inbox", "in/a", b"one")

    def newer():
        s3.put("inbox", "in/a", b"two")
        bulk_envelope.encrypt(batch("in/a"), TIME)

    s3.before = newer
    late = bulk_envelope.encrypt(batch("in/a"), TIME)
    assert (late["written"], late["foundWritten"]) == (0, 1)
    (message,) = s3.objects["vault", "out/a.encrypted"]
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"two"


def test_failed_objects_are_named_by_place_and_the_others_are_done(s3):
    s3.put("inbox", "in/b", b"two")
    longest = "in/" + "\u00e4" * ((1024 - len("in/")) // 2)
    s3.put("inbox", longest, b"three")
    found, summary = failures(bulk_envelope.encrypt, batch("in/gone", "in/b", "elsewhere/c", "", longest, longest * 3))
    assert found == [(0, "SourceNotReadable"), *((number, "InvalidRequest") for number in (2, 3, 4, 5))]
    assert (summary["written"], summary["kmsCalls"]) == (1, 1)


def test_objects_are_left_for_another_try_when_time_runs_out(s3):
    s3.put("inbox", "in/a", b"one")
    nearly = SimpleNamespace(get_remaining_time_in_millis=lambda: 59_000)
    assert failures(bulk_envelope.encrypt, batch("in/a"), nearly)[0] == [(0, "OutOfTime")]
    assert ("vault", "out/a.encrypted") not in s3.objects


def test_batch_that_kms_throttles_beyond_all_retries_fails_and_the_next_try_does_it(s3, kms, monkeypatch):
    s3.put("inbox", "in/a", b"one")
    s3.put("inbox", "in/b", b"two")
    with monkeypatch.context() as throttled:
        error = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
        throttled.setattr(kms, "generate_data_key", Mock(side_effect=ClientError(error, "GenerateDataKey")))
        found, summary = failures(bulk_envelope.encrypt, batch("in/a", "in/b"))
    assert (found, summary["written"]) == ([(0, "ThrottlingException"), (1, "ThrottlingException")], 0)
    assert bulk_envelope.encrypt(batch("in/a", "in/b"), TIME)["written"] == 2


def test_key_disabled_amid_a_batch_fails_the_rest_by_its_error_and_the_next_run_does_them(
    s3, kms, monkeypatch, key_arn
):
    for name in ("a", "b", "c"):
        s3.put("inbox", f"in/{name}", name.encode())
    error = ClientError({"Error": {"Code": "DisabledException", "Message": "disabled"}}, "GenerateDataKey")
    first = kms.generate_data_key(KeyId=key_arn, KeySpec="AES_256", EncryptionContext=CONTEXT)
    with monkeypatch.context() as disabled:
        disabled.setattr(kms, "generate_data_key", Mock(side_effect=[first, error, error]))
        found, summary = failures(bulk_envelope.encrypt, batch("in/a", "in/b", "in/c"))
    assert ([code for _, code in found], summary["written"]) == (["DisabledException"] * 2, 1)
    again = bulk_envelope.encrypt(batch("in/a", "in/b", "in/c"), TIME)
    assert (again["written"], again["foundWritten"]) == (2, 1)


def test_two_runs_at_once_write_each_object_once(s3):
    s3.put("inbox", "in/a", b"one")
    others = []
    s3.before = lambda: others.append(bulk_envelope.encrypt(batch("in/a"), TIME))
    late = bulk_envelope.encrypt(batch("in/a"), TIME)
    assert [(it["written"], it["foundWritten"]) for it in (*others, late)] == [(1, 0), (0, 1)]
    assert len(s3.objects["vault", "out/a.encrypted"]) == 1


def test_message_of_a_full_batch_of_failures_fits_what_step_functions_keeps():
    with pytest.raises(ObjectsFailed) as caught:
        bulk_envelope.encrypt(batch(*("in/" + "k" * 1000 + str(number) for number in range(100))), TIME)
    assert len(json.dumps({"errorMessage": str(caught.value), "errorType": "ObjectsFailed"})) < 32_768


@pytest.mark.parametrize(
    ("there", "read"), [(["in/a b"], "a b"), (["in/a+b"], "a+b"), (["in/a b", "in/a+b"], None), ([], None)]
)
def test_key_of_an_inventory_is_the_one_that_exists(s3, there, read):
    for key in there:
        s3.put("inbox", key, b"one")
    event = batch("in/a+b", BatchInput={"encoded": True})
    if read is None:
        assert failures(bulk_envelope.encrypt, event)[0] == [(0, "InvalidRequest" if there else "SourceNotReadable")]
        return
    bulk_envelope.encrypt(event, TIME)
    assert list(s3.objects)[-1] == ("vault", f"out/{read}.encrypted")


@pytest.fixture
def stored(s3, keyring, monkeypatch):
    monkeypatch.setenv("SOURCE_BUCKET", "vault")
    monkeypatch.setenv("DESTINATION_BUCKET", "other")
    for size in (0, 1, 300_000):
        s3.put("vault", f"in/{size}.encrypted", encrypt_bytes(bytes(size), keyring=keyring, encryption_context=CONTEXT))
    return batch(*(f"in/{size}.encrypted" for size in (0, 1, 300_000)))


def test_messages_are_decrypted_and_a_key_without_the_suffix_is_refused(s3, stored):
    found, summary = failures(bulk_envelope.decrypt, batch(*(it["key"] for it in stored["Items"]), "in/plain"))
    assert (found, summary["written"]) == ([(3, "InvalidRequest")], 3)
    assert [len(s3.latest("other", f"out/{size}")) for size in (0, 1, 300_000)] == [0, 1, 300_000]


@pytest.fixture
def re_encrypting(monkeypatch, key_arn, other_key_arn):
    monkeypatch.setenv("SOURCE_KEY_ARN", key_arn)
    monkeypatch.setenv("SOURCE_ENCRYPTION_CONTEXT", json.dumps(CONTEXT))
    monkeypatch.setenv("KEY_ARN", other_key_arn)
    monkeypatch.setenv("ENCRYPTION_CONTEXT", json.dumps({"department": "history"}))


@pytest.mark.usefixtures("re_encrypting")
def test_messages_get_a_header_under_the_other_key_and_context_and_keep_their_frames(s3, kms, stored, other_key_arn):
    kms.calls.clear()
    assert bulk_envelope.re_encrypt(stored, TIME)["kmsCalls"] == len(kms.calls) == 6
    assert set(kms.operations) == {"Decrypt", "Encrypt"}
    other = KmsKeyring(other_key_arn, kms_client=kms)
    for size in (0, 1, 300_000):
        old, new = s3.latest("vault", f"in/{size}.encrypted"), s3.latest("other", f"out/{size}.encrypted")
        assert decrypt_bytes(new, keyring=other, encryption_context={"department": "history"}) == bytes(size)
        assert new[-size - 20 :] == old[-size - 20 :]


@pytest.mark.usefixtures("re_encrypting")
def test_message_that_cannot_get_another_header_fails_and_says_why(s3, keyring, stored):
    signed = AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
    s3.put("vault", "in/s", encrypt_bytes(b"x", keyring=keyring, encryption_context=CONTEXT, algorithm_suite=signed))
    s3.put("vault", "in/c", encrypt_bytes(b"x", keyring=keyring, encryption_context={"department": "other"}))
    altered = bytearray(s3.latest("vault", "in/1.encrypted"))
    altered[5] ^= 1
    s3.put("vault", "in/f", bytes(altered))
    found, _ = failures(bulk_envelope.re_encrypt, batch("in/s", "in/c", "in/f", "in/1.encrypted"))
    codes = ["MessageFormatError", "EncryptionContextMismatch", "MessageAuthenticationFailed"]
    assert found == list(enumerate(codes))


@pytest.mark.usefixtures("re_encrypting")
def test_pairs_of_a_message_that_the_run_does_not_name_stay(s3, kms, stored, keyring, other_key_arn):
    message = encrypt_bytes(b"x", keyring=keyring, encryption_context={**CONTEXT, "tenant": "a"})
    s3.put("vault", "in/1.encrypted", message)
    assert bulk_envelope.re_encrypt(stored, TIME)["written"] == 3
    new, other = s3.latest("other", "out/1.encrypted"), KmsKeyring(other_key_arn, kms_client=kms)
    assert decrypt_bytes(new, keyring=other, encryption_context={"department": "history", "tenant": "a"}) == b"x"


@pytest.mark.usefixtures("re_encrypting")
@pytest.mark.parametrize("pair", [("Department", "a"), ("long", "v" * 65_480)])
def test_pair_that_cannot_stay_beside_the_new_ones_fails_its_message(pair, s3, kms, keyring, monkeypatch):
    monkeypatch.setenv("SOURCE_BUCKET", "vault")
    monkeypatch.setenv("DESTINATION_BUCKET", "other")
    monkeypatch.setenv("ENCRYPTION_CONTEXT", json.dumps({"department": "h" * 100}))
    message = encrypt_bytes(b"x", keyring=keyring, encryption_context=dict([*CONTEXT.items(), pair]))
    s3.put("vault", "in/1.encrypted", message)
    kms.calls.clear()
    found, _ = failures(bulk_envelope.re_encrypt, batch("in/1.encrypted"))
    assert (found, set(kms.operations)) == ([(0, "EncryptionContextInvalid")], set())
    assert ("other", "out/1.encrypted") not in s3.objects


@pytest.mark.usefixtures("re_encrypting")
def test_message_with_two_encrypted_data_keys_is_refused_before_any_call(s3, kms, stored, key_arn, other_key_arn):
    both = KmsKeyring(key_arn, kms_client=kms, additional_keys={other_key_arn: kms})
    s3.put("vault", "in/1.encrypted", encrypt_bytes(b"x", keyring=both, encryption_context=CONTEXT))
    kms.calls.clear()
    found, _ = failures(bulk_envelope.re_encrypt, batch("in/1.encrypted"))
    assert (found, kms.calls) == ([(0, "MessageFormatError")], [])
    assert ("other", "out/1.encrypted") not in s3.objects


@pytest.mark.parametrize("event", [{}, {"Items": []}, {"Items": [{"key": None}]}, {"Items": [{"Key": "a"}]}])
def test_event_that_is_no_batch_is_refused(event):
    with pytest.raises(InvalidRequest):
        bulk_envelope.encrypt(event, TIME)


def line(status, *keys, given=None, **more):
    return {"Status": status, "Input": json.dumps(batch(*keys, **(given or {}))), **more}


@pytest.fixture
def run(s3):
    summary = {"written": 2, "foundWritten": 1, "bytes": 10, "kmsCalls": 2, "seconds": 1.5}
    message = {"summary": {**summary, "written": 1}, "failures": [[1, "AccessDenied", "no <b>"]]}
    files = {
        "SUCCEEDED_0.json": [line("SUCCEEDED", "in/a", "in/b", "in/c", Output=json.dumps(summary))] * 2,
        "FAILED_0.json": [
            line("FAILED", "in/d", 'in/"<e>",', Error="ObjectsFailed",
                 Cause=json.dumps({"errorType": "ObjectsFailed", "errorMessage": json.dumps(message)})),
            line("FAILED", "in/f", Error="Runtime.OutOfMemory", Cause="killed"),
        ],
        "PENDING_0.json": [line("PENDING", "in/g")],
    }  # fmt: skip
    for name, lines in files.items():
        s3.put("reports", f"bulk/results/1/{name}", "\n".join(map(json.dumps, lines)).encode())
    listed = {name.partition("_")[0]: [{"Key": f"bulk/results/1/{name}", "Size": 1}] for name in files}
    s3.put("reports", "bulk/results/1/manifest.json", json.dumps({"ResultFiles": listed}).encode())
    details = {"Bucket": "reports", "Key": "bulk/results/1/manifest.json"}
    execution = {"Name": "run-1", "StartTime": "2026-11-26T00:00:00Z", "Id": "arn"}
    return {"input": {"ResultWriterDetails": details}, "execution": execution}


@pytest.mark.parametrize("calls", [1, 3])
def test_report_counts_every_object_once_however_many_calls_it_takes(s3, run, calls):
    left = {1: 900_000, 3: 1_000}[calls]
    made = 0
    answer = {"complete": False}
    while not answer["complete"]:
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: left)
        answer = json.loads(json.dumps(bulk_envelope.report(run, context)))
        fastjsonschema.compile(schema("bulk_envelope/progress"))(answer)
        run["input"] = {name: answer[name] for name in ("ResultWriterDetails", "sums") if name in answer}
        made += 1
    assert (made, answer["failures"], answer["succeeded"]) == (calls, 3, False)
    found = json.loads(s3.latest("reports", "bulk/reports/run-1/report.json"))
    assert {name: found[name] for name in ("objects", "written", "foundWritten", "failed", "bytes", "kmsCalls")} == {
        "objects": 11, "written": 5, "foundWritten": 3, "failed": 3, "bytes": 30, "kmsCalls": 6,
    }  # fmt: skip
    assert found["failures"] == {"AccessDenied": 1, "Runtime.OutOfMemory": 1, "PENDING": 1}
    assert found["dollars"] == {
        "AWS KMS": 6, "Amazon S3": 5 + 3 * 5 + 2 * 3, "AWS Step Functions": 5, "AWS Lambda": 4.5 + 5, "total": 46.5,
    }  # fmt: skip
    lists = "".join(s3.latest("reports", key).decode() for key in found["failedLists"])
    assert lists.replace("Key\n", "") == '"in/""<e>"","\n"in/f"\n"in/g"\n'
    page = s3.latest("reports", "bulk/reports/run-1/report.html").decode()
    assert "in/&quot;&lt;e&gt;&quot;," in page
    assert re.search(r"<b>|<e>", page) is None


def reported(run, **given):
    answer = bulk_envelope.report({**run, **given}, TIME)
    fastjsonschema.compile(schema("bulk_envelope/progress"))(answer)
    return json.loads(json.dumps(answer))


def test_keys_of_an_inventory_go_into_a_list_that_a_run_of_plain_keys_cannot_take(s3, run):
    killed = line("FAILED", "in/a+b", "in/%C3%A4", given={"BatchInput": {"encoded": True}}, Error="Sandbox.Timedout")
    s3.put("reports", "bulk/results/1/SUCCEEDED_0.json", b"")
    s3.put("reports", "bulk/results/1/PENDING_0.json", b"")
    s3.put("reports", "bulk/results/1/FAILED_0.json", json.dumps(killed).encode())
    reported(run)
    (key,) = json.loads(s3.latest("reports", "bulk/reports/run-1/report.json"))["failedLists"]
    assert s3.latest("reports", key) == b'EncodedKey\n"in/a+b"\n"in/%C3%A4"\n'


def test_list_of_failed_keys_names_the_very_keys_to_step_functions():
    keys = ["a\\b", 'q"\\', "c\rr", "n\nl", " space ", "\\\\"]
    text = b"".join(map(bulk_report._line, keys)).decode()
    # As Step Functions reads CSV: it removes a backslash and keeps what follows.
    assert [row for (row,) in csv.reader(io.StringIO(text, newline=""), escapechar="\\")] == keys


def test_reason_of_a_failure_is_told_behind_a_long_key(s3, monkeypatch):
    archived = "in/" + "k" * 900

    def refusing(**request):
        raise s3._error(403, "InvalidObjectState", "GetObject")

    monkeypatch.setattr(s3, "get_object", refusing)
    with pytest.raises(ObjectsFailed) as caught:
        bulk_envelope.encrypt(batch(archived), TIME)
    ((_, code, reason),) = json.loads(str(caught.value))["failures"]
    assert (code, reason.startswith("InvalidObjectState")) == ("SourceNotReadable", True)


def test_stopped_map_run_is_reported_and_never_a_success(s3, run):
    s3.put("reports", "bulk/results/2/manifest.json", json.dumps({"ResultFiles": {}}).encode())
    ended = [("2", "2026-11-26T10:00:00.1Z"), ("1", "2026-11-26T09:00:00Z")]
    runs = [{"MapRunArn": f"arn:aws:states:r:1:mapRun:m/Objects:{name}", "StartDate": start} for name, start in ended]
    empty = reported(run, input={"MapRuns": runs})
    assert (empty["failures"], empty["succeeded"], empty["stopped"]) == (0, False, True)
    answer = reported(run, input={"MapRuns": runs[1:]})
    found = json.loads(s3.latest("reports", "bulk/reports/run-1/report.json"))
    assert (found["failed"], found["stopped"], answer["succeeded"]) == (3, True, False)


def test_results_of_a_redrive_that_stopped_are_those_of_its_own_folder(s3, run):
    s3.put("reports", "bulk/results/1/Redrive-2/manifest.json", json.dumps({"ResultFiles": {}}).encode())
    started = {"MapRunArn": "arn:aws:states:r:1:mapRun:m/Objects:1", "StartDate": "2026-11-26T09:00:00Z"}
    redriven = {**run["execution"], "RedriveCount": 3}
    assert reported(run, input={"MapRuns": [started]}, execution=redriven)["failures"] == 0
    assert reported(run, input={"MapRuns": [started]}, execution={**redriven, "RedriveCount": 1})["failures"] == 3


def test_complete_report_fails_the_execution_until_it_is_redriven(run):
    answer = reported(run)
    with pytest.raises(ObjectsFailed, match=r"^3 objects failed: s3://reports/bulk/reports/run-1/report\.json$"):
        reported(run, input=answer)
    redriven = {**run["execution"], "RedriveCount": 1}
    assert reported(run, input=answer, execution=redriven) == {}
    again = reported(run, execution=redriven)
    with pytest.raises(ObjectsFailed):
        reported(run, input=again, execution=redriven)


def test_batch_whose_cause_was_cut_off_counts_as_failed_as_a_whole():
    child = {"Status": "FAILED", "Error": "ObjectsFailed", "Cause": '{"errorMessage": "{\\"summary\\": {'}
    told = list(bulk_report._failures(child, 2, None))
    assert told == [(0, "ObjectsFailed", "the whole batch"), (1, "ObjectsFailed", "the whole batch")]


def test_report_stays_small_enough_to_go_through_the_state_machine():
    sums = bulk_report._Sums()
    for _ in range(10_000):
        sums.fail("\x01" * 1024, "AccessDenied", "r" * 160)
    assert len(json.dumps(vars(sums))) < 262_144 / 2


def test_source_that_is_refused_for_a_moment_is_not_written_a_second_time(s3, monkeypatch):
    s3.put("inbox", "in/a", b"one")
    bulk_envelope.encrypt(batch("in/a"), TIME)
    look = s3.head_object

    def refusing(**request):
        if request["Bucket"] == "inbox":
            raise s3._error(403, "AccessDenied", "HeadObject")
        return look(**request)

    monkeypatch.setattr(s3, "head_object", refusing)
    assert failures(bulk_envelope.encrypt, batch("in/a"))[0] == [(0, "SourceNotReadable")]
    assert len(s3.objects["vault", "out/a.encrypted"]) == 1


def test_mark_is_not_taken_from_another_object(s3):
    s3.put("inbox", "in/a", b"one")
    s3.put("vault", "out/a.encrypted", b"of somebody else")
    s3.attributes["vault", "out/a.encrypted"] = {"Metadata": {MARK: "0" * 64}}
    assert bulk_envelope.encrypt(batch("in/a"), TIME)["written"] == 1
