"""What the stub functions answer: each test scripts it, and reads back who was called with what, in which order."""

import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# The stub: asks the test what to say, and raises what it is told to by its name.
FUNCTION = """
import json, os, urllib.request

def handler(event, context):
    body = json.dumps({"step": os.environ["STEP"], "event": event}).encode()
    with urllib.request.urlopen(os.environ["SCRIPT"], body, timeout=30) as opened:
        answer = json.load(opened)
    if "raises" in answer:
        raise type(answer["raises"], (Exception,), {})(answer["saying"])
    return answer["result"]
"""

Answer = dict[str, Any]
RUN = "2026-11-21T04-00-00Z"
URI = f"s3://bucket/run_ts={RUN}"
DATA = {"data_run_ts": RUN, "train_uri": f"{URI}/train.parquet", "holdout_uri": f"{URI}/holdout.parquet"}
EVIDENCE = {"evaluation_uri": f"{URI}/evaluation.json", "card_uri": f"{URI}/card.html"}
PACKAGE = "arn:aws:sagemaker:us-east-1:000000000000:model-package/models/7"
# One answer of each step, as docs/contracts.md has it: of a manual run that ends with a promotion.
USUAL: dict[str, Answer] = {
    "claim_run": {
        **{"status": "claimed", "run_ts": RUN, "attempt": 1, "scheduled": False, "limit": 0},
        **{"skip_data_prep": False, "since_ts": None, "holder": "$execution"},
        **{"month": None, "sample": 0},
    },
    "take_lease": {
        **{"status": "taken", "token": 7, "holder": "$execution", "holder_run": RUN},
        "expires_at": "2026-11-21T08:15:00Z",
    },
    "extract": {"done": True, "rows_read": 12, "rows_changed": 4, "parts": [], "tables": {}},
    "check_sufficiency": {"status": "sufficient", "reason": "4 new rows"},
    "prepare": {
        **{"status": "prepared", "reason": "100 rows", "manifest_uri": f"{URI}/manifest.json"},
        **{"row_count": 100, "synthetic": False, **DATA},
    },
    "stage_training": {"status": "done", "job_name": "mlops-$pipeline-a1r0", "request": None},
    "confirm_training": {
        **{"status": "completed", "job_name": "mlops-$pipeline-a1r0"},
        **{"bundle_uri": f"{URI}/model.tar.gz", "sha256": "5ha"},
    },
    "evaluate": {
        **{"verdict": "promote", "reason": "12 % better", "reasons": [], "champion_etag": '"e1"'},
        **{"champion_run_ts": "2026-11-21T03-00-00Z", "sha256": "5ha", **EVIDENCE},
        "train_uri": f"{URI}/train.parquet",
    },
    "promote": {"status": "promoted", "seq": 3},
    "register": {"status": "pending_approval", "package_arn": PACKAGE, "approval": "$pipeline-a1"},
    "give_back_lease": {"status": "given_back"},
    "free_lease": {"status": "freed"},
    "ask_approval": {"status": "asked"},
    "close_approval": {"decision": "expired", "why": "Nobody decided in time."},
    "decide": {"status": "approved"},
    "stage_endpoint": {
        **{"status": "staged", "reason": "The run is approved.", "endpoint": "served", "candidate": "candidate"},
        **{"config": "new", "previous": "old"},
    },
    "move_endpoint": {"status": "in_service", "asked": True, "reason": ""},
    "verify_endpoint": {"rows": 64},
    "tidy_endpoint": {"removed": []},
    "write_features": {"done": True, "records": 4, "feature_group": "people", "busy": False},
}
STEPS = tuple(USUAL)


def filled(document: Any, **values: str) -> Any:
    """The document with `$name` replaced in its texts."""
    text = json.dumps(document)
    for name, value in values.items():
        text = text.replace(f"${name}", value)
    return json.loads(text)


@dataclass
class Part:
    """The script of one pipeline: answers per step (the last one again and again), and the calls there were."""

    pipeline: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def say(self, step: str, event: Any) -> Answer:
        """The next answer of a step; `raises` makes the function fail, `first` is called with the event before."""
        self.calls.append((step, event))
        prepared = self.answers.get(step, [{}])
        answer = dict(prepared.pop(0) if len(prepared) > 1 else prepared[0])
        answer.pop("first", lambda _: None)(event)
        if "raises" in answer:
            return answer
        result = answer["instead"] if "instead" in answer else {**USUAL[step], **answer}
        return {"result": filled(result, pipeline=self.pipeline, execution=event.get("execution") or "")}

    @property
    def steps(self) -> list[str]:
        """The steps called, in order."""
        return [step for step, _ in self.calls]

    def events(self, step: str) -> list[Any]:
        """The events that a step was called with."""
        return [event for called, event in self.calls if called == step]


class Script:
    """Serves the parts to the stub functions; one part per pipeline."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = defaultdict(lambda: Part("nobody"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._answers())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answers(self) -> type[BaseHTTPRequestHandler]:
        parts = self.parts

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(parts[whose(asked["event"])].say(asked["step"], asked["event"])).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *about: Any) -> None:
                """Says nothing."""

        return Answers


def whose(event: dict[str, Any]) -> str:
    """The pipeline that an event is about; EventBridge's name its package group, its execution's input or machine."""
    if "pipeline" in event:
        return str(event["pipeline"])
    detail = event["detail"]
    if "ModelPackageGroupName" in detail:
        return str(detail["ModelPackageGroupName"])
    return str(json.loads(detail["input"]).get("pipeline") or detail["stateMachineArn"].rsplit("-", 1)[-1])
