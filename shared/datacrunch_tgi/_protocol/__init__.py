"""TGI over HTTP: requests, responses, events, errors, retries. Pure: no I/O."""
