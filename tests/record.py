"""Writes the cassettes that the adapters' tests replay: requests and what a server answered to them.

    python tests/record.py          from the recordings of real servers, in tests/recordings/
    python tests/record.py --live   again, from the endpoint in DATACRUNCH_BASE_URL

A cassette holds no key: of a request only its route and body are written, of a response only the
headers that say something about the answer.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml
from vcr.persisters.filesystem import FilesystemPersister
from vcr.request import Request
from vcr.serializers import yamlserializer

TESTS = Path(__file__).parent
CASSETTES = TESTS / "cassettes"
RECORDINGS = TESTS / "recordings"
ANSWERS = ("ask-stop", "chain-stop", "rag-stop", "chat-turns", "japanese-cut-5")
TOOLS = ("tools-any-of", "tools-calls", "tools-cut", "tools-no-arguments")
SERVERS = {"fork-1.1.1": ANSWERS, "tgi-3.3.7": (*ANSWERS, *TOOLS)}
"""The recordings of each server, streamed and not."""
HOST = "http://endpoint.invalid"


def recorded(server: str) -> Iterator[tuple[str, Request, dict[str, Any]]]:
    """Read the recordings of one server."""
    for name in (f"{name}{suffix}" for name in SERVERS[server] for suffix in ("", "-stream")):
        exchange = json.loads((RECORDINGS / server / f"{name}.json").read_text(encoding="utf-8"))
        response = exchange["response"]
        body = "".join(chunk["text"] for chunk in response["chunks"]).encode()
        request = _request(exchange["request"]["path"], exchange["request"]["json"])
        yield name, request, _response(response["status"], response["headers"], body)


def live(
    server: str, base_url: str, api_key: str | None
) -> Iterator[tuple[str, Request, dict[str, Any]]]:
    """Send the requests of a server's cassettes to an endpoint."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(base_url=base_url, headers=headers, timeout=120) as client:
        for path in sorted((CASSETTES / server).glob("*.yaml")):
            cassette = yaml.safe_load(path.read_text(encoding="utf-8"))
            sent = cassette["interactions"][0]["request"]
            request = _request(sent["uri"].removeprefix(HOST), json.loads(sent["body"]))
            response = client.post(sent["uri"].removeprefix(HOST), json=json.loads(sent["body"]))
            response.raise_for_status()
            answer = _response(
                response.status_code, response.headers.multi_items(), response.content
            )
            yield path.stem, request, answer


def write(folder: Path, exchanges: Iterable[tuple[str, Request, dict[str, Any]]]) -> int:
    """Write a cassette for each exchange; return how many."""
    written = 0
    for name, request, response in exchanges:
        cassette = {"requests": [request], "responses": [response]}
        FilesystemPersister.save_cassette(folder / f"{name}.yaml", cassette, yamlserializer)
        written += 1
    return written


def _request(path: str, body: object) -> Request:
    text = json.dumps(body, ensure_ascii=False).encode()
    return Request("POST", f"{HOST}{path}", text, {"Content-Type": "application/json"})


def _response(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, Any]:
    reported = {
        name.lower(): [value]
        for name, value in headers
        if name.lower().startswith(("content-type", "x-"))
    }
    return {
        "status": {"code": status, "message": ""},
        "headers": reported,
        "body": {"string": body},
    }


def main() -> None:
    """Write all cassettes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--live", action="store_true", help="send the requests to DATACRUNCH_BASE_URL"
    )
    parser.add_argument("--into", type=Path, default=CASSETTES, help="the folder of cassettes")
    arguments = parser.parse_args()
    for server in SERVERS:
        if arguments.live:
            url = os.environ["DATACRUNCH_BASE_URL"]
            exchanges = live(server, url, os.environ.get("DATACRUNCH_API_KEY"))
        else:
            exchanges = recorded(server)
        print(f"{write(arguments.into / server, exchanges)} cassettes in {arguments.into / server}")


if __name__ == "__main__":
    main()
